/**
 * Adds our C and Lua files to the components they become a part of. A file is written only where
 * it differs, so that make compiles again what has changed and nothing else.
 */
import { copyFile, mkdir, readdir, readFile, stat, utimes } from "node:fs/promises";
import { dirname, join } from "node:path";
import { messageOf, NffiError } from "../../errors.js";
import type { ShippedFiles } from "../../host/package.js";
import { kindOf } from "../../io/files.js";
import { requireComponent } from "../components.js";
import type { StepContext } from "../step.js";
import type { PatchedTree } from "./patch.js";

declare const complete: unique symbol;

/** The directory of the tree with the headers of libnffi, and what is in it. */
export const HEADERS = "nffi-headers";
export const HEADER_FOLDERS = ["include", "lib"];

export type CompleteTree = PatchedTree & { readonly [complete]: true };

export async function installFiles(
  tree: PatchedTree,
  files: ShippedFiles,
  step: StepContext,
): Promise<CompleteTree> {
  const glue = join(files.cSource, "ngx");
  const lua = join(files.lua, "resty", "core");
  const headers = await newestHeader(files);
  let written = 0;
  for (const path of await headersOf(files)) {
    written += await copyIfChanged(join(files.cSource, path), join(tree.dir, HEADERS, path), 0);
  }
  for (const root of ["bundle", "build"]) {
    const inNgxLua = placeOf(tree, root, "ngx_lua", "src");
    const inCore = placeOf(tree, root, "lua-resty-core", "lib/resty/core");
    if ((await kindOf(inNgxLua)) !== "directory") continue; // build/ exists after configure
    // A rewritten header would cause every module to be compiled, not only the glue.
    written += await copyChanged(glue, inNgxLua, /\.h$/, 0);
    written += await copyChanged(glue, inNgxLua, /\.c$/, headers);
    written += await copyChanged(lua, inCore, /\.lua$/, 0);
  }
  step.note(written === 0 ? "nothing has changed" : `${written} files written`);
  return tree as CompleteTree;
}

function placeOf(tree: PatchedTree, root: string, component: string, folder: string): string {
  const { name, version } = requireComponent(tree.components, component);
  return join(tree.dir, root, `${name}-${version}`, folder);
}

/** `newerThan`: a file older than this is written again, so that what it includes is seen. */
async function copyChanged(
  from: string,
  into: string,
  names: RegExp,
  newerThan: number,
): Promise<number> {
  let written = 0;
  for (const name of await readdir(from)) {
    if (!names.test(name)) continue;
    written += await copyIfChanged(join(from, name), join(into, name), newerThan);
  }
  return written;
}

/** The number of files that it has written. */
async function copyIfChanged(source: string, target: string, newerThan: number): Promise<0 | 1> {
  if (await isCurrent(source, target, newerThan)) return 0;
  try {
    await mkdir(dirname(target), { recursive: true });
    await copyFile(source, target);
    const now = new Date();
    await utimes(target, now, now);
  } catch (thrown) {
    throw new NffiError("extract-failed", `cannot write ${target}: ${messageOf(thrown)}`, {
      cause: thrown,
    });
  }
  return 1;
}

async function isCurrent(source: string, target: string, newerThan: number): Promise<boolean> {
  const there = await stat(target).catch(() => undefined);
  if (!there || there.mtimeMs < newerThan) return false;
  const [wanted, found] = await Promise.all([readFile(source), readFile(target)]);
  return wanted.equals(found);
}

/** nginx's make does not know that the glue includes these. */
async function newestHeader(files: ShippedFiles): Promise<number> {
  const headers = await headersOf(files);
  const all = await Promise.all(headers.map((path) => stat(join(files.cSource, path))));
  return Math.max(0, ...all.map(({ mtimeMs }) => mtimeMs));
}

/** The headers of libnffi, by path below c-src. */
async function headersOf(files: ShippedFiles): Promise<string[]> {
  const paths: string[] = [];
  for (const folder of HEADER_FOLDERS) {
    for (const name of await readdir(join(files.cSource, folder), { recursive: true })) {
      if (name.endsWith(".h")) paths.push(join(folder, name));
    }
  }
  return paths;
}
