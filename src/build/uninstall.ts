/**
 * Removes a product: exactly what its manifest lists, then the folders that are empty by that. What
 * belongs to the user (nginx/conf, nginx/html, logs, every file nffi did not install) stays.
 */
import { readdir, realpath, rm, rmdir } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { messageOf, NffiError } from "../errors.js";
import { kindOf } from "../io/files.js";
import { acquireLock } from "../io/lock.js";
import { type Manifest, manifestFile, ownPaths } from "./manifest.js";
import type { Product } from "./product.js";

export interface Uninstalled {
  /** Paths below the prefix that were removed, or with `dryRun` would be. */
  readonly removed: readonly string[];
  /** Files below the prefix that stay. */
  readonly kept: readonly string[];
}

export async function uninstallProduct(
  product: Product,
  options: { readonly dryRun: boolean },
): Promise<Uninstalled> {
  const prefix = await realpath(product.prefix);
  const lock = await acquireLock(prefix, {
    busyMessage: `the prefix ${prefix} is in use by another nffi`,
  });
  try {
    const removed = await pathsThere(prefix, product.manifest);
    const leaving = new Set(removed);
    const kept = (await filesBelow(prefix)).filter((path) => !leaving.has(path));
    if (!options.dryRun) await removeAll(prefix, removed);
    return { removed, kept };
  } finally {
    await lock.release();
  }
}

/** The manifest comes last: until then a second run can finish what a first one has not. */
async function pathsThere(prefix: string, manifest: Manifest): Promise<string[]> {
  const own = new Set(ownPaths(manifest));
  const manifestPath = relative(prefix, manifestFile(prefix));
  own.delete(manifestPath);
  const there: string[] = [];
  for (const path of [...own, manifestPath]) {
    const kind = await kindOf(join(prefix, path));
    if (kind === "file" || kind === "other") there.push(path);
  }
  return there;
}

async function filesBelow(prefix: string): Promise<string[]> {
  const entries = await readdir(prefix, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => !entry.isDirectory())
    .map((entry) => relative(prefix, join(entry.parentPath, entry.name)));
}

async function removeAll(prefix: string, paths: readonly string[]): Promise<void> {
  try {
    for (const path of paths) await rm(join(prefix, path), { force: true });
  } catch (thrown) {
    throw new NffiError("install-failed", `cannot remove: ${messageOf(thrown)}`, {
      hint: "run this as the user who has built it; what is left can be removed by a second run",
      cause: thrown,
    });
  }
  for (const path of paths) await removeEmptyAbove(prefix, join(prefix, path));
  // nginx/logs and the folders of nginx's temporary files are made by nginx, not by a file of ours.
  for (const folder of ["nginx/logs", "nginx", "."]) await removeIfEmpty(join(prefix, folder));
}

async function removeEmptyAbove(prefix: string, place: string): Promise<void> {
  let folder = dirname(place);
  while (folder.startsWith(`${prefix}/`) && (await removeIfEmpty(folder))) folder = dirname(folder);
}

async function removeIfEmpty(folder: string): Promise<boolean> {
  try {
    await rmdir(folder); // refuses a folder that holds anything
    return true;
  } catch {
    return (await kindOf(folder)) === "absent";
  }
}
