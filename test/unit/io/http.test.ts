import { createHash } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { download, withoutSecrets } from "../../../src/io/http.js";
import { answers, httpServer } from "../../support/http-server.js";
import { temporaryFolder } from "../../support/temporary.js";

const body = Buffer.alloc(300_000, "openresty");

test("hashes a download while it streams and puts the file in place", async () => {
  const url = await httpServer(answers.whole(body));
  const file = join(temporaryFolder(), "archive");
  const downloaded = await download({ url, file });
  expect(downloaded.sha256).toBe(createHash("sha256").update(body).digest("hex"));
  expect(readFileSync(file).equals(body)).toBe(true);
});

test.each([
  ["a truncated body", answers.truncated(body), /cannot download|ended after/],
  ["a reset connection", answers.reset(), /cannot download/],
  ["status 404", answers.status(404), /HTTP status 404/],
  ["status 503", answers.status(503), /HTTP status 503/],
])("leaves no file behind after %s", async (_name, answer, message) => {
  const url = await httpServer(answer);
  const folder = temporaryFolder();
  await expect(download({ url, file: join(folder, "archive") })).rejects.toMatchObject({
    code: "fetch-failed",
    message: expect.stringMatching(message),
  });
  expect(readdirSync(folder)).toEqual([]);
});

test("keeps the file that is there when the download fails", async () => {
  const url = await httpServer(answers.truncated(body));
  const file = join(temporaryFolder(), "archive");
  writeFileSync(file, "old");
  await expect(download({ url, file })).rejects.toThrow();
  expect(readFileSync(file, "utf8")).toBe("old");
});

test("follows redirects, but not for ever", async () => {
  const url = await httpServer((request, response) => {
    if (request.url === "/end") return response.end(body);
    const location = request.url === "/loop" ? "/loop" : "/end";
    return response.writeHead(302, { location }).end();
  });
  const folder = temporaryFolder();
  const found = await download({ url: `${url}/start`, file: join(folder, "a") });
  expect(found.bytes).toBe(body.length);
  await expect(download({ url: `${url}/loop`, file: join(folder, "b") })).rejects.toThrow(
    "redirects too often",
  );
});

test("ends at once when it is aborted, with the reason of the abort", async () => {
  const abort = new AbortController();
  const reason = new Error("enough");
  const url = await httpServer((_request, response) => {
    response.writeHead(200, { "content-length": body.length });
    response.write("x", () => abort.abort(reason));
  });
  const file = join(temporaryFolder(), "archive");
  await expect(download({ url, file, signal: abort.signal })).rejects.toBe(reason);
});

test("shows a URL without user, password and query", () => {
  expect(withoutSecrets("https://me:secret@example.org/a.tar.gz?token=1")).toBe(
    "https://example.org/a.tar.gz",
  );
});
