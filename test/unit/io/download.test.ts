import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import type { RequestListener } from "node:http";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { type Download, download } from "../../../src/io/download.js";
import { ranged, scriptedServer } from "../../support/archive-server.js";
import { answers, httpServer } from "../../support/http-server.js";
import { temporaryFolder } from "../../support/temporary.js";

const body = Buffer.alloc(300_000, "openresty");
const sha256Of = (bytes: Buffer) => createHash("sha256").update(bytes).digest("hex");

/** Downloads with waits that suit a test. */
function get(url: string, file: string, options: Partial<Download> = {}) {
  return download({ url, file, backoffMs: 5, ...options });
}

test("hashes a download while it streams and puts the file in place", async () => {
  const url = await httpServer(answers.whole(body));
  const file = join(temporaryFolder(), "archive");
  const downloaded = await get(url, file);
  expect(downloaded.sha256).toBe(sha256Of(body));
  expect(readFileSync(file).equals(body)).toBe(true);
});

describe("a server that sends too much", () => {
  const endless: RequestListener = (_request, response) => {
    response.writeHead(200, { etag: '"1"' });
    const timer = setInterval(() => response.write(Buffer.alloc(10_000)), 5);
    response.on("close", () => clearInterval(timer));
  };
  const promises = (bytes: number): RequestListener => {
    return (_request, response) => {
      response.writeHead(200, { "content-length": bytes, etag: '"1"' });
      response.write("x");
    };
  };

  test.each([
    ["promises more than 1 GB", promises(1_000_000_001), {}, /sends more than 1000 MB/],
    ["promises more than a lower limit", promises(101), { maxBytes: 100 }, /sends more than/],
    ["never ends, and promised nothing", endless, { maxBytes: 100_000 }, /more than 0.1 MB/],
  ])("%s is left, and nothing stays", async (_how, answer, limit, message) => {
    const server = await scriptedServer(answer);
    const folder = temporaryFolder();
    const options = { retries: 3, stallMs: 5_000, ...limit };
    await expect(get(server.url, join(folder, "archive"), options)).rejects.toMatchObject({
      code: "fetch-failed",
      message: expect.stringMatching(message),
    });
    expect(server.seen).toHaveLength(1);
    expect(readdirSync(folder)).toEqual([]);
  });

  test("may send exactly as much as the limit allows", async () => {
    const url = await httpServer(answers.whole(body));
    const file = join(temporaryFolder(), "archive");
    expect((await get(url, file, { maxBytes: body.length })).bytes).toBe(body.length);
  });
});

describe("a failure", () => {
  test.each([
    ["a truncated body", answers.truncated(body), /cannot download|ended after/],
    ["a reset connection", answers.reset(), /cannot download/],
    ["status 404", answers.status(404), /HTTP status 404/],
    ["status 503", answers.status(503), /HTTP status 503/],
    ["status 429", answers.status(429), /HTTP status 429/],
    ["silence before the answer", () => {}, /was silent for 0.3 s/],
    ["silence in the middle", ranged(body, { stallAfter: 1000 }), /was silent for 0.3 s/],
  ])("of %s leaves no file behind", async (_name, answer, message) => {
    const url = await httpServer(answer);
    const folder = temporaryFolder();
    const options = { retries: 1, stallMs: 300 };
    await expect(get(url, join(folder, "archive"), options)).rejects.toMatchObject({
      code: "fetch-failed",
      message: expect.stringMatching(message),
    });
    expect(readdirSync(folder)).toEqual([]);
  });

  test("keeps the file that is there", async () => {
    const url = await httpServer(answers.truncated(body));
    const file = join(temporaryFolder(), "archive");
    writeFileSync(file, "old");
    await expect(get(url, file)).rejects.toThrow();
    expect(readFileSync(file, "utf8")).toBe("old");
  });

  test.each([
    ["status 503", answers.status(503)],
    ["status 500", answers.status(500)],
    ["status 429", answers.status(429)],
    ["a reset", answers.reset()],
    ["a truncated body", answers.truncated(body)],
    ["silence", () => {}],
  ])("of %s is tried again", async (_name, first) => {
    const server = await scriptedServer(first, first, answers.whole(body));
    const reasons: string[] = [];
    const file = join(temporaryFolder(), "archive");
    const onRetry = (reason: string) => reasons.push(reason);
    const { sha256 } = await get(server.url, file, { stallMs: 300, onRetry });
    expect(sha256).toBe(sha256Of(body));
    expect(server.seen).toHaveLength(3);
    expect(reasons).toHaveLength(2);
  });

  test.each([404, 403, 401, 501])("of status %d is final", async (status) => {
    const server = await scriptedServer(answers.status(status));
    await expect(get(server.url, join(temporaryFolder(), "a"))).rejects.toThrow(`status ${status}`);
    expect(server.seen).toHaveLength(1);
  });

  test("of a port without a listener is final", async () => {
    const file = join(temporaryFolder(), "a");
    await expect(get("http://127.0.0.1:1/a", file)).rejects.toThrow("ECONNREFUSED");
  });
});

describe("Retry-After", () => {
  const busy = (header: string) =>
    scriptedServer(
      (_request, response) => response.writeHead(429, { "retry-after": header }).end(),
      answers.whole(body),
    );

  test("is waited for", async () => {
    const server = await busy("1");
    const started = performance.now();
    await get(server.url, join(temporaryFolder(), "a"));
    expect(performance.now() - started).toBeGreaterThan(990);
  });

  test("ends the download when it is too long", async () => {
    const server = await busy("3600");
    await expect(get(server.url, join(temporaryFolder(), "a"))).rejects.toThrow("429");
    expect(server.seen).toHaveLength(1);
  });
});

describe("an interrupted download", () => {
  const etag = '"v1"';

  test.each([
    ["its ETag", { etag }, etag],
    [
      "Last-Modified",
      { lastModified: "Sun, 22 Nov 2026 10:00:00 GMT" },
      "Sun, 22 Nov 2026 10:00:00 GMT",
    ],
    [
      "Last-Modified where the ETag is weak",
      { etag: 'W/"v1"', lastModified: "Sun, 22 Nov 2026 10:00:00 GMT" },
      "Sun, 22 Nov 2026 10:00:00 GMT",
    ],
  ])("goes on where it ended, guarded by %s", async (_name, validators, ifRange) => {
    const server = await scriptedServer(
      ranged(body, { ...validators, cutAfter: 100_000 }),
      ranged(body, validators),
    );
    const file = join(temporaryFolder(), "archive");
    const { sha256, bytes } = await get(server.url, file);
    expect(server.seen[1]?.headers).toMatchObject({ range: "bytes=100000-", "if-range": ifRange });
    expect({ sha256, bytes }).toEqual({ sha256: sha256Of(body), bytes: body.length });
    expect(readFileSync(file).equals(body)).toBe(true);
  });

  test("goes on in a later run", async () => {
    const folder = temporaryFolder();
    const file = join(folder, "archive");
    const server = await scriptedServer(
      ranged(body, { etag, cutAfter: 70_000 }),
      ranged(body, { etag }),
    );
    await expect(get(server.url, file, { retries: 0 })).rejects.toThrow();
    expect(existsSync(file)).toBe(false);
    await get(server.url, file);
    expect(server.seen[1]?.headers.range).toBe("bytes=70000-");
    expect(readFileSync(file).equals(body)).toBe(true);
    expect(readdirSync(folder)).toEqual(["archive"]);
  });

  test("starts again when another URL is asked", async () => {
    const file = join(temporaryFolder(), "archive");
    const first = await scriptedServer(ranged(body, { etag, cutAfter: 70_000 }));
    const second = await scriptedServer(ranged(body, { etag }));
    await expect(get(first.url, file, { retries: 0 })).rejects.toThrow();
    await get(second.url, file);
    expect(second.seen[0]?.headers.range).toBeUndefined();
  });

  const changed = Buffer.alloc(200_000, "changed");
  test.each([
    ["the file has changed", ranged(changed, { etag: '"v2"' }), changed],
    ["the server knows no ranges", answers.whole(body), body],
  ])("starts again when %s", async (_name, second, expected) => {
    const server = await scriptedServer(ranged(body, { etag, cutAfter: 100_000 }), second);
    const file = join(temporaryFolder(), "archive");
    const { sha256 } = await get(server.url, file);
    expect(server.seen[1]?.headers.range).toBe("bytes=100000-");
    expect(sha256).toBe(sha256Of(expected));
    expect(readFileSync(file).equals(expected)).toBe(true);
  });

  test.each([
    ["another range than asked for", "bytes 5-9/300000"],
    ["a range without a number", "bytes */300000"],
  ])("starts again when the server sends %s", async (_name, contentRange) => {
    const server = await scriptedServer(
      ranged(body, { etag, cutAfter: 100_000 }),
      (_request, response) =>
        response.writeHead(206, { "content-range": contentRange }).end("xxxxx"),
      ranged(body, { etag }),
    );
    const file = join(temporaryFolder(), "archive");
    expect((await get(server.url, file)).sha256).toBe(sha256Of(body));
    expect(server.seen[2]?.headers.range).toBeUndefined();
  });

  test("starts again when the server has fewer bytes than the local file", async () => {
    const server = await scriptedServer(
      ranged(body, { etag, cutAfter: 100_000 }),
      answers.status(416),
      ranged(body, { etag }),
    );
    expect((await get(server.url, join(temporaryFolder(), "a"))).sha256).toBe(sha256Of(body));
    expect(server.seen[2]?.headers.range).toBeUndefined();
  });

  test("without a validator starts again", async () => {
    const server = await scriptedServer(ranged(body, { cutAfter: 100_000 }), ranged(body));
    expect((await get(server.url, join(temporaryFolder(), "a"))).sha256).toBe(sha256Of(body));
    expect(server.seen[1]?.headers.range).toBeUndefined();
  });
});

test("ends immediately when it is aborted, with the reason of the abort", async () => {
  const abort = new AbortController();
  const reason = new Error("enough");
  const url = await httpServer((_request, response) => {
    response.writeHead(200, { "content-length": body.length });
    response.write("x", () => abort.abort(reason));
  });
  const file = join(temporaryFolder(), "archive");
  await expect(get(url, file, { signal: abort.signal })).rejects.toBe(reason);
});

test("ends immediately when it is aborted while it waits to try again", async () => {
  const abort = new AbortController();
  const reason = new Error("enough");
  const url = await httpServer(answers.status(503));
  const options = { signal: abort.signal, backoffMs: 20_000, onRetry: () => abort.abort(reason) };
  await expect(get(url, join(temporaryFolder(), "a"), options)).rejects.toBe(reason);
});
