/** The build directories below the cache, one for each prefix: their use and removal. */
import { createHash } from "node:crypto";
import { lstat, readdir } from "node:fs/promises";
import { basename, join } from "node:path";
import { NffiError } from "../errors.js";
import { acquireLock } from "../io/lock.js";
import { isOwnWorkFolder, recordedPrefix, removeWork } from "./work-mark.js";

export interface WorkFolder {
  readonly path: string;
  /** The prefix whose builds use it; undefined where no build has got so far. */
  readonly prefix: string | undefined;
  readonly bytes: number;
}

const FOLDER = "work";

/** Builds of two prefixes do not meet. */
export function workFolderOf(prefix: string, cacheDir: string): string {
  return join(cacheDir, FOLDER, nameFor(prefix));
}

function nameFor(prefix: string): string {
  return createHash("sha256").update(prefix).digest("hex").slice(0, 12);
}

/** The ones that nffi created; others are left out. */
export async function listWorkFolders(cacheDir: string): Promise<WorkFolder[]> {
  const entries = await readdir(join(cacheDir, FOLDER), { withFileTypes: true }).catch(() => []);
  const folders: WorkFolder[] = [];
  for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const path = join(cacheDir, FOLDER, entry.name);
    if (!entry.isDirectory() || !(await isOurs(path))) continue;
    folders.push({ path, prefix: await recordedPrefix(path), bytes: await bytesBelow(path) });
  }
  return folders;
}

/** Removes the directories that no build uses now; returns the directories that a build uses. */
export async function removeWorkFolders(cacheDir: string): Promise<WorkFolder[]> {
  const inUse: WorkFolder[] = [];
  for (const folder of await listWorkFolders(cacheDir)) {
    try {
      const lock = await acquireLock(folder.path);
      try {
        await removeWork(folder.path);
      } finally {
        await lock.release();
      }
    } catch (thrown) {
      if (!(thrown instanceof NffiError) || thrown.code !== "locked") throw thrown;
      inUse.push(folder);
    }
  }
  return inUse;
}

/** A directory of nffi 0.1 has no mark, but a name derived from its prefix. */
async function isOurs(path: string): Promise<boolean> {
  const prefix = await recordedPrefix(path);
  const isNamedFor = prefix !== undefined && basename(path) === nameFor(prefix);
  return isOwnWorkFolder(path, isNamedFor ? prefix : undefined);
}

async function bytesBelow(dir: string): Promise<number> {
  let bytes = 0;
  for (const entry of await readdir(dir, { withFileTypes: true }).catch(() => [])) {
    const path = join(dir, entry.name);
    if (entry.isDirectory()) bytes += await bytesBelow(path);
    else bytes += (await lstat(path).catch(() => undefined))?.size ?? 0;
  }
  return bytes;
}
