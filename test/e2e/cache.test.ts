// The cache of archives: one download for many processes, even if some of them die; and
// `nffi cache`.
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { acquireLock } from "../../src/io/lock.js";
import { ranged, scriptedServer } from "../support/archive-server.js";
import { type CliOptions, type CliResult, runCli } from "../support/cli.js";
import { makeFakeRelease, WITHOUT_JAVA } from "../support/fake-release.js";
import { answers } from "../support/http-server.js";
import { temporaryFolder } from "../support/temporary.js";

const body = Buffer.alloc(2_000_000, "an archive of OpenResty\n");
const sum = createHash("sha256").update(body).digest("hex");

interface Place {
  readonly dir: string;
  readonly file: string;
  nffi(args: readonly string[], options?: CliOptions): Promise<CliResult>;
  fetch(server: string, options?: CliOptions): Promise<CliResult>;
}

function place(): Place {
  const folder = temporaryFolder();
  const dir = join(folder, "nffi");
  // A killed process cannot remove its build directory; here it goes with the test.
  const env = {
    ...WITHOUT_JAVA,
    XDG_CACHE_HOME: folder,
    TMPDIR: folder,
    http_proxy: undefined,
    HTTP_PROXY: undefined,
  };
  const nffi: Place["nffi"] = (args, options = {}) => runCli(args, { ...options, env });
  return {
    dir,
    file: join(dir, "archives", sum, "my.tar.gz"),
    nffi,
    fetch: (server, options) =>
      nffi(["fetch", "--source", `${server}/my.tar.gz`, "--sha256", sum], options),
  };
}

/** Runs 8 concurrent fetches; returns the results and the pids in the order of their start. */
function eightFetches(at: Place, server: string) {
  const pids: number[] = [];
  const onStart: CliOptions["onStart"] = (child) => pids.push(child.pid ?? 0);
  const results = Array.from({ length: 8 }, () => at.fetch(server, { onStart }));
  return { pids, results: Promise.all(results) };
}

/** The process whose end of a connection has that port. */
function ownerOfPort(port: number, pids: readonly number[]): number {
  const local = `0100007F:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  const rows = readFileSync("/proc/net/tcp", "utf8").split("\n");
  const inode = rows.map((row) => row.trim().split(/\s+/)).find((row) => row[1] === local)?.[9];
  const has = (pid: number) =>
    readdirSync(`/proc/${pid}/fd`).some((fd) => {
      try {
        return readlinkSync(`/proc/${pid}/fd/${fd}`) === `socket:[${inode}]`;
      } catch {
        return false;
      }
    });
  const owner = pids.find((pid) => has(pid));
  if (owner === undefined) throw new Error(`nobody has port ${port}`);
  return owner;
}

describe("eight processes started together", () => {
  test("download once and all get the archive", async () => {
    const at = place();
    const server = await scriptedServer((request, response) => {
      setTimeout(() => ranged(body)(request, response), 1500);
    });
    const results = await eightFetches(at, server.url).results;
    for (const { exitCode, stdout, stderr } of results) {
      expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
      expect(stdout).toContain(`file   ${at.file}\n`);
    }
    expect(server.seen).toHaveLength(1);
    expect(readFileSync(at.file).equals(body)).toBe(true);
    expect(readdirSync(join(at.dir, "partial"))).toEqual([]);
  });

  test("are not held up by the death of the one that downloads", async () => {
    const at = place();
    const etag = '"1"';
    let fetches: ReturnType<typeof eightFetches> | undefined;
    const server = await scriptedServer(
      (request, response) => {
        ranged(body, { etag, stallAfter: 1_000_000 })(request, response);
        const owner = ownerOfPort(request.socket.remotePort ?? 0, fetches?.pids ?? []);
        setTimeout(() => process.kill(owner, "SIGKILL"), 1500);
      },
      ranged(body, { etag }),
    );
    fetches = eightFetches(at, server.url);
    const results = await fetches.results;
    expect(results.filter(({ signal }) => signal === "SIGKILL")).toHaveLength(1);
    expect(results.filter(({ exitCode }) => exitCode === 0)).toHaveLength(7);
    expect(server.seen.map(({ headers }) => headers.range)).toEqual([undefined, "bytes=1000000-"]);
    expect(readFileSync(at.file).equals(body)).toBe(true);
    expect(readdirSync(join(at.dir, "partial"))).toEqual([]);
  });
});

test("a damaged archive is never used, but fetched again", async () => {
  const at = place();
  const server = await scriptedServer(answers.whole(body));
  await at.fetch(server.url);
  writeFileSync(at.file, "damaged");
  const result = await at.fetch(server.url);
  expect(result.exitCode).toBe(0);
  expect(result.stdout).toContain(`warning: ${at.file} is damaged; it was removed`);
  expect(readFileSync(at.file).equals(body)).toBe(true);
  expect(server.seen).toHaveLength(2);
});

test("nffi cache lists build directories and removes unused ones", async () => {
  const at = place();
  const folder = join(at.dir, "..");
  const tree = makeFakeRelease(join(folder, "tree"), { configure: "exit 1" });
  for (const name of ["one", "two"]) {
    const args = ["build", "--source", tree, "--keep", "--prefix", join(folder, name)];
    expect((await at.nffi(args)).exitCode).toBe(11);
  }
  const listed = (await at.nffi(["cache", "list"])).stdout;
  const paths = readdirSync(join(at.dir, "work")).map((name) => join(at.dir, "work", name));
  for (const path of paths)
    expect(listed).toMatch(new RegExp(`^${path}  \\d+\\.\\d MB  builds of`, "m"));
  for (const name of ["one", "two"]) expect(listed).toContain(`builds of ${join(folder, name)}\n`);

  const [used = "", other = ""] = paths;
  const lock = await acquireLock(used);
  const cleaned = await at.nffi(["cache", "clean"]);
  await lock.release();
  expect(cleaned.stdout).toContain(`a build uses ${used}; it stays\n`);
  expect([used, other].map((path) => existsSync(path))).toEqual([true, false]);
  await at.nffi(["cache", "clean"]);
  expect(existsSync(used)).toBe(false);
});

test("nffi cache lists, verifies and cleans", async () => {
  const at = place();
  expect((await at.nffi(["cache", "dir"])).stdout).toBe(`${at.dir}\n`);
  expect((await at.nffi(["cache", "list"])).stdout).toBe(`no archives in ${at.dir}\n`);
  const server = await scriptedServer(answers.whole(body));
  await at.fetch(server.url);
  expect((await at.nffi(["cache", "list"])).stdout).toBe(`${sum}     2.0 MB  my.tar.gz\n`);
  expect(JSON.parse((await at.nffi(["cache", "list", "--json"])).stdout)).toEqual({
    format: 1,
    dir: at.dir,
    archives: [{ sha256: sum, name: "my.tar.gz", bytes: body.length, file: at.file }],
    workFolders: [],
  });
  expect((await at.nffi(["cache", "verify"])).stdout).toContain(`good     ${sum}`);

  writeFileSync(at.file, "damaged");
  const verified = await at.nffi(["cache", "verify"]);
  expect(verified.exitCode).toBe(7);
  expect(verified.stdout).toContain(`removed  ${sum}`);
  expect(verified.stderr).toContain("nffi: a damaged archive was removed from the cache");
  expect(existsSync(at.file)).toBe(false);

  await at.fetch(server.url);
  writeFileSync(join(at.dir, "partial", `${"0".repeat(64)}.part`), "interrupted");
  const cleaned = await at.nffi(["cache", "clean"]);
  expect(cleaned.stdout).toBe(`2.0 MB removed from ${at.dir}\n`);
  expect(readdirSync(join(at.dir, "archives"))).toEqual([]);
  expect(readdirSync(join(at.dir, "partial"))).toEqual([]);
});
