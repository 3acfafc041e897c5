/**
 * Removes a product: the files of its manifest that are unmodified, then the directories that
 * become empty. Everything that belongs to the user (nginx/conf, nginx/html, logs, every file that
 * nffi did not install or that was changed since) is kept, and nothing outside is touched.
 */
import { readdir, realpath, rm, rmdir } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { messageOf, NffiError } from "../errors.js";
import { kindOf } from "../io/files.js";
import { isAttached, type Manifest, manifestFile, ownPaths, pathsOutside } from "./manifest.js";
import { linkAbove, stateOf } from "./own-files.js";
import type { Product } from "./product.js";

export interface Uninstalled {
  /** Paths below the prefix that were removed, or with `dryRun` would be. */
  readonly removed: readonly string[];
  /** Files below the prefix that are kept, except the files in `changed`. */
  readonly kept: readonly string[];
  /** Files of the product that stay because they were changed after the installation. */
  readonly changed: readonly string[];
  /** Paths of the manifest that lead out of the prefix; nothing there is touched. */
  readonly outside: readonly string[];
}

/** The caller has locked the prefix. */
export async function removeProduct(
  product: Product,
  options: { readonly dryRun: boolean },
): Promise<Uninstalled> {
  const prefix = await realpath(product.prefix);
  const present = await filesBelow(prefix);
  const { removable, changed, outside } = await surveyOf(prefix, product.manifest, present);
  const listed = new Set([...removable, ...changed]);
  const kept = present.filter((path) => !listed.has(path));
  if (!options.dryRun) await removeAll(prefix, removable, keptFolders(product.manifest));
  return { removed: removable, kept, changed, outside };
}

interface Survey {
  readonly removable: string[];
  readonly changed: string[];
  readonly outside: string[];
}

/** The manifest comes last: until then a second run can finish what a first one has not. */
async function surveyOf(
  prefix: string,
  manifest: Manifest,
  present: readonly string[],
): Promise<Survey> {
  const survey: Survey = { removable: [], changed: [], outside: pathsOutside(manifest) };
  const manifestPath = relative(prefix, manifestFile(prefix));
  const own = new Set(ownPaths(manifest));
  own.delete(manifestPath);
  for (const path of own) {
    const state = await stateOf(prefix, manifest, path);
    if (state === "as installed") survey.removable.push(path);
    if (state === "changed") survey.changed.push(path);
    if (state === "behind a link") survey.outside.push(path);
  }
  survey.removable.push(...compiledModules(present, own));
  if ((await linkAbove(prefix, manifestPath)) === undefined) survey.removable.push(manifestPath);
  else survey.outside.push(manifestPath);
  return survey;
}

/**
 * What Python wrote when it compiled modules of the product, which it does whenever a user imports
 * nffi, and modules that an earlier product had in the same directories.
 */
function compiledModules(present: readonly string[], own: ReadonlySet<string>): string[] {
  const all = new Set(present);
  const folders = new Set([...own].filter((path) => path.endsWith(".py")).map(dirname));
  return present.filter((path) => {
    const [, folder = "", name] = /^(.*)\/__pycache__\/([^/]+?)\.[^/]+\.pyc$/.exec(path) ?? [];
    const source = `${folder}/${name}.py`;
    return own.has(source) || (folders.has(folder) && !all.has(source));
  });
}

/**
 * Without the directories that this user may not read, such as temporary ones of nginx's workers:
 * nffi installs none of these.
 */
async function filesBelow(prefix: string): Promise<string[]> {
  const files: string[] = [];
  const folders = [prefix];
  for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
    for (const entry of await readdir(folder, { withFileTypes: true }).catch(() => [])) {
      const place = join(folder, entry.name);
      if (entry.isDirectory()) folders.push(place);
      else files.push(relative(prefix, place));
    }
  }
  return files;
}

/** An attached product may be in a directory of others, such as `site` of an OpenResty. */
export function keptFolders(manifest: Manifest): ReadonlySet<string> {
  return new Set(isAttached(manifest) ? manifest.existing : []);
}

async function removeAll(
  prefix: string,
  paths: readonly string[],
  kept: ReadonlySet<string>,
): Promise<void> {
  try {
    for (const path of paths) {
      // Asked again, as the survey has taken a while.
      if ((await linkAbove(prefix, path)) !== undefined) continue;
      await rm(join(prefix, path), { force: true });
    }
  } catch (thrown) {
    throw new NffiError("install-failed", `cannot remove: ${messageOf(thrown)}`, {
      hint: "run this as the user that has built it; a second run removes the rest",
      cause: thrown,
    });
  }
  for (const path of paths) await removeEmptyAbove(prefix, path, kept);
  // nginx creates nginx/logs and its temporary directories; no installed file belongs to them.
  for (const folder of ["nginx/logs", "nginx"]) await removeIfEmpty(prefix, folder);
  if (!kept.has("")) await rmdir(prefix).catch(() => undefined); // fails if it is not empty
}

/** Removes the directories above a removed file, below the prefix, that are empty and not kept. */
export async function removeEmptyAbove(
  prefix: string,
  path: string,
  kept: ReadonlySet<string>,
): Promise<void> {
  let folder = dirname(path);
  while (folder !== "." && !kept.has(folder) && (await removeIfEmpty(prefix, folder))) {
    folder = dirname(folder);
  }
}

async function removeIfEmpty(prefix: string, folder: string): Promise<boolean> {
  if ((await linkAbove(prefix, folder)) !== undefined) return false;
  try {
    await rmdir(join(prefix, folder));
    return true;
  } catch {
    return (await kindOf(join(prefix, folder))) === "absent";
  }
}
