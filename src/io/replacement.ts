/**
 * Replaces and removes many files of a directory as one: every new file is first copied beside its
 * target, and the file that it replaces gets a second name there. A failure before or during the
 * renames restores the previous files, so the directory is either completely new or unchanged.
 */
import {
  chmod,
  copyFile,
  link,
  lutimes,
  readlink,
  rename,
  rm,
  rmdir,
  symlink,
} from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { errnoOf } from "../errors.js";
import { flush, kindOf, makeFolders, modeOf } from "./files.js";
import { publicMode } from "./public-modes.js";

export interface Change {
  /** Absolute; no directory above it may be a link that leads elsewhere. */
  readonly place: string;
  /** The file or link to put there; without it, what is there is removed. */
  readonly source?: string;
}

export interface ReplaceOptions {
  /** Stops the copying; the renames at the end are not interrupted. */
  readonly signal: AbortSignal;
  /** Seconds since 1970 for the times of all new files. */
  readonly date: number | undefined;
  /** Called when all is in place; if it throws, the previous files are restored. */
  readonly check?: (() => Promise<void>) | undefined;
}

export interface ReplacementFailure {
  readonly cause: unknown;
  /** Where it failed; undefined if all was in place and `check` has thrown. */
  readonly place: string | undefined;
  /** Places that could not be brought back; what was there is beside them, as `.NAME.nffi-old`. */
  readonly lost: readonly string[];
}

interface Prepared extends Change {
  readonly temp: string;
  readonly saved: string;
  readonly isNew: boolean;
}

/** Returns why nothing was changed; undefined after success. Throws only the reason of `signal`. */
export async function replaceTogether(
  changes: readonly Change[],
  options: ReplaceOptions,
): Promise<ReplacementFailure | undefined> {
  const prepared: Prepared[] = [];
  const made: string[] = [];
  const committed: Prepared[] = [];
  let lost: string[] = [];
  let place: string | undefined;
  let isDone = false;
  try {
    for (const change of changes) {
      place = change.place;
      options.signal.throwIfAborted();
      made.push(...(await makeFolders(dirname(change.place), FOLDER_MODE)));
      const one = await preparationOf(change);
      prepared.push(one);
      await prepare(one, options.date);
    }
    for (const one of prepared) {
      place = one.place;
      await commit(one);
      committed.push(one);
    }
    place = undefined;
    await options.check?.();
    isDone = true;
    return undefined;
  } catch (thrown) {
    lost = await bringBack(committed.reverse());
    if (lost.length === 0) options.signal.throwIfAborted();
    return { cause: thrown, place, lost };
  } finally {
    await tidyUp(prepared.filter(({ place }) => !lost.includes(place)));
    if (!isDone) await removeEmpty(made.reverse());
  }
}

const FOLDER_MODE = 0o755;

async function preparationOf(change: Change): Promise<Prepared> {
  const beside = (ending: string) =>
    join(dirname(change.place), `.${basename(change.place)}.${ending}`);
  return {
    ...change,
    temp: beside("nffi-new"),
    saved: beside("nffi-old"),
    isNew: (await kindOf(change.place)) === "absent",
  };
}

async function prepare({ place, source, temp, saved, isNew }: Prepared, date?: number) {
  await rm(temp, { force: true });
  await rm(saved, { force: true });
  if (source !== undefined) {
    await copyBeside(source, temp);
    if (date !== undefined) await lutimes(temp, date, date);
  }
  if (!isNew) await save(place, saved);
}

/** Whatever umask nffi runs with: what others may use they may read. */
async function copyBeside(source: string, temp: string): Promise<void> {
  if ((await kindOf(source)) !== "file") return symlink(await readlink(source), temp);
  await copyFile(source, temp);
  await chmod(temp, publicMode(await modeOf(source)));
  await flush(temp);
}

/** A second name costs nothing; where the file system or the kernel refuses it, a copy does. */
async function save(place: string, saved: string): Promise<void> {
  try {
    await link(place, saved);
  } catch (thrown) {
    if (!["EPERM", "EACCES", "EMLINK", "ENOTSUP", "EOPNOTSUPP"].includes(errnoOf(thrown) ?? "")) {
      throw thrown;
    }
    const kind = await kindOf(place);
    if (kind === "directory") throw thrown;
    if (kind === "other") return symlink(await readlink(place), saved);
    await copyFile(place, saved);
    await chmod(saved, await modeOf(place));
  }
}

async function commit({ place, source, temp }: Prepared): Promise<void> {
  await (source === undefined ? rm(place, { force: true }) : rename(temp, place));
}

/** Returns the places where it failed; what was saved of them stays beside them. */
async function bringBack(committed: readonly Prepared[]): Promise<string[]> {
  const lost: string[] = [];
  for (const { place, saved, isNew } of committed) {
    try {
      await (isNew ? rm(place, { force: true }) : rename(saved, place));
    } catch {
      lost.push(place);
    }
  }
  return lost;
}

async function tidyUp(prepared: readonly Prepared[]): Promise<void> {
  for (const { temp, saved } of prepared) {
    await rm(temp, { force: true }).catch(() => undefined);
    await rm(saved, { force: true }).catch(() => undefined);
  }
}

async function removeEmpty(folders: readonly string[]): Promise<void> {
  // Another program may have put something there.
  for (const folder of folders) await rmdir(folder).catch(() => undefined);
}
