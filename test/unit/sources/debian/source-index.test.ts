import { describe, expect, it } from "vitest";
import { newestBinary, parseSourceIndex } from "../../../../src/sources/debian/source-index.js";

const sum = (digit: string) => digit.repeat(64);

const paragraph = (version: string, files: readonly string[]) =>
  [
    "Package: nginx",
    "Binary: nginx,",
    " nginx-core",
    `Version: ${version}`,
    "Checksums-Sha256:",
    ...files.map((file, i) => ` ${sum(String(i))} 10 ${file}`),
    "Directory: pool/main/n/nginx",
    "",
  ].join("\n");

describe("parseSourceIndex", () => {
  const files = ["nginx_1-1.dsc", "nginx_1.orig.tar.gz", "nginx_1-1.debian.tar.xz"];

  it("finds tarball and packaging with their checksums", () => {
    const [revision] = parseSourceIndex(paragraph("1:1-1", files)).get("nginx") ?? [];
    expect(revision).toEqual({
      source: "nginx",
      version: "1:1-1",
      upstream: "1",
      orig: { name: "nginx_1.orig.tar.gz", sha256: sum("1") },
      packaging: { name: "nginx_1-1.debian.tar.xz", sha256: sum("2") },
    });
  });

  it("sorts revisions, newest first, each once", () => {
    const text = ["1-9", "1-10", "1-9"].map((version) => paragraph(version, files)).join("\n");
    const revisions = parseSourceIndex(text).get("nginx") ?? [];
    expect(revisions.map(({ version }) => version)).toEqual(["1-10", "1-9"]);
  });

  it("takes no file whose name is a path", () => {
    expect(parseSourceIndex(paragraph("1-1", ["../../x.orig.tar.gz"])).size).toBe(0);
  });
});

describe("newestBinary", () => {
  it("takes the newest of what apt-cache shows", () => {
    const show = `Package: l\nVersion: 0.1-1\nSHA256: a\n\nPackage: l\nVersion: 0.1-2\nSHA256: b\n`;
    expect(newestBinary(show)).toEqual({ version: "0.1-2", upstream: "0.1", sha256: "b" });
  });

  it("is undefined when apt knows none", () => {
    expect(newestBinary("")).toBeUndefined();
  });
});
