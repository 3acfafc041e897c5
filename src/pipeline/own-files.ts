/**
 * The files at the paths that a manifest names. No link below the prefix is followed (the prefix
 * itself may be one), so nothing outside of the prefix is read, counted as ours, or removed.
 */
import { readlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import { kindOf, sha256OfFile } from "../io/files.js";
import type { Manifest } from "./manifest.js";

export type StateOfFile =
  | "as installed"
  | "changed"
  | "missing"
  /** A directory above it is a link, which may lead anywhere. */
  | "behind a link";

/** What linkAbove has found for directories, so that many files share the look. */
export type SeenFolders = Map<string, Promise<string | undefined>>;

/** `path` is one of `ownPaths`. */
export async function stateOf(
  prefix: string,
  { files, links }: Pick<Manifest, "files" | "links">,
  path: string,
  seen: SeenFolders = new Map(),
): Promise<StateOfFile> {
  if ((await linkAbove(prefix, path, seen)) !== undefined) return "behind a link";
  const place = join(prefix, path);
  const kind = await kindOf(place);
  if (kind === "absent") return "missing";
  const sha256 = files[path];
  const isSame =
    sha256 === undefined
      ? kind === "other" && (await readlink(place).catch(() => undefined)) === links?.[path]
      : kind === "file" && (await sha256OfFile(place).catch(() => "")) === sha256;
  return isSame ? "as installed" : "changed";
}

/** The first part of the way from the prefix to `path` that is no directory, such as a link. */
export function linkAbove(
  prefix: string,
  path: string,
  seen: SeenFolders = new Map(),
): Promise<string | undefined> {
  const folder = dirname(path);
  if (folder === ".") return Promise.resolve(undefined);
  const known = seen.get(folder) ?? linkAt(prefix, folder, seen);
  seen.set(folder, known);
  return known;
}

/** The directory itself, or the first one above it. */
async function linkAt(
  prefix: string,
  folder: string,
  seen: SeenFolders,
): Promise<string | undefined> {
  const above = await linkAbove(prefix, folder, seen);
  if (above !== undefined) return above;
  const place = join(prefix, folder);
  const kind = await kindOf(place);
  return kind === "absent" || kind === "directory" ? undefined : place;
}
