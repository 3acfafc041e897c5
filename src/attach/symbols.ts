/** Checks that nginx and ngx_lua export the symbols that the glue needs. */
import { NffiError } from "../errors.js";
import type { ElfObject } from "../io/elf-object.js";
import { type NginxProgram, titleOfNginx } from "./nginx-program.js";
import type { NgxLua } from "./ngx-lua.js";

/** The functions of ngx_lua with which a coroutine waits; our Lua code calls them by FFI. */
const SEMAPHORE = ["new", "post", "wait", "count", "gc"];

const semaphoreOf = (subsystem: "http" | "stream") =>
  SEMAPHORE.map((name) => `ngx_${subsystem}_lua_ffi_sema_${name}`);

export interface NeededSymbols {
  /** Undefined symbols of the glue that nginx must export. */
  readonly ofNginx: readonly string[];
  readonly ofNgxLua: readonly string[];
}

export function neededSymbols(
  glue: ElfObject,
  { hasStream }: Pick<NgxLua, "hasStream">,
): NeededSymbols {
  return {
    ofNginx: glue.imports.filter((name) => name.startsWith("ngx_")),
    ofNgxLua: [...semaphoreOf("http"), ...(hasStream ? semaphoreOf("stream") : [])],
  };
}

/** Throws one error that names every missing symbol. */
export function requireSymbols(
  needed: NeededSymbols,
  nginx: NginxProgram,
  { objects, path }: Pick<NgxLua, "objects" | "path">,
): void {
  const isExported = (name: string) => objects.some(({ elf }) => elf.exports.has(name));
  const missing = {
    nginx: needed.ofNginx.filter((name) => !isExported(name)),
    ngxLua: needed.ofNgxLua.filter((name) => !isExported(name)),
  };
  const all = [...missing.nginx, ...missing.ngxLua];
  if (all.length === 0) return;
  const title = titleOfNginx(nginx);
  const lacking = missing.nginx.length > 0 ? title : `the ngx_lua in ${path}`;
  const some = all.slice(0, 4).join(", ");
  const more = all.length > 4 ? ` and ${all.length - 4} more` : "";
  throw new NffiError("nginx-unsuitable", `${lacking} does not export ${some}${more}`, {
    hint:
      missing.nginx.length > 0
        ? "its symbols are hidden, or it was linked without -Wl,-E: build it with --with-ld-opt=-Wl,-E\n" +
          "or run `nffi build`, which builds an OpenResty"
        : "ngx_lua is older than 0.10.21 or its symbols are hidden; install a newer one",
  });
}
