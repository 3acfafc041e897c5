/**
 * lua-resty-ffi as `nffi bench` measures it: the same libraries, in an nginx without nffi. Its
 * loaders for Node and Python are measured where they are found.
 */
import { dirname, join, resolve } from "node:path";
import { NffiError } from "../errors.js";
import type { Environment } from "../host/environment.js";
import { findProgram } from "../host/tools.js";
import { exists } from "../io/files.js";
import { buildFfiLibrary, type Missing, type Workshop } from "./compiled.js";
import type { Subject } from "./subject.js";
import type { Host } from "./worker.js";

export interface RestyFfiWish {
  /** Where its files are (--resty-ffi); without it the usual directories are searched. */
  readonly folder: string | undefined;
  /** The nginx that it was compiled for (--resty-ffi-nginx). */
  readonly nginx: string | undefined;
  /** The nginx that a product is attached to: without nffi's Lua path it is one without nffi. */
  readonly attached: Pick<Host, "nginx" | "modules"> | undefined;
  readonly cwd: string;
}

export interface RestyFfi {
  readonly host: Host;
  readonly subjects: readonly Subject[];
}

const USUAL = [
  ...["/usr/local/share/lua/5.1", "/usr/local/lib/lua/5.1"],
  ...["/usr/share/lua/5.1", "/usr/lib/lua/5.1"],
];
const PARTS = ["", "lualib", "share/lua/5.1", "lib/lua/5.1", "lib"];

export async function offerRestyFfi(
  workshop: Workshop,
  wish: RestyFfiWish,
  wanted: readonly string[],
): Promise<RestyFfi | Missing> {
  const found = await nginxFor(wish, workshop.env);
  const folders = foldersOf(wish, found?.nginx, workshop.env);
  const module = await holder(folders, "resty_ffi.lua");
  if (module === undefined) {
    const places = folders.join(", ");
    const reason = `no resty_ffi.lua in ${places}; --resty-ffi names its directory`;
    if (wish.folder === undefined) return { reason };
    throw new NffiError("usage", `--resty-ffi ${wish.folder}: no resty_ffi.lua in it`, {
      hint: `searched: ${places}`,
    });
  }
  if (found === undefined) {
    return { reason: "--resty-ffi-nginx names the nginx that it was compiled for" };
  }
  const host = {
    ...{ ...found, luaFolders: [module] },
    variables: await variablesOf(folders, workshop.env),
  };
  return { host, subjects: await subjectsOf(workshop, folders, wanted) };
}

/** The variables with the paths that its libraries and their loaders search. */
async function variablesOf(
  folders: readonly string[],
  { LD_LIBRARY_PATH, PYTHONPATH }: Environment,
): Promise<Record<string, string>> {
  const addon = await holder(folders, "resty_ffi.node");
  return {
    LD_LIBRARY_PATH: [...folders, LD_LIBRARY_PATH].filter(Boolean).join(":"),
    PYTHONDONTWRITEBYTECODE: "1",
    ...(addon === undefined ? {} : { NODE_PATH: addon }),
    ...(PYTHONPATH === undefined ? {} : { PYTHONPATH }),
  };
}

async function nginxFor(
  { nginx, attached, cwd }: RestyFfiWish,
  env: Environment,
): Promise<Pick<Host, "nginx" | "modules"> | undefined> {
  if (nginx === undefined) return attached;
  const path = resolve(cwd, nginx);
  if (await findProgram(path, env)) return { nginx: path, modules: [] };
  throw new NffiError("usage", `--resty-ffi-nginx ${nginx}: no such program`);
}

function foldersOf(
  { folder, cwd }: RestyFfiWish,
  nginx: string | undefined,
  env: Environment,
): string[] {
  if (folder !== undefined) return PARTS.map((part) => resolve(cwd, folder, part));
  // a patched OpenResty: nginx is in PREFIX/nginx/sbin
  const ofNginx = nginx === undefined ? [] : [join(dirname(nginx), "../../lualib")];
  const ofLinker = (env.LD_LIBRARY_PATH ?? "").split(":").filter(Boolean);
  return [...ofNginx, ...USUAL, ...ofLinker];
}

async function holder(folders: readonly string[], name: string): Promise<string | undefined> {
  for (const folder of folders) if (await exists(join(folder, name))) return folder;
  return undefined;
}

async function subjectsOf(
  workshop: Workshop,
  folders: readonly string[],
  wanted: readonly string[],
): Promise<Subject[]> {
  const isWanted = (name: string) => wanted.length === 0 || wanted.includes(name);
  const source = (path: string) => join(workshop.sources, path);
  const subjects: Subject[] = [];
  for (const [name, language] of [
    ["c", "C"],
    ["go", "Go"],
  ] as const) {
    const library = isWanted(name) ? await buildFfiLibrary(workshop, name) : undefined;
    if (typeof library === "string") subjects.push(...byBoth(language, library));
  }
  if (isWanted("typescript") && (await holder(folders, "libffi_nodejs.so"))) {
    subjects.push(ofLoader("TypeScript", "ffi_nodejs", source("node/echo_ffi.cjs")));
  }
  if (isWanted("python") && (await holder(folders, "libresty_ffi_python.so"))) {
    subjects.push(ofLoader("Python", "resty_ffi_python", source("python/echo_ffi")));
  }
  return subjects;
}

/** One library, loaded by either. */
function byBoth(language: string, load: string): Subject[] {
  const query = { way: "load_ffi", load };
  return [
    { name: `nffi, ${language}, load_ffi`, language, way: "nffi", query: { ...query, of: "nffi" } },
    ofRestyFfi(language, query),
  ];
}

function ofLoader(language: string, load: string, module: string): Subject {
  const config = `${module},init`;
  return ofRestyFfi(language, { way: "load_ffi", load, config, is_global: "true" });
}

function ofRestyFfi(language: string, query: Record<string, string>): Subject {
  return {
    ...{ name: `lua-resty-ffi, ${language}`, language, way: "lua-resty-ffi", host: "resty-ffi" },
    query: { ...query, of: "lua-resty-ffi" },
  };
}
