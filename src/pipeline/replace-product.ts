/**
 * Replaces the product in a prefix by a staged one, all of it or nothing: files that the previous
 * product had and this one has not are removed, unless they were changed since, and so are their
 * directories that become empty.
 */
import { readdir } from "node:fs/promises";
import { join, relative } from "node:path";
import { errnoOf, messageOf, NffiError } from "../errors.js";
import { type Environment, sourceDate } from "../host/environment.js";
import { type Change, type ReplacementFailure, replaceTogether } from "../io/replacement.js";
import { isAttached, type Manifest, ownPaths, readManifest, usersFoldersIn } from "./manifest.js";
import { stateOf } from "./own-files.js";
import { requireNotAttached, requireReplaceable } from "./prefix.js";
import { keptFolders, removeEmptyAbove } from "./uninstall.js";

export interface ReplaceContext {
  readonly env: Environment;
  readonly signal: AbortSignal;
  warn(text: string, details?: readonly string[]): void;
}

export interface ReplaceProductOptions {
  readonly overwriteForeign: boolean;
  /** Files outside the prefix that are replaced together with the product. */
  readonly outside?: readonly Change[];
  /** Called when all is in place; if it throws, the previous files are restored. */
  readonly check?: () => Promise<void>;
}

export async function replaceProduct(
  prefix: string,
  { stagedPrefix, manifest }: { readonly stagedPrefix: string; readonly manifest: Manifest },
  context: ReplaceContext,
  options: ReplaceProductOptions = { overwriteForeign: false },
): Promise<void> {
  const previous = await readManifest(prefix);
  if (!isAttached(manifest)) await requireNotAttached(prefix, previous);
  const paths = await pathsToInstall(stagedPrefix, prefix);
  await requireReplaceable(prefix, paths, { stagedPrefix, previous, ...options });
  const stale = await stalePaths(previous, manifest, prefix, context);
  const changes: Change[] = [
    ...stale.map((path) => ({ place: join(prefix, path) })),
    ...paths.map((path) => ({ place: join(prefix, path), source: join(stagedPrefix, path) })),
    ...(options.outside ?? []),
  ];
  const date = sourceDate(context.env);
  const { signal } = context;
  const failure = await replaceTogether(changes, { signal, date, check: options.check });
  if (failure) throw cannotInstall(prefix, failure);
  for (const path of stale) await removeEmptyAbove(prefix, path, keptFolders(manifest));
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
  context: ReplaceContext,
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
    context.warn(
      `${many} of the last build were changed since and stay: ${kept.slice(0, 3).join(", ")}`,
      kept,
    );
  }
  return stale;
}

function cannotInstall(prefix: string, { cause, place, lost }: ReplacementFailure): NffiError {
  if (cause instanceof NffiError && lost.length === 0) return cause;
  const full = errnoOf(cause) === "ENOSPC" ? "the disk is full; " : "";
  const hint =
    lost.length === 0
      ? `${full}what was in the prefix before is unchanged`
      : `${full}these could not be brought back, run this command again:\n${lost.join("\n")}`;
  const what =
    place === undefined || place.startsWith(`${prefix}/`)
      ? `install into ${prefix}`
      : `write ${place}`;
  return new NffiError("install-failed", `cannot ${what}: ${messageOf(cause)}`, {
    hint,
    cause,
  });
}
