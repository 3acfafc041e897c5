/** Copies what needs no compiler into a staged product: the Lua modules and the Node runtime. */
import { cp, mkdir, readdir } from "node:fs/promises";
import { join, relative } from "node:path";
import { type ShippedFiles, typeStripper, version } from "../host/package.js";
import { writeFileWhole } from "../io/files.js";

export async function stageScripts(files: ShippedFiles, stagedPrefix: string): Promise<void> {
  await stageLua(files, stagedPrefix);
  await cp(join(files.lua, "types"), join(stagedPrefix, LUA_TYPES), { recursive: true });
  await stageNodeRuntime(files, stagedPrefix);
}

/** lua/resty/core/ is not copied here: it was installed by lua-resty-core's own Makefile. */
async function stageLua(files: ShippedFiles, stagedPrefix: string): Promise<void> {
  const from = join(files.lua, "resty");
  const into = join(stagedPrefix, "lualib/resty");
  await cp(join(files.lua, "resty_ffi.lua"), join(stagedPrefix, "lualib/resty_ffi.lua"));
  await cp(from, into, {
    recursive: true,
    filter: (source) => {
      const path = relative(from, source);
      return path !== "core" && (!/\.[a-z]+$/.test(path) || path.endsWith(".lua"));
    },
  });
}

/** The directory that a .luarc.json names; nothing in it is ever run. */
const LUA_TYPES = "nffi/lua-types";

/** The types for the code of runtimes. */
const TYPES = "handler.d.ts";

/** Projects depend on the directory as @nffi/runtime; the program itself needs only `type`. */
const RUNTIME_PACKAGE = {
  name: "@nffi/runtime",
  version,
  private: true,
  type: "module",
  exports: { ".": { types: `./${TYPES}`, default: "./handler.js" } },
};

async function stageNodeRuntime(files: ShippedFiles, stagedPrefix: string): Promise<void> {
  const into = join(stagedPrefix, "nffi/node");
  await mkdir(into, { recursive: true });
  for (const name of await readdir(files.nodeRuntime)) {
    if (/\.(map|d\.ts)$/.test(name) && name !== TYPES) continue;
    await cp(join(files.nodeRuntime, name), join(into, name), { recursive: true });
  }
  const stripper = typeStripper();
  await cp(stripper.dir, join(into, "node_modules", stripper.name), { recursive: true });
  await writeFileWhole(join(into, "package.json"), `${JSON.stringify(RUNTIME_PACKAGE, null, 2)}\n`);
}
