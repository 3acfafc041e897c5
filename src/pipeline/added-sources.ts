/**
 * Sources of the user that are compiled in: modules of nginx (--add-module, --add-dynamic-module)
 * and libraries that are linked statically (--with-pcre, --with-zlib, --with-openssl). Modules are
 * compiled from where they lie. A library's own build writes into its directory, so that is copied.
 */
import { cp, mkdir, readFile, rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { NffiError } from "../errors.js";
import { exists, writeFileWhole } from "../io/files.js";
import { sha256OfTree } from "../io/tree-hash.js";

export interface AddedSources {
  readonly modules: readonly string[];
  readonly dynamicModules: readonly string[];
  /** The directory of a library's source, by its name. */
  readonly libraries: Readonly<Partial<Record<LibraryName, string>>>;
}

/** One of these files shows that a directory holds the source of the library. */
const LIBRARY_FILES = {
  pcre: ["pcre2.h.generic", "src/pcre2.h.generic", "pcre.h.generic"],
  zlib: ["zlib.h"],
  openssl: ["Configure"],
} as const;

export type LibraryName = keyof typeof LIBRARY_FILES;

export const LIBRARY_NAMES = Object.keys(LIBRARY_FILES) as LibraryName[];

const TITLES: Readonly<Record<LibraryName, string>> = {
  pcre: "PCRE2 or PCRE",
  zlib: "zlib",
  openssl: "OpenSSL",
};

/** The configure options; the copies of the libraries are named relative to the tree. */
export function addedArgs(added: AddedSources): string[] {
  const libraries = libraryFolders(added).map(([name]) => `--with-${name}=${COPIES}/${name}`);
  return [
    ...libraries,
    ...added.modules.map((dir) => `--add-module=${dir}`),
    ...added.dynamicModules.map((dir) => `--add-dynamic-module=${dir}`),
  ];
}

/** Throws unless each directory holds what its option says. */
export async function requireAddedSources(added: AddedSources): Promise<void> {
  const modules = [
    ...added.modules.map((dir) => ({ option: "--add-module", dir })),
    ...added.dynamicModules.map((dir) => ({ option: "--add-dynamic-module", dir })),
  ];
  for (const { option, dir } of modules) {
    requirePlain(option, dir);
    if (await exists(join(dir, "config"))) continue;
    throw new NffiError("usage", `${option} ${dir}: it has no file "config"`, {
      hint: "name the directory of a module's source, which contains its config",
    });
  }
  for (const [name, dir] of libraryFolders(added)) {
    const found = await Promise.all(LIBRARY_FILES[name].map((file) => exists(join(dir, file))));
    if (found.includes(true)) continue;
    const files = LIBRARY_FILES[name].join(", ");
    throw new NffiError("usage", `--with-${name} ${dir}: it has no ${files}`, {
      hint: `name the directory of the source of ${TITLES[name]}, as its release archive holds it`,
    });
  }
}

/** A hash for each directory, by its option and path: inputs of the build. */
export async function hashesOfAdded(added: AddedSources): Promise<Record<string, string>> {
  const hashes: Record<string, string> = {};
  for (const dir of added.modules) hashes[`--add-module ${dir}`] = await hashOf(dir);
  for (const dir of added.dynamicModules) {
    hashes[`--add-dynamic-module ${dir}`] = await hashOf(dir);
  }
  for (const [name, dir] of libraryFolders(added)) hashes[`--with-${name}`] = await hashOf(dir);
  return hashes;
}

/** Below the source tree. */
const COPIES = "static-libraries";

/** Copies each library that is not there as it is now. Returns whether any was copied. */
export async function copyLibraries(added: AddedSources, treeDir: string): Promise<boolean> {
  let copied = false;
  for (const [name, dir] of libraryFolders(added)) {
    const copy = join(treeDir, COPIES, name);
    const recordFile = join(treeDir, COPIES, `.${name}.sha256`);
    const hash = await hashOf(dir);
    if ((await readFile(recordFile, "utf8").catch(() => "")) === hash) continue;
    await rm(copy, { recursive: true, force: true });
    await mkdir(copy, { recursive: true });
    const isCopied = (source: string) => basename(source) !== ".git";
    await cp(dir, copy, { recursive: true, preserveTimestamps: true, filter: isCopied });
    await writeFileWhole(recordFile, hash);
    copied = true;
  }
  return copied;
}

function libraryFolders({ libraries }: AddedSources): [LibraryName, string][] {
  return LIBRARY_NAMES.flatMap((name) => {
    const dir = libraries[name];
    return dir === undefined ? [] : [[name, dir] as [LibraryName, string]];
  });
}

function hashOf(dir: string): Promise<string> {
  return sha256OfTree(dir, (path) => basename(path) === ".git");
}

/** nginx' configure splits what it is given at blanks. */
function requirePlain(option: string, dir: string): void {
  const strange = /[^\p{L}\p{N}/._+@~,=-]/u.exec(dir);
  if (!strange) return;
  throw new NffiError("usage", `${option} ${dir} holds "${strange[0]}"`, {
    hint: "the configure of nginx cannot use this character: move the directory to another path",
  });
}
