/** Opens a directory for the time of a command: made if it is missing, writable, and locked. */
import { randomBytes } from "node:crypto";
import { readdir, realpath, rm, rmdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { type ErrorCode, errnoOf, messageOf, NffiError } from "../errors.js";
import { makeFolders } from "../io/files.js";
import { acquireLock, type Lock } from "../io/lock.js";

export interface OpenedFolder {
  readonly path: string;
  readonly lock: Lock;
  /** Releases the lock and removes what was made, if it is still empty. */
  close(): Promise<void>;
}

interface FolderFailure {
  readonly code: ErrorCode;
  readonly what: string;
  readonly hint: string;
  /** Of directories that are made; undefined leaves it to the umask. */
  readonly mode?: number;
}

export async function openFolder(wanted: string, failure: FolderFailure): Promise<OpenedFolder> {
  let made: string | undefined;
  try {
    [made] = await makeFolders(wanted, failure.mode);
    await requireWritable(wanted);
  } catch (thrown) {
    await removeEmpty(wanted, made);
    throw notWritable(wanted, failure, thrown);
  }
  const path = await realpath(wanted);
  const lock = await acquireLock(path, {
    busyMessage: `${failure.what} ${path} is in use by another nffi`,
  }).catch(async (thrown) => {
    await removeEmpty(wanted, made);
    throw thrown;
  });
  return {
    path,
    lock,
    close: async () => {
      await lock.release();
      await removeEmpty(wanted, made);
    },
  };
}

export function notWritable(folder: string, failure: FolderFailure, thrown: unknown): NffiError {
  const { code, what, hint } = failure;
  const message = `${what} ${folder} is not writable: ${reasonOf(thrown)}`;
  return new NffiError(code, message, { hint, cause: thrown });
}

/** access(2) says yes to root even where a write fails, so a file is written. */
async function requireWritable(folder: string): Promise<void> {
  const probe = join(folder, `.nffi-probe-${randomBytes(6).toString("hex")}`);
  await writeFile(probe, "");
  await rm(probe);
}

/** Removes `folder` and its parents up to `made`, the first one that was made, while empty. */
async function removeEmpty(folder: string, made: string | undefined): Promise<void> {
  if (made === undefined) return;
  for (let path = folder; path.startsWith(made); path = dirname(path)) {
    try {
      if ((await readdir(path)).length > 0) return;
      await rmdir(path);
    } catch {
      return;
    }
  }
}

/** Why nothing can be written there, in words for people. */
export function reasonOf(thrown: unknown): string {
  const reasons: Record<string, string> = {
    EACCES: "permission denied",
    EPERM: "permission denied",
    EROFS: "the file system is read-only",
    EDQUOT: "your quota of disk space is used up",
    ENOSPC: "no space left on the device",
    ENOTDIR: "a part of the path is a file",
    EEXIST: "it is a file",
  };
  return reasons[errnoOf(thrown) ?? ""] ?? messageOf(thrown);
}
