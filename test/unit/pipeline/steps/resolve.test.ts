import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { DEFAULT_RELEASE, findRelease } from "../../../../src/catalog/releases.js";
import type { BuildRequest, Session } from "../../../../src/pipeline/request.js";
import { chooseSource } from "../../../../src/pipeline/steps/resolve.js";
import { requestOf } from "../../../support/build-request.js";
import { temporaryFolder } from "../../../support/temporary.js";

const sum = "a".repeat(64);

const choose = (given: Partial<BuildRequest>, env: Session["env"] = {}) =>
  chooseSource(requestOf(given), env);

test("takes the default release when nothing is asked for, and may fall back then", async () => {
  expect(await choose({})).toMatchObject({
    kind: "official",
    release: { version: DEFAULT_RELEASE },
    urls: [`https://mirror.example/download/openresty-${DEFAULT_RELEASE}.tar.gz`],
    mayFallBack: true,
  });
});

test.each<[string, Partial<BuildRequest>, Session["env"]]>([
  ["a version was asked for", { release: "1.27.1.1" }, {}],
  ["the official source was asked for", { source: "official" }, {}],
  ["it runs in CI", {}, { CI: "true" }],
])("does not fall back on another nginx when %s", async (_name, given, env) => {
  expect(await choose(given, env)).toMatchObject({ kind: "official", mayFallBack: false });
});

test("lists the known versions when one is unknown", async () => {
  await expect(choose({ release: "1.2.3.4" })).rejects.toMatchObject({
    code: "release-unknown",
    message: expect.stringContaining("1.2.3.4"),
    hint: expect.stringMatching(/1\.31\.1\.1.*1\.21\.4\.1/s),
  });
});

test("takes a file, a directory and a file URL", async () => {
  const folder = temporaryFolder();
  const path = join(folder, "openresty.tar.gz");
  writeFileSync(path, "");
  expect(await choose({ source: path, sha256: sum.toUpperCase() })).toEqual({
    kind: "file",
    path,
    sha256: sum,
  });
  expect(await choose({ source: `file://${path}` })).toMatchObject({ kind: "file", path });
  expect(await choose({ source: folder })).toEqual({ kind: "directory", path: folder });
});

test("takes a URL with its SHA-256, or a known release from elsewhere", async () => {
  const url = "https://example.org/my.tar.gz";
  expect(await choose({ source: url, sha256: sum })).toEqual({ kind: "url", url, sha256: sum });
  const known = "https://example.org/pub/openresty-1.27.1.2.tar.gz";
  expect(await choose({ source: known })).toMatchObject({
    kind: "official",
    urls: [known],
    release: findRelease("1.27.1.2"),
  });
});

test.each<[string, Partial<BuildRequest>, RegExp]>([
  ["a URL without --sha256", { source: "https://example.org/my.tar.gz" }, /needs --sha256/],
  ["a file URL of another host", { source: "file://host/x" }, /--source file:\/\/host\/x: /],
  ["a file URL with a slash in a name", { source: "file:///a%2Fb" }, /--source file:\/\/\/a%2Fb: /],
  ["a file that is not there", { source: "/no/such/file" }, /file or directory not found/],
  ["a checksum that is none", { source: "/etc/passwd", sha256: "abc" }, /64 hexadecimal digits/],
  ["a version for a file", { source: "/etc/passwd", release: "1.27.1.2" }, /does not go with/],
  ["a checksum for a folder", { source: "/etc", sha256: sum }, /does not go with a directory/],
  ["a checksum for debian", { source: "debian", sha256: sum }, /does not go with --source debian/],
  ["an official version of Debian", { source: "debian", release: "1.27.1.2" }, /does not go with/],
  ["another suite's nginx", { source: "debian:trixie", release: "1.22.1" }, /debian:trixie/],
])("refuses %s", async (_name, given, message) => {
  await expect(choose(given)).rejects.toMatchObject({
    code: "usage",
    message: expect.stringMatching(message),
  });
});

test("refuses a --sha256 that contradicts the catalog", async () => {
  await expect(choose({ release: "1.27.1.2", sha256: sum })).rejects.toMatchObject({
    code: "verify-failed",
  });
});

test("lists the known suites when a Debian suite is unknown", async () => {
  await expect(choose({ source: "debian:sarge" })).rejects.toMatchObject({
    code: "release-unknown",
    hint: expect.stringContaining("bookworm"),
  });
});

test("asks every mirror in order, and leaves a token behind the name of the archive", async () => {
  const mirrors = ["https://one.example/a/", "http://me:pw@two.example?token=t0ken"];
  expect(await choose({ mirrors })).toMatchObject({
    urls: [
      `https://one.example/a/openresty-${DEFAULT_RELEASE}.tar.gz`,
      `http://me:pw@two.example/openresty-${DEFAULT_RELEASE}.tar.gz?token=t0ken`,
    ],
  });
  await expect(choose({ mirrors: ["ftp://me:s3cret@x"] })).rejects.toMatchObject({
    code: "usage",
    message: expect.not.stringContaining("s3cret"),
  });
});

test("neither falls back on Debian's sources nor takes them when it is offline", async () => {
  const offline = { offline: true };
  expect(await chooseSource(requestOf({}, offline), {})).toMatchObject({ mayFallBack: false });
  await expect(chooseSource(requestOf({ source: "debian" }, offline), {})).rejects.toThrow(
    "--offline does not go with",
  );
});
