import { expect, test } from "vitest";
import { buildSourceOf } from "../../../src/scaffold/build-source.js";
import type { SourceIdentity } from "../../../src/sources/source.js";

function sourceOf(identity: Partial<SourceIdentity>) {
  return buildSourceOf({ source: identity as SourceIdentity });
}

test("a project of a Debian build builds from the same suite", () => {
  expect(sourceOf({ kind: "debian", origin: "Debian bookworm" })).toEqual({
    options: "--source debian:bookworm",
    suite: "bookworm",
    pcre: 2,
  });
});

test("a project of an official release builds from that, wherever its archive came from", () => {
  const origin = "/home/me/openresty.tar.gz";
  expect(sourceOf({ kind: "archive", name: "OpenResty 1.27.1.2", origin })).toEqual({
    options: "--source official --openresty 1.27.1.2",
    suite: "trixie",
    pcre: 2,
  });
});

test("PCRE1 is in no Debian after bookworm", () => {
  expect(sourceOf({ kind: "archive", name: "OpenResty 1.21.4.2", origin: "x" })).toEqual({
    options: "--source official --openresty 1.21.4.2",
    suite: "bookworm",
    pcre: 1,
  });
});

test("a URL is named with its SHA-256", () => {
  const origin = "https://example.com/mine.tar.gz";
  const source = sourceOf({ kind: "archive", name: origin, origin, sha256: "abc" });
  expect(source?.options).toBe(`--source ${origin} --sha256 abc`);
});

test.each(["archive", "directory"] as const)(
  "a %s of this machine is no source elsewhere",
  (kind) => {
    expect(sourceOf({ kind, name: "/src/mine", origin: "/src/mine", sha256: "a" })).toBeUndefined();
  },
);
