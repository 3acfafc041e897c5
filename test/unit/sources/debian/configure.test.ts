import { spawnSync } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
} from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { shipped } from "../../../../src/host/package.js";
import { temporaryFolder, writeFiles } from "./packages.js";

// Stand-ins that record their arguments.
const NGINX_CONFIGURE = `#!/bin/sh
for argument in "$@"; do echo "$argument"; done >arguments
echo "$LUAJIT_LIB $LUAJIT_INC $NFFI_INC" >environment
echo 'install:\n\tmkdir -p "$(DESTDIR)/p/nginx/sbin"; touch "$(DESTDIR)/p/nginx/sbin/nginx"' >Makefile
echo 'default: ;' | cat - Makefile >Makefile.new && mv Makefile.new Makefile
`;
const LUAJIT_MAKEFILE = `all:
	@echo "$(XCFLAGS)" >flags
install:
	mkdir -p "$(DESTDIR)$(PREFIX)/bin"; touch "$(DESTDIR)$(PREFIX)/bin/luajit-2.1.0-beta3"
`;
const LIBRARY = readFileSync(join(shipped.debianTree, "lua-library.mk"), "utf8");

function tree(extra: Record<string, string> = {}): string {
  const root = temporaryFolder();
  writeFiles(join(root, "bundle"), {
    "nginx-1.2.3/configure": NGINX_CONFIGURE,
    "nginx-no_pool.patch": "",
    "LuaJIT-2.1/Makefile": LUAJIT_MAKEFILE,
    "ngx_devel_kit-0.3/config": "",
    "ngx_lua-0.10.30rc2/config": "# ngx_lua\n",
    "lua-resty-core-1/Makefile": LIBRARY,
    "lua-resty-core-1/lib/resty/core/base.lua": "",
    "lua-resty-lrucache-1/Makefile": LIBRARY,
    "lua-resty-lrucache-1/lib/resty/lrucache.lua": "",
    ...extra,
  });
  chmodSync(join(root, "bundle/nginx-1.2.3/configure"), 0o755);
  copyFileSync(join(shipped.debianTree, "configure"), join(root, "configure"));
  chmodSync(join(root, "configure"), 0o755);
  return root;
}

function configure(root: string, ...args: string[]) {
  const env = { PATH: process.env.PATH, NFFI_INC: "a b" };
  const ran = spawnSync(join(root, "configure"), args, { cwd: root, env, encoding: "utf8" });
  const read = (file: string) => {
    const path = join(root, "build", file);
    return existsSync(path) ? readFileSync(path, "utf8") : "";
  };
  return { ...ran, read, nginx: read("nginx-1.2.3/arguments").trim().split("\n") };
}

describe("the configure of an assembled tree", () => {
  it("adds the bundled modules in OpenResty's order, by relative paths", () => {
    const root = tree({
      "headers-more-nginx-module-0.3/config": "",
      "echo-nginx-module-0.63/config": "",
      "set-misc-nginx-module-0.33/config": "",
    });
    const modules = configure(root, "--prefix=/p").nginx.filter((one) => one.startsWith("--add"));
    expect(modules).toEqual([
      "--add-module=../ngx_devel_kit-0.3",
      "--add-module=../echo-nginx-module-0.63",
      "--add-module=../set-misc-nginx-module-0.33",
      "--add-module=../ngx_lua-0.10.30rc2",
      "--add-module=../headers-more-nginx-module-0.3",
    ]);
  });

  it("installs nginx below the prefix and turns TLS and stream on", () => {
    expect(configure(tree(), "--prefix=/p").nginx).toEqual(
      expect.arrayContaining([
        "--prefix=/p/nginx",
        "--with-http_ssl_module",
        "--with-stream",
        "--with-stream_ssl_module",
        "--with-stream_ssl_preread_module",
      ]),
    );
  });

  it("turns off what it is asked to", () => {
    const root = tree({ "echo-nginx-module-0.63/config": "" });
    const { nginx } = configure(root, "--without-stream", "--without-http_echo_module");
    expect(nginx.join("\n")).not.toMatch(/stream|echo/);
  });

  it("sets an rpath that LD_LIBRARY_PATH can override", () => {
    const { nginx } = configure(tree(), "--prefix=/p", "--with-ld-opt=-Wl,-z,now -lm");
    expect(nginx).toContain(
      "--with-ld-opt=-Wl,-rpath,/p/luajit/lib -Wl,--enable-new-dtags -Wl,-z,now -lm",
    );
  });

  it("passes compiler options and unknown options to nginx unchanged", () => {
    const { nginx } = configure(tree(), "--with-cc-opt=-g -O0", "--x=a b", "--with-threads");
    expect(nginx).toEqual(
      expect.arrayContaining(["--with-cc-opt=-O2 -g -O0", "--x=a b", "--with-threads"]),
    );
  });

  it("makes the path of an added module absolute", () => {
    const root = tree();
    mkdirSync(join(root, "mine"));
    const { nginx } = configure(root, "--add-module=mine");
    expect(nginx).toContain(`--add-module=${root}/mine`);
  });

  it("builds LuaJIT with the final prefix and the flags asked for", () => {
    const root = tree();
    const { read } = configure(root, "-j2", "--prefix=/p", "--with-luajit-xcflags=-DX -DY");
    expect(read("LuaJIT-2.1/flags")).toMatch(/-DLUAJIT_ENABLE_LUA52COMPAT +-DX -DY/);
    expect(existsSync(join(root, "build/luajit-root/p/luajit/bin/luajit-2.1.0-beta3"))).toBe(true);
    expect(read("nginx-1.2.3/environment")).toContain("../luajit-root/p/luajit/lib ");
  });

  it("hands NFFI_INC on", () => {
    expect(configure(tree()).read("nginx-1.2.3/environment")).toContain(" a b\n");
  });

  it("writes the Lua paths of the prefix into ngx_lua, and leaves bundle as it is", () => {
    const root = tree();
    const { read } = configure(root, "--prefix=/p");
    expect(read("ngx_lua-0.10.30rc2/config")).toContain(";/p/lualib/?.lua;");
    expect(readFileSync(join(root, "bundle/ngx_lua-0.10.30rc2/config"), "utf8")).toBe(
      "# ngx_lua\n",
    );
  });

  it("writes a Makefile whose install honours DESTDIR", () => {
    const root = tree();
    configure(root, "--prefix=/p");
    const stage = join(root, "stage");
    const made = spawnSync("make", ["install", `DESTDIR=${stage}`], { cwd: root });
    expect(made.status, String(made.stderr)).toBe(0);
    expect(existsSync(join(stage, "p/lualib/resty/core/base.lua"))).toBe(true);
    expect(existsSync(join(stage, "p/lualib/resty/lrucache.lua"))).toBe(true);
    expect(readlinkSync(join(stage, "p/bin/openresty"))).toBe("../nginx/sbin/nginx");
    expect(lstatSync(join(stage, "p/luajit/bin/luajit")).isSymbolicLink()).toBe(true);
  });

  it.each([
    ["foo", "unknown argument: foo"],
    ["-x", "unknown argument: -x"],
    ["--without-http_lua_module", "made for ngx_lua"],
    ["--prefix=/a b", "neither nginx nor make can install there"],
  ])("refuses %s before anything is built", (argument, message) => {
    const root = tree();
    const { status, stderr } = configure(root, argument);
    expect([status, existsSync(join(root, "build"))]).toEqual([1, false]);
    expect(stderr).toContain(message);
  });

  it("fails when LuaJIT does not build", () => {
    const root = tree({ "LuaJIT-2.1/Makefile": "all:\n\tfalse\n" });
    const { status, stderr } = configure(root);
    expect([status, stderr]).toEqual([1, expect.stringContaining("could not build LuaJIT")]);
  });

  it("explains itself", () => {
    const { status, stdout } = configure(tree(), "--help");
    expect([status, stdout]).toEqual([0, expect.stringContaining("--with-luajit-xcflags=FLAGS")]);
  });
});
