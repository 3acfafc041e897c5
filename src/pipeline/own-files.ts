/**
 * The files at the paths that a manifest names. No link below the prefix is followed (the prefix
 * itself may be one), so nothing outside of the prefix is read, counted as ours, or removed.
 */
import { readlink } from "node:fs/promises";
import { join } from "node:path";
import { kindOf, sha256OfFile } from "../io/files.js";
import type { Manifest } from "./manifest.js";

export type StateOfFile =
  | "as installed"
  | "changed"
  | "missing"
  /** A folder above it is a link, which may lead anywhere. */
  | "behind a link";

/** `path` is one of `ownPaths`. */
export async function stateOf(
  prefix: string,
  { files, links }: Pick<Manifest, "files" | "links">,
  path: string,
): Promise<StateOfFile> {
  if ((await linkAbove(prefix, path)) !== undefined) return "behind a link";
  const place = join(prefix, path);
  const kind = await kindOf(place);
  if (kind === "absent") return "missing";
  const sha256 = files[path];
  const isSame =
    sha256 === undefined
      ? kind === "other" && (await readlink(place).catch(() => undefined)) === links?.[path]
      : kind === "file" && (await sha256OfFile(place)) === sha256;
  return isSame ? "as installed" : "changed";
}

/** The first folder on the way from the prefix to `path` that is no directory, such as a link. */
export async function linkAbove(prefix: string, path: string): Promise<string | undefined> {
  let place = prefix;
  for (const part of path.split("/").slice(0, -1)) {
    place = join(place, part);
    const kind = await kindOf(place);
    if (kind === "absent") return undefined;
    if (kind !== "directory") return place;
  }
  return undefined;
}
