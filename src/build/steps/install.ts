/**
 * Moves the proven product into the prefix. Every file is first copied beside its place; only when
 * all bytes are there does one rename after the other put them in place. The prefix' nginx/conf,
 * nginx/html and logs belong to the user from the first install on and are never touched again.
 * With SOURCE_DATE_EPOCH every file has that time, so that archives of two builds are equal, too.
 */
import {
  chmod,
  copyFile,
  lutimes,
  mkdir,
  readdir,
  readlink,
  rename,
  rm,
  symlink,
} from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { errnoOf, messageOf, NffiError } from "../../errors.js";
import { sourceDate } from "../../host/environment.js";
import { flush, kindOf, modeOf } from "../../io/files.js";
import { countOfOwn, type Manifest, ownPaths, readManifest, usersFoldersIn } from "../manifest.js";
import type { Site } from "../site.js";
import type { StepContext } from "../step.js";
import type { ProvenProduct } from "./prove.js";

export interface InstalledProduct {
  readonly prefix: string;
  readonly manifest: Manifest;
}

export async function installProduct(
  product: ProvenProduct,
  site: Site,
  step: StepContext,
): Promise<InstalledProduct> {
  const previous = await readManifest(site.prefix);
  const paths = await pathsToInstall(product.stagedPrefix, site.prefix);
  const date = sourceDate(step.env);
  const madeFolders: string[] = [];
  const waiting: { temp: string; place: string }[] = [];
  try {
    for (const path of paths) {
      step.signal.throwIfAborted();
      const place = join(site.prefix, path);
      const made = await mkdir(dirname(place), { recursive: true });
      if (made) madeFolders.push(made);
      const temp = join(dirname(place), `.${path.split("/").at(-1)}.nffi-new`);
      waiting.push({ temp, place });
      await copyBeside(join(product.stagedPrefix, path), temp);
      if (date !== undefined) await lutimes(temp, date, date);
    }
  } catch (thrown) {
    for (const { temp } of waiting) await rm(temp, { force: true });
    for (const folder of madeFolders) await rm(folder, { recursive: true, force: true });
    step.signal.throwIfAborted();
    throw cannotInstall(site.prefix, thrown);
  }
  for (const { temp, place } of waiting) await rename(temp, place);
  await removeStale(previous, product.manifest, site.prefix);
  await mkdir(join(site.prefix, "nginx/logs"), { recursive: true });
  step.note(`${countOfOwn(product.manifest)} files in ${site.prefix}`);
  return { prefix: site.prefix, manifest: product.manifest };
}

/** Files and links; the manifest comes last, so that it never speaks of what is not there. */
async function pathsToInstall(stagedPrefix: string, prefix: string): Promise<string[]> {
  const kept = (await usersFoldersIn(prefix)).map((folder) => `${folder}/`);
  const paths: string[] = [];
  for (const entry of await readdir(stagedPrefix, { recursive: true, withFileTypes: true })) {
    const path = relative(stagedPrefix, join(entry.parentPath, entry.name));
    if (entry.isDirectory() || kept.some((folder) => path.startsWith(folder))) continue;
    paths.push(path);
  }
  const isManifest = (path: string) => (path === "nffi/nffi.json" ? 1 : 0);
  return paths.sort((a, b) => isManifest(a) - isManifest(b) || (a < b ? -1 : 1));
}

async function copyBeside(source: string, temp: string): Promise<void> {
  await rm(temp, { force: true });
  if ((await kindOf(source)) !== "file") return symlink(await readlink(source), temp);
  await copyFile(source, temp);
  await chmod(temp, await modeOf(source));
  await flush(temp);
}

/** Removes what the last build had installed and this one has not. */
async function removeStale(
  previous: Manifest | undefined,
  current: Manifest,
  prefix: string,
): Promise<void> {
  const wanted = new Set(ownPaths(current));
  for (const path of previous ? ownPaths(previous) : []) {
    if (!wanted.has(path)) await rm(join(prefix, path), { force: true });
  }
}

function cannotInstall(prefix: string, thrown: unknown): NffiError {
  const full = errnoOf(thrown) === "ENOSPC";
  return new NffiError("install-failed", `cannot install into ${prefix}: ${messageOf(thrown)}`, {
    hint: full
      ? "the disk is full; what was in the prefix before is unchanged"
      : "what was in the prefix before is unchanged",
    cause: thrown,
  });
}
