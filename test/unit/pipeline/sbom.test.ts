// The bill of materials, against the schema that CycloneDX publishes.
import { Spec, Validation } from "@cyclonedx/cyclonedx-library";
import { describe, expect, test } from "vitest";
import { findBundled } from "../../../src/catalog/bundled.js";
import { type SbomSubject, sbomText } from "../../../src/pipeline/sbom.js";
import type { SourceIdentity } from "../../../src/sources/source.js";

const validator = new Validation.JsonStrictValidator(Spec.Version.v1dot6);
const sum = (digit: string) => digit.repeat(64);

const official: SourceIdentity = {
  kind: "archive",
  name: "OpenResty 1.27.1.2",
  origin: "https://openresty.org/download/openresty-1.27.1.2.tar.gz",
  sha256: sum("a"),
  verifiedBy: "its SHA-256",
  packages: {},
  configureArgs: [],
};

const debian: SourceIdentity = {
  ...official,
  kind: "debian",
  name: "1.26.3-debian-trixie (OpenResty-compatible, assembled from Debian sources)",
  origin: "Debian trixie",
  sha256: undefined,
  parts: [
    {
      component: "ngx_lua",
      version: "1:0.10.28-2",
      archives: [{ file: "libnginx-mod-http-lua_0.10.28.orig.tar.gz", sha256: sum("b") }],
      patches: ["fix-build.patch"],
    },
    {
      component: "lua-resty-core",
      version: "0.1.31-1",
      archives: [{ file: "lua-resty-core_0.1.31-1_all.deb", sha256: sum("c") }],
      patches: [],
    },
  ],
};

function subject(given: Partial<SbomSubject> = {}): SbomSubject {
  return {
    nffi: "0.1.0",
    source: official,
    components: [
      { name: "nginx", version: "1.27.1" },
      { name: "ngx_lua", version: "0.10.28" },
      { name: "lua-resty-core", version: "0.1.31" },
      { name: "some-module", version: "0.1rc1" },
    ],
    patches: [
      { name: "0001.patch", component: "ngx_lua", sha256: sum("d"), text: "--- a\n+++ b\n" },
      { name: "mine.patch", component: undefined, sha256: sum("e"), text: "--- a\n+++ c\n" },
    ],
    added: {
      modules: ["/home/me/x"],
      dynamicModules: ["/home/me/ngx_brotli-1.0.0rc"],
      libraries: { openssl: "/home/me/openssl-3.5.4" },
    },
    npmPackages: [
      { name: "@swc/wasm-typescript", version: "1.0.0", licence: "Apache-2.0", isInstalled: true },
      { name: "node-api-headers", version: "1.9.0", licence: "MIT", isInstalled: false },
    ],
    files: {
      "nginx/sbin/nginx": sum("1"),
      "nffi/lib/libnffi.so": sum("2"),
      "nffi/node/node_modules/x/x.js": sum("3"),
      "lualib/resty/nffi.lua": sum("4"),
      "lualib/resty_ffi.lua": sum("6"),
      "lualib/resty/core.lua": sum("5"),
    },
    date: undefined,
    ...given,
  };
}

interface Part {
  readonly name: string;
  readonly purl?: string;
  readonly licenses?: unknown;
  readonly components?: readonly Part[];
  readonly pedigree?: { readonly notes: string; readonly patches?: readonly unknown[] };
  readonly externalReferences?: readonly unknown[];
}

function partOf(text: string, name: string): Part | undefined {
  return JSON.parse(text).components.find((part: Part) => part.name === name);
}

test.each([
  ["an official release", subject()],
  ["Debian's sources", subject({ source: debian, date: 0 })],
  ["a folder", subject({ source: { ...official, kind: "directory", sha256: undefined } })],
  ["a file with a strange name", subject({ source: { ...official, origin: "/a b/ü ?.tgz" } })],
])("is valid for %s", async (_what, given) => {
  expect(await validator.validate(sbomText(given))).toBeNull();
});

test("the schema would find a fault", async () => {
  const broken = sbomText(subject()).replace('"SHA-256"', '"SHA-1024"');
  expect(await validator.validate(broken)).not.toBeNull();
});

describe("a component", () => {
  test("of an official release is named by its place at GitHub", () => {
    const text = sbomText(subject());
    expect(partOf(text, "nginx")).toMatchObject({
      version: "1.27.1",
      purl: "pkg:github/nginx/nginx@release-1.27.1",
      licenses: [{ license: { id: "BSD-2-Clause" } }],
    });
    expect(JSON.parse(text).metadata.component).toMatchObject({
      purl: "pkg:github/openresty/openresty@v1.27.1.2",
      externalReferences: [{ url: official.origin, hashes: [{ content: sum("a") }] }],
    });
  });

  test("of Debian is named by its source package, with its archives and patches", () => {
    const text = sbomText(subject({ source: debian }));
    expect(partOf(text, "ngx_lua")).toMatchObject({
      purl: "pkg:deb/debian/libnginx-mod-http-lua@1:0.10.28-2?arch=source&distro=trixie",
      externalReferences: [{ hashes: [{ alg: "SHA-256", content: sum("b") }] }],
    });
    expect(partOf(text, "ngx_lua")?.pedigree?.notes).toContain("fix-build.patch");
    expect(partOf(text, "lua-resty-core")?.purl).toContain("arch=all");
  });

  test("that is unknown has no location and no licence", () => {
    expect(partOf(sbomText(subject()), "some-module")).not.toHaveProperty("purl");
    expect(partOf(sbomText(subject()), "some-module")).not.toHaveProperty("licenses");
    expect(findBundled("toString")).toBeUndefined();
  });

  test("lists its patches, with their diffs", () => {
    const text = sbomText(subject());
    expect(partOf(text, "ngx_lua")?.pedigree).toEqual({
      patches: [
        {
          type: "unofficial",
          diff: { text: { contentType: "text/x-diff", content: "--- a\n+++ b\n" } },
        },
      ],
      notes: `0001.patch (SHA-256 ${sum("d")})`,
    });
    expect(JSON.parse(text).metadata.component.pedigree.notes).toContain("mine.patch");
  });

  test("lists the vulnerabilities that a patch resolves, by the header of the patch", async () => {
    const fix = { name: "2.patch", component: "ngx_lua", sha256: sum("f") };
    const header = "Bounds (CVE-2022-24834), CVE-2022-24834 and CVE-2024-0001\n";
    const text = sbomText(
      subject({ patches: [{ ...fix, text: `${header}--- a\n+++ b\n+CVE-2000-0001\n` }] }),
    );
    expect(partOf(text, "ngx_lua")?.pedigree?.patches).toMatchObject([
      {
        resolves: [
          { type: "security", id: "CVE-2022-24834" },
          { type: "security", id: "CVE-2024-0001" },
        ],
      },
    ]);
    expect(await validator.validate(text)).toBeNull();
  });
});

test("modules and libraries of the user are named, without their paths", () => {
  const text = sbomText(subject());
  expect(partOf(text, "openssl")).toMatchObject({ version: "3.5.4" });
  expect(partOf(text, "ngx_brotli")).toMatchObject({ version: "1.0.0rc" });
  expect(partOf(text, "x")).not.toHaveProperty("version");
  expect(text).not.toContain("/home/me");
});

test("our own files have their hashes, those of others are not among them", () => {
  const own = partOf(sbomText(subject()), "nffi")?.components?.map(({ name }) => name);
  expect(own).toEqual(["lualib/resty/nffi.lua", "lualib/resty_ffi.lua", "nffi/lib/libnffi.so"]);
});

test("the same product has the same bill, another one another serial number", () => {
  const text = sbomText(subject());
  expect(sbomText(subject())).toBe(text);
  expect(text).not.toContain("timestamp");
  const other = sbomText(subject({ nffi: "0.1.1" }));
  const serial = (bom: string) => JSON.parse(bom).serialNumber;
  expect(serial(text)).toMatch(/^urn:uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
  expect(serial(other)).not.toBe(serial(text));
  const dated = JSON.parse(sbomText(subject({ date: 86_400 })));
  expect(dated.metadata.timestamp).toBe("1970-01-02T00:00:00.000Z");
});
