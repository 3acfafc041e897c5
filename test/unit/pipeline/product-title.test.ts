import { expect, test } from "vitest";
import type { BuiltManifest } from "../../../src/pipeline/manifest.js";
import { rebuildCommand, titleOf } from "../../../src/pipeline/product-title.js";

const manifest = (source: Partial<BuiltManifest["source"]>, more: Partial<BuiltManifest> = {}) =>
  ({
    source: { kind: "archive", name: "", origin: "", ...source },
    components: { nginx: "1.26.3", ngx_lua: "0.10.28" },
    ...more,
  }) as BuiltManifest;

const sha256 = "74f076f7e364b2a99a6c5f9bb531c27610c78985abe956b442b192a2295f7548"; // of 1.27.1.2

test.each([
  [
    { name: "OpenResty 1.27.1.2", origin: "https://x/openresty-1.27.1.2.tar.gz" },
    "OpenResty 1.27.1.2",
  ],
  [{ name: "/tmp/a.tar.gz", origin: "/tmp/a.tar.gz", sha256 }, "OpenResty 1.27.1.2"],
  [
    { kind: "directory", name: "/src/openresty-1.25.3.1", origin: "/src/openresty-1.25.3.1" },
    "OpenResty 1.25.3.1",
  ],
  [
    { kind: "directory", name: "/src/tree", origin: "/src/tree" },
    "OpenResty (nginx 1.26.3, ngx_lua 0.10.28)",
  ],
  [{ kind: "debian", origin: "Debian trixie" }, "Debian trixie (nginx 1.26.3, ngx_lua 0.10.28)"],
] as const)("%j is called %s", (source, title) => {
  expect(titleOf(manifest(source))).toBe(title);
  expect(titleOf(manifest(source, { flavor: "asan" }))).toBe(`${title}, asan`);
});

test.each([
  [manifest({ kind: "debian", origin: "Debian bookworm" }), "--source debian:bookworm --prefix /p"],
  [
    manifest({ name: "OpenResty 1.27.1.2", origin: "https://x" }, { flavor: "debug" }),
    "--source official --openresty 1.27.1.2 --prefix /p --flavor debug",
  ],
  [
    manifest({ name: "/a b.tgz", origin: "/a b.tgz", sha256: "00" }),
    "--source '/a b.tgz' --prefix /p --sha256 00",
  ],
  [
    manifest(
      { kind: "directory", name: "/t", origin: "/t" },
      { inputs: { key: "", parts: { "options for configure": '["--with-x=1 2"]' } } },
    ),
    "--source /t --prefix /p -- '--with-x=1 2'",
  ],
])("is built again by a command with its source and options", (one, options) => {
  expect(rebuildCommand({ prefix: "/p", manifest: one })).toBe(`nffi build ${options}`);
});
