// The additions to a configuration of a test on an attached product: the modules of that
// nginx, the path of our Lua files, and the module that puts ngx.load_ffi() into a Lua VM.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** Beside the manifest of an attached product of the tests; absent where nothing is needed. */
export interface Place {
  /** The nginx to run, if it is outside the prefix. */
  readonly program?: string;
  /** Directives of the main level, such as load_module. */
  readonly main?: string;
  /** The part of lua_package_path that finds resty.nffi, where Lua does not search it anyway. */
  readonly luaPath?: string;
}

export function isAttached(prefix: string): boolean {
  return manifestOf(prefix).kind === "attached";
}

export function placeOf(prefix: string): Place {
  return readJson(join(prefix, "nffi-test-place.json"));
}

/** The text of an nginx.conf or of a Lua file, as the product of `prefix` needs it. */
export function adapted(text: string, prefix: string): string {
  if (!isAttached(prefix)) return text;
  const { main = "", luaPath } = placeOf(prefix);
  const loaded = text.replace(/\bngx\.(load_(?:nonblocking_)?ffi)\b/g, (_, name) => {
    return `(require("resty.nffi") and ngx.${name})`;
  });
  if (!/^\s*events\s*\{/m.test(text)) return loaded;
  return `${main}\n${luaPath === undefined ? loaded : withLuaPath(loaded, luaPath)}`;
}

/** nginx accepts one lua_package_path only. */
function withLuaPath(conf: string, path: string): string {
  const directive = /(\blua_package_path\s+["'])/;
  if (directive.test(conf)) return conf.replace(directive, `$1${path};`);
  return conf.replace(/^(\s*http\s*\{)/m, `$1 lua_package_path "${path};;";`);
}

const manifests = new Map<string, Readonly<Record<string, unknown>>>();

function manifestOf(prefix: string): Readonly<Record<string, unknown>> {
  const known = manifests.get(prefix) ?? readJson(join(prefix, "nffi/nffi.json"));
  manifests.set(prefix, known);
  return known;
}

function readJson(file: string): Record<string, string> {
  return existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : {};
}
