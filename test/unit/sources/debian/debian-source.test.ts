import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import type { FetchedComponent } from "../../../../src/sources/debian/choose-revision.js";
import {
  assembleDebianTree,
  type DebianTree,
  resolveDebianSuite,
} from "../../../../src/sources/debian/debian-source.js";
import { findSuite } from "../../../../src/sources/debian/suites.js";
import { binaryPackage, tarball, temporaryFolder, writeFiles } from "./packages.js";

const NGINX = {
  "auto/cc/gcc": '# stop on warning\nCFLAGS="$CFLAGS -Werror"\n',
  "src/core/nginx.h": '#define NGINX_VER "nginx/" NGINX_VERSION\n',
  "src/core/hello.c": "one\ntwo\nthree\n",
};
const PATCH = `--- a/src/core/hello.c
+++ b/src/core/hello.c
@@ -1,3 +1,3 @@
 one
-two
+TWO
 three
`;

const suite = () => findSuite("trixie") ?? expect.fail("no trixie");

function source(
  name: string,
  files: Record<string, string>,
  series?: Record<string, string>,
): FetchedComponent {
  const component = suite().components.find((one) => one.component === name);
  if (!component) return expect.fail(`no ${name}`);
  const orig = tarball(`${name}_1.2.3.orig.tar.gz`, "some-upstream-name", files);
  const packaging = series && tarball(`${name}_1.2.3-1.debian.tar.xz`, "debian/patches", series);
  return {
    component,
    version: "1.2.3",
    debianVersion: "1.2.3-1",
    files: { kind: "source", orig, ...(packaging && { packaging }) },
  };
}

function assemble(...components: FetchedComponent[]): Promise<DebianTree> {
  return assembleDebianTree({ suite: suite(), components, notes: [] }, { into: temporaryFolder() });
}

describe("assembleDebianTree", () => {
  it("lays out bundle and configure as OpenResty does", async () => {
    const tree = await assemble(source("nginx", NGINX), source("LuaJIT", { ".relver": "1\n" }));
    expect(tree.version).toBe("1.2.3-debian-trixie");
    expect(tree.root.endsWith("/openresty-1.2.3-debian-trixie")).toBe(true);
    expect(tree.components.map(({ directory }) => directory)).toEqual([
      "nginx-1.2.3",
      "LuaJIT-1.2.3",
    ]);
    expect(existsSync(join(tree.root, "bundle/LuaJIT-1.2.3/.relver"))).toBe(true);
    expect(statSync(join(tree.root, "configure")).mode & 0o111).toBe(0o111);
  });

  it("applies Debian's patches in the order of the series", async () => {
    const second = PATCH.replace("-two\n+TWO", "-TWO\n+2");
    const series = {
      series: "# first\na.patch\n\nb.patch -p1 # second\n",
      "a.patch": PATCH,
      "b.patch": second,
    };
    const tree = await assemble(source("nginx", NGINX, series));
    expect(read(tree, "nginx-1.2.3/src/core/hello.c")).toBe("one\n2\nthree\n");
    expect(tree.components[0]?.debianPatches).toEqual(["a.patch", "b.patch"]);
    expect(existsSync(join(tree.root, "bundle/nginx-1.2.3.debian"))).toBe(false);
  });

  it("refuses a series that fits only with fuzz", async () => {
    const series = { series: "a.patch\n", "a.patch": PATCH.replace(" one", " ONE") };
    await expect(assemble(source("nginx", NGINX, series))).rejects.toMatchObject({
      code: "patch-failed",
      message: expect.stringContaining("a.patch"),
    });
  });

  it("names the product openresty and lets warnings pass", async () => {
    const tree = await assemble(source("nginx", NGINX));
    expect(read(tree, "nginx-1.2.3/src/core/nginx.h")).toContain('"openresty/" NGINX_VERSION');
    expect(read(tree, "nginx-1.2.3/auto/cc/gcc")).not.toContain("-Werror");
  });

  it("renames lua-cjson's own luaL_setfuncs", async () => {
    const cjson = source("lua-cjson", { "lua_cjson.c": "luaL_setfuncs(l, reg, 1);\n" });
    const tree = await assemble(cjson);
    expect(read(tree, "lua-cjson-1.2.3/lua_cjson.c")).toBe("json_setfuncs(l, reg, 1);\n");
  });

  it("refuses a source that lacks what must be edited", async () => {
    const nginx = source("nginx", { "auto/cc/gcc": "" });
    await expect(assemble(nginx)).rejects.toMatchObject({ code: "extract-failed" });
  });

  it("takes a tarball without a top directory", async () => {
    const component = source("LuaJIT", {});
    const orig = tarball("luajit_1.2.3.orig.tar.gz", "", { Makefile: "", "src/lj.c": "" });
    const tree = await assemble({ ...component, files: { kind: "source", orig } });
    expect(existsSync(join(tree.root, "bundle/LuaJIT-1.2.3/src/lj.c"))).toBe(true);
  });

  it("moves the Lua files of a binary package to the layout of the source", async () => {
    const component = source("lua-resty-core", {});
    const deb = binaryPackage("lua-resty-core", { "usr/share/lua/5.1/resty/core.lua": "return 1" });
    const tree = await assemble({ ...component, files: { kind: "lua-package", deb } });
    expect(read(tree, "lua-resty-core-1.2.3/lib/resty/core.lua")).toBe("return 1");
    expect(read(tree, "lua-resty-core-1.2.3/Makefile")).toContain("LUA_LIB_DIR");
  });

  it("lists every archive with its checksum", async () => {
    const nginx = source("nginx", NGINX, { series: "" });
    const { origins } = await assemble(nginx);
    expect(origins.map(({ file }) => file)).toEqual([
      "nginx_1.2.3.orig.tar.gz",
      "nginx_1.2.3-1.debian.tar.xz",
    ]);
    expect(origins[0]).toMatchObject({ name: "nginx", version: "1.2.3-1" });
    expect(origins[0]?.sha256).toMatch(/^[0-9a-f]{64}$/);
  });

  it("says when an archive is damaged", async () => {
    const nginx = source("nginx", NGINX);
    if (nginx.files.kind !== "source") return expect.fail();
    writeFiles("/", { [nginx.files.orig.path.slice(1)]: "not a tarball" });
    await expect(assemble(nginx)).rejects.toMatchObject({ code: "extract-failed" });
  });
});

describe("resolveDebianSuite", () => {
  let etc = "";
  beforeEach(() => {
    etc = temporaryFolder();
    writeFiles(etc, { "sources.list": "deb http://mirror.example/debian bookworm main\n" });
  });

  it.each([
    [undefined, "trixie"],
    ["bookworm", "bookworm"],
    ["1.22.1", "bookworm"],
    ["1.26.3-debian-trixie", "trixie"],
  ])("takes %s for the suite %s", async (wanted, name) => {
    expect((await resolveDebianSuite(wanted, { etc })).suite.name).toBe(name);
  });

  it("lists the suites when the requested one is unknown", async () => {
    await expect(resolveDebianSuite("potato", { etc })).rejects.toMatchObject({
      code: "release-unknown",
      hint: expect.stringContaining("bookworm (nginx 1.22.1)"),
    });
  });
});

function read(tree: DebianTree, file: string): string {
  return readFileSync(join(tree.root, "bundle", file), "utf8");
}
