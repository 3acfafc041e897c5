/**
 * The folders of one build: the prefix and the work folder, both locked against a second run. The
 * files of a failed build are removed here, except for the logs.
 */
import { randomBytes } from "node:crypto";
import { readdir, realpath, rm, rmdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { type ErrorCode, errnoOf, messageOf, NffiError } from "../errors.js";
import { makeFolders } from "../io/files.js";
import { acquireLock, type Lock } from "../io/lock.js";
import type { BuildRequest } from "./request.js";
import { beginWork, removeAllButLogs, requireOwnWorkFolder } from "./work-mark.js";

/** Where everything of a build lies. */
export interface SitePaths {
  readonly prefix: string;
  readonly workDir: string;
  readonly logDir: string;
  readonly downloadDir: string;
  readonly treeDir: string;
  readonly libraryDir: string;
  /** DESTDIR of every `make install`. */
  readonly stageDir: string;
  /** The prefix inside of the stage. */
  readonly stagedPrefix: string;
  readonly proofDir: string;
  /** Holds what stands in for the compiler. */
  readonly compilerDir: string;
}

export interface Site extends SitePaths {
  close(outcome: { succeeded: boolean }): Promise<void>;
}

export function sitePaths(prefix: string, workDir: string): SitePaths {
  const inWork = (name: string) => join(workDir, name);
  return {
    prefix,
    workDir,
    logDir: inWork("logs"),
    downloadDir: inWork("download"),
    treeDir: inWork("tree"),
    libraryDir: inWork("library"),
    stageDir: inWork("stage"),
    stagedPrefix: join(inWork("stage"), prefix),
    proofDir: inWork("proof"),
    compilerDir: inWork("compiler"),
  };
}

/** Refuses directories that cannot be used for a build. */
export function requireUsablePlaces(request: BuildRequest): void {
  requirePlainPath("prefix", request.prefix);
  requirePlainPath("work folder", request.workDir);
  requireApart(request.prefix, request.workDir);
}

export async function openSite(request: BuildRequest): Promise<Site> {
  requireUsablePlaces(request);

  const prefix = await openFolder(request.prefix, {
    code: "install-failed",
    what: "the prefix",
    hint: "choose another one with --prefix, or make it writable for this user",
    mode: 0o755, // nginx's workers may run as another user
  });
  const work = await openFolder(request.workDir, {
    code: "usage",
    what: "the work folder",
    hint: "choose another one with --work-dir",
  }).catch(async (thrown) => {
    await prefix.close();
    throw thrown;
  });
  try {
    // Under the lock, so that no other build is about to fill it.
    await requireOwnWorkFolder(work.path, prefix.path);
  } catch (thrown) {
    await work.close();
    await prefix.close();
    throw thrown;
  }

  const site: Site = {
    ...sitePaths(prefix.path, work.path),
    close: async ({ succeeded }) => {
      const isKept = request.keep === "always" || (request.keep !== "never" && succeeded);
      if (!isKept) await removeAllButLogs(site.workDir);
      // Created again by each build; kept for inspection only.
      if (request.keep !== "always") await rm(site.stageDir, { recursive: true, force: true });
      await work.close();
      await (succeeded ? prefix.lock.release() : prefix.close());
    },
  };
  await beginWork(site.workDir, site.prefix);
  if (request.force) await removeAllButLogs(site.workDir);
  return site;
}

interface OpenedFolder {
  readonly path: string;
  readonly lock: Lock;
  /** Releases the lock and removes what was made, if it is still empty. */
  close(): Promise<void>;
}

interface FolderFailure {
  readonly code: ErrorCode;
  readonly what: string;
  readonly hint: string;
  /** Of folders that are made; undefined leaves it to the umask. */
  readonly mode?: number;
}

async function openFolder(wanted: string, failure: FolderFailure): Promise<OpenedFolder> {
  let made: string | undefined;
  try {
    [made] = await makeFolders(wanted, failure.mode);
    await requireWritable(wanted);
  } catch (thrown) {
    await removeEmpty(wanted, made);
    throw new NffiError(
      failure.code,
      `${failure.what} ${wanted} is not writable: ${reasonOf(thrown)}`,
      { hint: failure.hint, cause: thrown },
    );
  }
  const path = await realpath(wanted);
  const lock = await acquireLock(path, {
    busyMessage: `${failure.what} ${path} is in use by another nffi build`,
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

/** nginx's configure and make quote nothing, so such a path fails late and without a hint. */
function requirePlainPath(what: string, path: string): void {
  const strange = /[^\p{L}\p{N}/._+@~,=-]/u.exec(path);
  if (!strange) return;
  throw new NffiError("usage", `the ${what} "${path}" holds "${strange[0]}"`, {
    hint: "the configure of nginx cannot work with such a path",
  });
}

/** The stage, emptied by each build, must not hold the prefix, nor the prefix the stage. */
function requireApart(prefix: string, workDir: string): void {
  if (!`${prefix}/`.startsWith(`${workDir}/`) && !`${workDir}/`.startsWith(`${prefix}/`)) return;
  throw new NffiError("usage", `the prefix ${prefix} and the work folder ${workDir} overlap`, {
    hint: "choose two folders side by side with --prefix and --work-dir",
  });
}

function reasonOf(thrown: unknown): string {
  const reasons: Record<string, string> = {
    EACCES: "permission denied",
    EPERM: "permission denied",
    EROFS: "the file system is read-only",
    ENOSPC: "no space left on the device",
    ENOTDIR: "a part of the path is a file",
    EEXIST: "it is a file",
  };
  return reasons[errnoOf(thrown) ?? ""] ?? messageOf(thrown);
}
