/**
 * Moves the proven product into the prefix, all of it or nothing. The prefix' nginx/conf,
 * nginx/html and logs belong to the user after the first install and are never changed. With
 * SOURCE_DATE_EPOCH every file has that time, so that archives of two builds are equal.
 */
import { readdir } from "node:fs/promises";
import { join, relative } from "node:path";
import { errnoOf, messageOf, NffiError } from "../../errors.js";
import { sourceDate } from "../../host/environment.js";
import { makeFolders } from "../../io/files.js";
import { type Change, type ReplacementFailure, replaceTogether } from "../../io/replacement.js";
import { countOfOwn, type Manifest, ownPaths, readManifest, usersFoldersIn } from "../manifest.js";
import { stateOf } from "../own-files.js";
import { requireReplaceable } from "../prefix.js";
import type { Site } from "../site.js";
import type { StepContext } from "../step.js";
import type { ProvenProduct } from "./prove.js";

export interface InstalledProduct {
  readonly prefix: string;
  readonly manifest: Manifest;
}

export async function installProduct(
  product: ProvenProduct,
  site: Pick<Site, "prefix">,
  step: StepContext,
  options: { readonly overwriteForeign: boolean } = { overwriteForeign: false },
): Promise<InstalledProduct> {
  const { prefix } = site;
  const { stagedPrefix, manifest } = product;
  const previous = await readManifest(prefix);
  const paths = await pathsToInstall(stagedPrefix, prefix);
  await requireReplaceable(prefix, paths, { stagedPrefix, previous, ...options });
  const changes: Change[] = [
    ...(await stalePaths(previous, manifest, prefix, step)).map((path) => ({
      place: join(prefix, path),
    })),
    ...paths.map((path) => ({ place: join(prefix, path), source: join(stagedPrefix, path) })),
  ];
  const date = sourceDate(step.env);
  const failure = await replaceTogether(changes, { signal: step.signal, date });
  if (failure) throw cannotInstall(prefix, failure);
  if (!(await usersFoldersIn(prefix)).includes("nginx/logs")) {
    await makeFolders(join(prefix, "nginx/logs"), 0o755);
  }
  step.note(`${countOfOwn(manifest)} files in ${prefix}`);
  return { prefix, manifest };
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

/** Files that the last build installed and this one does not. Files changed since are kept. */
async function stalePaths(
  previous: Manifest | undefined,
  current: Manifest,
  prefix: string,
  step: StepContext,
): Promise<string[]> {
  const wanted = new Set(ownPaths(current));
  const stale: string[] = [];
  const kept: string[] = [];
  for (const path of previous ? ownPaths(previous) : []) {
    if (!previous || wanted.has(path)) continue;
    const state = await stateOf(prefix, previous, path);
    if (state === "as installed") stale.push(path);
    if (state === "changed" || state === "behind a link") kept.push(path);
  }
  if (kept.length > 0) {
    const many = kept.length === 1 ? "1 file" : `${kept.length} files`;
    step.warn(
      `${many} of the last build were changed since and stay: ${kept.slice(0, 3).join(", ")}`,
      kept,
    );
  }
  return stale;
}

function cannotInstall(prefix: string, { cause, lost }: ReplacementFailure): NffiError {
  const full = errnoOf(cause) === "ENOSPC" ? "the disk is full; " : "";
  const hint =
    lost.length === 0
      ? `${full}what was in the prefix before is unchanged`
      : `${full}these could not be brought back, run \`nffi build\` again:\n${lost.join("\n")}`;
  return new NffiError("install-failed", `cannot install into ${prefix}: ${messageOf(cause)}`, {
    hint,
    cause,
  });
}
