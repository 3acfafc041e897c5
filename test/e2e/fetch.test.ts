// `nffi fetch` as a user runs it, against servers that do what servers do on bad days.
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import type { RequestListener } from "node:http";
import { createServer } from "node:net";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { ranged, scriptedServer } from "../support/archive-server.js";
import { makeCertificates } from "../support/certificates.js";
import { type CliOptions, type CliResult, runCli } from "../support/cli.js";
import { answers, httpServer } from "../support/http-server.js";
import { authenticatingProxy, httpsServer, PROXY_PASSWORD } from "../support/proxy.js";
import { temporaryFolder } from "../support/temporary.js";

const body = Buffer.alloc(300_000, "an archive of OpenResty\n");
const sum = createHash("sha256").update(body).digest("hex");

interface Place {
  readonly folder: string;
  readonly cache: string;
  fetch(args: readonly string[], options?: CliOptions): Promise<CliResult>;
  /** The archive with the right checksum from that server. */
  from(server: string, args?: readonly string[], options?: CliOptions): Promise<CliResult>;
}

function place(): Place {
  const folder = temporaryFolder();
  const env = {
    XDG_CACHE_HOME: folder,
    http_proxy: undefined,
    https_proxy: undefined,
    NFFI_MIRROR: undefined,
    NO_PROXY: undefined,
    no_proxy: undefined,
  };
  const fetch: Place["fetch"] = (args, options = {}) =>
    runCli(["fetch", ...args], { ...options, env: { ...env, ...options.env } });
  const from: Place["from"] = (server, args = [], options = {}) =>
    fetch(["--source", `${server}/my.tar.gz`, "--sha256", sum, ...args], options);
  return { folder, cache: join(folder, "nffi"), fetch, from };
}

function expectFetched(at: Place, result: CliResult): void {
  const file = join(at.cache, "archives", sum, "my.tar.gz");
  expect(result.stderr).toBe("");
  expect(result.exitCode).toBe(0);
  expect(result.stdout).toContain(`sha256 ${sum}\nfile   ${file}\n`);
  expect(readFileSync(file).equals(body)).toBe(true);
  expect(readdirSync(join(at.cache, "partial"))).toEqual([]);
}

function expectRefused(at: Place, result: CliResult, exitCode: number, ...says: string[]): void {
  for (const words of says) expect(result.stderr).toContain(words);
  expect(result.stderr).toMatch(/^nffi: /);
  expect(result.stderr).not.toMatch(/^\s+at .*:\d+:\d+\)?$/m);
  expect(result.exitCode).toBe(exitCode);
  expect(existsSync(join(at.cache, "archives", sum))).toBe(false);
}

test("prints the path of the verified archive, and uses it the next time", async () => {
  const at = place();
  const server = await scriptedServer(answers.whole(body));
  expectFetched(at, await at.from(server.url));
  expectFetched(at, await at.from(server.url));
  expectFetched(at, await at.from(server.url, ["--offline"]));
  expect(server.seen).toHaveLength(1);
});

test("reads nffi.config.json and the environment as nffi build does", async () => {
  const at = place();
  const server = await scriptedServer(answers.whole(body));
  // jobs and prefix are for the build that will read the same file
  const config = {
    source: `${server.url}/my.tar.gz`,
    sha256: "0".repeat(64),
    jobs: 2,
    prefix: "p",
  };
  writeFileSync(join(at.folder, "nffi.config.json"), JSON.stringify(config));
  const inFolder = { cwd: at.folder };
  expectRefused(at, await at.fetch([], inFolder), 7, "expected 0000");
  expectFetched(at, await at.fetch([], { ...inFolder, env: { NFFI_SHA256: sum } }));
  writeFileSync(join(at.folder, "nffi.config.json"), '{ "colour": true }');
  expectRefused(place(), await at.fetch([], inFolder), 2, '"colour"');
});

test("downloads nothing with --offline", async () => {
  const at = place();
  const server = await scriptedServer(answers.whole(body));
  expectRefused(at, await at.from(server.url, ["--offline"]), 6, "--offline", sum, "--source FILE");
  expect(server.seen).toHaveLength(0);
});

const PASSING: Readonly<Record<string, readonly RequestListener[]>> = {
  "resets the connection": [answers.reset()],
  "breaks off": [ranged(body, { etag: '"1"', cutAfter: 90_000 })],
  "breaks off and knows no ranges": [answers.truncated(body), answers.whole(body)],
  "is silent": [() => {}],
  "falls silent": [ranged(body, { etag: '"1"', stallAfter: 50_000 })],
  "answers 503": [answers.status(503)],
  "answers 429 with Retry-After": [
    (_request, response) => response.writeHead(429, { "retry-after": "1" }).end(),
  ],
};

// The machine waits more than it works in these, so they run side by side.
test(`succeeds with servers that first ${Object.keys(PASSING).join(", ")}`, async () => {
  const fetches = Object.values(PASSING).map(async (script) => {
    const at = place();
    const server = await scriptedServer(...script, ranged(body, { etag: '"1"' }));
    return { at, result: await at.from(server.url, ["--timeout", "2"]) };
  });
  for (const { at, result } of await Promise.all(fetches)) expectFetched(at, result);
});

describe("refuses", () => {
  test("status 404, and permanent status 503, resets and silence", async () => {
    const lasting: [RequestListener, string][] = [
      [answers.status(404), "HTTP status 404"],
      [answers.status(503), "HTTP status 503"],
      [answers.reset(), "cannot download"],
      [() => {}, "was silent for 1 s"],
    ];
    const fetches = lasting.map(async ([answer, says]) => {
      const at = place();
      const server = await httpServer(answer);
      const result = await at.from(server, ["--retries", "1", "--timeout", "1"]);
      return { at, result, says };
    });
    for (const { at, result, says } of await Promise.all(fetches)) {
      expectRefused(at, result, 6, says);
    }
  });

  test("wrong bytes, of which nothing is kept", async () => {
    const at = place();
    const server = await httpServer(answers.whole(Buffer.from("evil")));
    expectRefused(at, await at.from(server), 7, "SHA-256", `expected ${sum}`);
    expect(readdirSync(join(at.cache, "partial"))).toEqual([]);
    expect(readdirSync(join(at.cache, "archives"))).toEqual([]);
  });

  test("a length that is less than what comes", async () => {
    const at = place();
    const server = createServer((socket) => {
      socket.on("error", () => {});
      socket.write("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
      socket.end(body);
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    onTestFinished(() => void server.close());
    const { port } = server.address() as { port: number };
    const result = await at.from(`http://127.0.0.1:${port}`, ["--retries", "0"]);
    expect([6, 7]).toContain(result.exitCode);
    expect(existsSync(join(at.cache, "archives", sum))).toBe(false);
  });

  test("what is no archive, or no proxy, or no number", async () => {
    const at = place();
    expectRefused(at, await at.fetch(["--source", "debian"]), 2, "is not an archive");
    expectRefused(at, await at.fetch(["--source", at.folder]), 2, "is not an archive");
    const badProxy = { env: { http_proxy: "http://me:s3cret@:::" } };
    const result = await at.from("http://127.0.0.1:1", [], badProxy);
    expectRefused(at, result, 2, "http_proxy is not the URL of a proxy");
    expect(result.stderr).not.toContain("s3cret");
    expect((await at.fetch(["--retries", "many"])).exitCode).toBe(2);
  });
});

test("asks the mirrors in order until one has the right file", async () => {
  const at = place();
  const wrong = await httpServer(answers.whole(Buffer.from("evil")));
  const broken = await httpServer(answers.status(404));
  const mirrors = [broken, wrong, broken].flatMap((url) => ["--mirror", url]);
  const result = await at.fetch(["--openresty", "1.27.1.2", "--retries", "0", ...mirrors]);
  expect(result.stdout).toContain(
    `${broken}/openresty-1.27.1.2.tar.gz answered with HTTP status 404`,
  );
  expect(result.stdout).toContain(`${wrong}/openresty-1.27.1.2.tar.gz is not the expected file`);
  expectRefused(at, result, 6, "HTTP status 404");
  const env = { NFFI_MIRROR: `${broken} ${wrong}` };
  const listed = await at.fetch(["--openresty", "1.27.1.2", "--retries", "0"], { env });
  expectRefused(at, listed, 7, "expected 74f076f7");
});

describe("the network", () => {
  test("a custom authority with --cafile or NODE_EXTRA_CA_CERTS", async () => {
    const at = place();
    const certificates = makeCertificates(temporaryFolder());
    const url = await httpsServer(certificates, answers.whole(body));
    expectRefused(at, await at.from(url), 6, "certificate", "--cafile");
    expectFetched(at, await at.from(url, ["--cafile", certificates.caFile]));
    const other = place();
    const env = { NODE_EXTRA_CA_CERTS: certificates.caFile };
    expectFetched(other, await other.from(url, [], { env }));
  });

  test("a proxy with a password, which is shown nowhere", async () => {
    const at = place();
    const proxy = await authenticatingProxy();
    const url = await httpServer(answers.whole(body));
    expectFetched(at, await at.from(url, [], { env: { http_proxy: proxy.url } }));
    expect(proxy.passed).toEqual([`GET ${url}/my.tar.gz`]);

    const other = place();
    const https = await httpsServer(makeCertificates(temporaryFolder()), answers.whole(body));
    const result = await other.from(https, [], { env: { https_proxy: proxy.url } });
    expectRefused(other, result, 6, "certificate");
    expect(proxy.passed).toHaveLength(2);
    for (const shown of [result.stdout, result.stderr]) {
      expect(shown).not.toContain(PROXY_PASSWORD);
      expect(shown).not.toContain(encodeURIComponent(PROXY_PASSWORD));
    }
  });
});

test("user, password and token of a URL are shown nowhere and lie nowhere", async () => {
  const at = place();
  const secrets = /s3cret|t0ken|hidden/;
  const server = await scriptedServer(
    answers.status(503),
    ranged(body, { etag: '"1"', cutAfter: 1000 }),
    (_request, response) => response.writeHead(302, { location: "/else?token=t0ken" }).end(),
    answers.status(404),
  );
  const source = `${server.url.replace("//", "//hidden:s3cret@")}/my.tar.gz?token=t0ken`;
  const result = await at.fetch(["--source", source, "--sha256", sum]);
  expectRefused(at, result, 6, `${server.url}/my.tar.gz answered with HTTP status 404`);
  expect(server.seen[0]?.headers.authorization).toMatch(/^Basic /);
  expect(server.seen[0]?.path).toContain("t0ken");
  expect(result.stdout + result.stderr).not.toMatch(secrets);
  const files = readdirSync(at.cache, { recursive: true, withFileTypes: true });
  for (const entry of files.filter((one) => one.isFile())) {
    expect(readFileSync(join(entry.parentPath, entry.name), "latin1")).not.toMatch(secrets);
  }
});

test("a local file is verified in place", async () => {
  const at = place();
  const file = join(at.folder, "own.tar.gz");
  writeFileSync(file, body);
  const good = await at.fetch(["--source", file, "--sha256", sum]);
  expect(good.stdout).toContain(`file   ${file}\n`);
  expectRefused(at, await at.fetch(["--source", file, "--sha256", "0".repeat(64)]), 7, file);
});

test("an interrupted fetch ends immediately and can be resumed", async () => {
  const at = place();
  let pid = 0;
  const server = await scriptedServer(
    (request, response) => {
      ranged(body, { etag: '"1"', stallAfter: 200_000 })(request, response);
      setTimeout(() => process.kill(pid, "SIGINT"), 300);
    },
    ranged(body, { etag: '"1"' }),
  );
  const onStart: CliOptions["onStart"] = (child) => {
    pid = child.pid ?? 0;
  };
  expectRefused(at, await at.from(server.url, [], { onStart }), 130, "SIGINT");
  expectFetched(at, await at.from(server.url));
  expect(server.seen[1]?.headers.range).toBe("bytes=200000-");
});
