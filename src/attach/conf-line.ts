/**
 * The line that attaching needs in nginx.conf, so that Lua finds `resty.nffi`. An nginx that
 * already searches the prefix needs none.
 */
import { realpath } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { ATTACHED_PREFIX } from "../pipeline/product.js";
import type { NginxProgram } from "./nginx-program.js";
import type { NgxLua } from "./ngx-lua.js";

/** The end of a path that OpenResty searches before its own modules. */
const SITE = /^(\/.*\/site)\/lualib\/\?\.lua$/;

/**
 * `site` of this OpenResty if its Lua searches it, else /usr/local/nffi. A project may have a
 * directory of that name, which the user has added to the path.
 */
export async function defaultPrefixOf(
  nginx: Pick<NginxProgram, "isOpenresty" | "prefix">,
  { luaPath, configuredPath = "" }: Pick<NgxLua, "luaPath" | "configuredPath">,
): Promise<string> {
  // where configure puts it: beside the directory of nginx
  const own = await withoutLinks(join(dirname(nginx.prefix), "site"));
  for (const pattern of luaPath.split(";")) {
    const site = SITE.exec(pattern)?.[1];
    if (site === undefined || (await withoutLinks(site)) !== own) continue;
    if (nginx.isOpenresty || !configuredPath.includes(pattern)) return site;
  }
  return ATTACHED_PREFIX;
}

function patternOf(prefix: string): string {
  return join(prefix, "lualib/?.lua");
}

/** Links are followed: /opt/nffi may be one to the site/ that is searched. */
export async function isSearched(
  prefix: string,
  { luaPath }: Pick<NgxLua, "luaPath">,
): Promise<boolean> {
  const wanted = await withoutLinks(join(prefix, "lualib"));
  for (const pattern of luaPath.split(";")) {
    const [, searched] = /^(\/.*)\/\?\.lua$/.exec(pattern) ?? [];
    if (searched !== undefined && (await withoutLinks(searched)) === wanted) return true;
  }
  return false;
}

/** The path of a directory that may not exist yet. */
async function withoutLinks(path: string): Promise<string> {
  const real = await realpath(path).catch(() => undefined);
  if (real !== undefined || path === "/") return real ?? path;
  return join(await withoutLinks(dirname(path)), basename(path));
}

/** The remaining work of the user, as lines to print. */
export async function hintsOf(
  prefix: string,
  ngxLua: Pick<NgxLua, "luaPath" | "configuredPath">,
  nginx: Pick<NginxProgram, "conf">,
): Promise<string[]> {
  if (await isSearched(prefix, ngxLua)) return [];
  const { configuredPath } = ngxLua;
  if (configuredPath === undefined) {
    return [`add this line to http { } in ${nginx.conf}, and reload nginx:`, `  ${lineOf(prefix)}`];
  }
  return [
    "change lua_package_path in http { } to this line, and reload nginx:",
    `  lua_package_path "${patternOf(prefix)};${configuredPath}";`,
  ];
}

/** The line itself. */
export function lineOf(prefix: string): string {
  return `lua_package_path "${patternOf(prefix)};;";`;
}
