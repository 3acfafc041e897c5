/**
 * The line that attaching needs in nginx.conf, so that Lua finds `resty.nffi`; --write-conf writes
 * it into a file. An nginx that already searches the prefix needs none.
 */
import { readFile, realpath, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { messageOf, NffiError } from "../errors.js";
import { nginxEnvironment } from "../host/environment.js";
import { run } from "../io/exec.js";
import { exists, sha256OfFile, writeFileWhole } from "../io/files.js";
import type { AttachedManifest } from "../pipeline/manifest.js";
import { ATTACHED_PREFIX } from "../pipeline/product.js";
import { directivesOf, lastError, type NginxConf, type ReadContext } from "./nginx-conf.js";
import type { NginxProgram } from "./nginx-program.js";
import type { NgxLua } from "./ngx-lua.js";

/** The end of a path that OpenResty searches before its own modules. */
const SITE = /^(\/.*\/site)\/lualib\/\?\.lua$/;

/** `site` of the OpenResty if its Lua searches it, else /usr/local/nffi. */
export function defaultPrefixOf({ luaPath }: Pick<NgxLua, "luaPath">): string {
  for (const pattern of luaPath.split(";")) {
    const site = SITE.exec(pattern)?.[1];
    if (site !== undefined) return site;
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
export async function adviceOf(
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

function lineOf(prefix: string): string {
  return `lua_package_path "${patternOf(prefix)};;";`;
}

/** Called before any work: throws if nffi must not write the file. */
export async function requireWritableConf(
  file: string,
  previous: AttachedManifest["conf"],
  ngxLua: NgxLua,
  conf: NginxConf,
): Promise<void> {
  if (ngxLua.configuredPath !== undefined && previous?.path !== file) {
    const at = directivesOf(conf.files, "lua_package_path")[0]?.file ?? "nginx.conf";
    throw new NffiError("usage", `--write-conf: ${at} has a lua_package_path already`, {
      hint: "nginx takes one only; run this without --write-conf, which prints how to change it",
    });
  }
  if (!(await exists(file))) return;
  const isOurs = previous?.path === file && previous.sha256 === (await sha256OfFile(file));
  if (isOurs) return;
  throw new NffiError("foreign-files", `--write-conf ${file}: the file exists already`, {
    hint: "nffi replaces only a file that it has written itself; name another one",
  });
}

/** Writes the file. Restores the earlier state if it makes nginx refuse its configuration. */
export async function writeConf(
  file: string,
  prefix: string,
  nginx: NginxProgram,
  context: ReadContext & { warn(text: string): void },
): Promise<NonNullable<AttachedManifest["conf"]>> {
  const before = await readFile(file, "utf8").catch(() => undefined);
  const refusedBefore = await refusalOf(nginx, context);
  await write(
    file,
    `# Where Lua finds resty.nffi; nffi detach removes this file.\n${lineOf(prefix)}\n`,
  );
  const refused = await refusalOf(nginx, context);
  if (refused !== undefined && refusedBefore === undefined) {
    await restore(file, before);
    throw new NffiError("install-failed", `nginx refuses ${file}: ${refused}`, {
      hint:
        "the file was removed again; it must be one that nginx.conf includes in http { }, such as\n" +
        "/etc/nginx/conf.d/nffi.conf on Debian",
    });
  }
  if (!(await isIncluded(file, nginx, context))) {
    context.warn(`${nginx.conf} does not include ${file}: add \`include ${file};\` to http { }`);
  }
  return { path: file, sha256: await sha256OfFile(file) };
}

async function write(file: string, text: string): Promise<void> {
  try {
    await writeFileWhole(file, text);
  } catch (thrown) {
    throw new NffiError("install-failed", `cannot write ${file}: ${messageOf(thrown)}`, {
      hint: "run this as root, or name a file that this user may write",
      cause: thrown,
    });
  }
}

async function restore(file: string, before: string | undefined): Promise<void> {
  if (before !== undefined) return write(file, before);
  await rm(file, { force: true });
}

function test(nginx: NginxProgram, option: string, { env, signal }: ReadContext) {
  const args = [option, "-q", "-c", nginx.conf];
  return run({ program: nginx.path, args, cwd: "/", env: nginxEnvironment(env) }, { signal });
}

async function refusalOf(nginx: NginxProgram, context: ReadContext): Promise<string | undefined> {
  const { exitCode, stderr } = await test(nginx, "-t", context);
  return exitCode === 0 ? undefined : (lastError(stderr) ?? stderr.trim());
}

async function isIncluded(file: string, nginx: NginxProgram, context: ReadContext) {
  const { exitCode, stdout } = await test(nginx, "-T", context);
  // a user who may not test the configuration cannot find out
  return exitCode !== 0 || stdout.includes(`# configuration file ${file}:`);
}
