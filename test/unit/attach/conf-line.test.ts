import { mkdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { defaultPrefixOf, hintsOf, isSearched } from "../../../src/attach/conf-line.js";
import { temporaryFolder } from "../../support/temporary.js";

const NFFI = "/usr/local/nffi";

describe("the line for nginx.conf", () => {
  /** An OpenResty whose Lua searches site/, and a link to that. */
  function openresty() {
    const root = temporaryFolder();
    mkdirSync(join(root, "site"));
    symlinkSync("site", join(root, "link"));
    const luaPath = `${root}/site/lualib/?.ljbc;${root}/site/lualib/?.lua;./?.lua`;
    return { root, luaPath };
  }

  test("none where the prefix is searched, also if it does not exist yet", async () => {
    const { root, luaPath } = openresty();
    expect(await isSearched(`${root}/site`, { luaPath })).toBe(true);
    expect(await isSearched("/nowhere/nffi", { luaPath: "/nowhere/nffi/lualib/?.lua" })).toBe(true);
  });

  test("none where the prefix is a link to what is searched, or is searched by a link", async () => {
    const { root, luaPath } = openresty();
    const ngxLua = { luaPath, configuredPath: undefined };
    expect(await hintsOf(`${root}/link`, ngxLua, { conf: "/c" })).toEqual([]);
    expect(await isSearched(`${root}/site`, { luaPath: `${root}/link/lualib/?.lua` })).toBe(true);
  });

  test("one where only files of another kind are searched, or nothing of it", async () => {
    const { root } = openresty();
    const luaPath = `${root}/site/lualib/?.ljbc;./?.lua;${root}/site/lualib/?/init.lua`;
    expect(
      await hintsOf(`${root}/site`, { luaPath, configuredPath: undefined }, { conf: "/c" }),
    ).toEqual([
      "add this line to http { } in /c, and reload nginx:",
      `  lua_package_path "${root}/site/lualib/?.lua;;";`,
    ]);
  });

  test("a changed one where nginx.conf has a lua_package_path already", async () => {
    const ngxLua = { luaPath: "/opt/?.lua", configuredPath: "/opt/?.lua;;" };
    expect((await hintsOf("/p", ngxLua, { conf: "/c" })).at(-1)).toBe(
      '  lua_package_path "/p/lualib/?.lua;/opt/?.lua;;";',
    );
  });

  test.each([
    ["an OpenResty", "/o/lualib/?.lua;/o/site/lualib/?.lua;./?.lua", undefined, "/o/site"],
    ["a relative one", "/usr/share/lua/5.1/?.lua;./site/lualib/?.lua", undefined, NFFI],
    ["a project", "/srv/app/site/lualib/?.lua;/o/lualib/?.lua", "/srv/app/site/lualib/?.lua", NFFI],
    ["a project beside nginx", "/o/site/lualib/?.lua", "/o/site/lualib/?.lua;;", NFFI],
  ])("the default prefix: site of %s", async (_whose, luaPath, configuredPath, prefix) => {
    const nginx = { isOpenresty: false, prefix: "/o/nginx" };
    expect(await defaultPrefixOf(nginx, { luaPath, configuredPath })).toBe(prefix);
  });
});
