/** The work folders below the cache, one for each prefix: what they are for, and their removal. */
import { createHash } from "node:crypto";
import { lstat, readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { NffiError } from "../errors.js";
import { writeFileWhole } from "../io/files.js";
import { acquireLock } from "../io/lock.js";

export interface WorkFolder {
  readonly path: string;
  /** The prefix whose builds use it; undefined where no build has got so far. */
  readonly prefix: string | undefined;
  readonly bytes: number;
}

const FOLDER = "work";
/** Beside the logs, which stay whatever becomes of the build. */
const RECORD = join("logs", "prefix");

/** Builds of two prefixes do not meet. */
export function workFolderOf(prefix: string, cacheDir: string): string {
  return join(cacheDir, FOLDER, createHash("sha256").update(prefix).digest("hex").slice(0, 12));
}

export async function recordPrefix(workDir: string, prefix: string): Promise<void> {
  await writeFileWhole(join(workDir, RECORD), `${prefix}\n`);
}

export async function listWorkFolders(cacheDir: string): Promise<WorkFolder[]> {
  const names = await readdir(join(cacheDir, FOLDER)).catch(() => []);
  const folders = names.sort().map(async (name) => {
    const path = join(cacheDir, FOLDER, name);
    const prefix = await readFile(join(path, RECORD), "utf8").catch(() => undefined);
    return { path, prefix: prefix?.trim(), bytes: await bytesBelow(path) };
  });
  return Promise.all(folders);
}

/** Removes the folders that no build uses now; gives those that one uses. */
export async function removeWorkFolders(cacheDir: string): Promise<WorkFolder[]> {
  const inUse: WorkFolder[] = [];
  for (const folder of await listWorkFolders(cacheDir)) {
    try {
      const lock = await acquireLock(folder.path);
      await rm(folder.path, { recursive: true, force: true });
      await lock.release();
    } catch (thrown) {
      if (!(thrown instanceof NffiError) || thrown.code !== "locked") throw thrown;
      inUse.push(folder);
    }
  }
  return inUse;
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
