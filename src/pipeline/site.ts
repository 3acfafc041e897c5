/**
 * The directories of one build: the prefix and the build directory, both locked against a second
 * run. The files of a failed build are removed here, except for the logs.
 */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { NffiError } from "../errors.js";
import { notWritable, type OpenedFolder, openFolder } from "./open-folder.js";
import { requirePlainPath } from "./plain-path.js";
import type { BuildRequest } from "./request.js";
import { beginWork, removeAllButLogs, requireOwnWorkFolder } from "./work-mark.js";

/** The paths of a build. */
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
  requirePlainPath("build directory", request.workDir);
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
  const opened = [prefix];
  try {
    const work = await openFolder(request.workDir, WORK);
    opened.unshift(work);
    // Under the lock, so that no other build is about to fill it.
    await requireOwnWorkFolder(work.path, prefix.path);
    await beginWork(work.path, prefix.path).catch((thrown) => {
      throw notWritable(work.path, WORK, thrown);
    });
    if (request.force) await removeAllButLogs(work.path);
    return siteOf(request, prefix, work);
  } catch (thrown) {
    for (const folder of opened) await folder.close();
    throw thrown;
  }
}

const WORK = {
  code: "usage",
  what: "the build directory",
  hint: "choose another one with --work-dir",
} as const;

function siteOf(request: BuildRequest, prefix: OpenedFolder, work: OpenedFolder): Site {
  const site: Site = {
    ...sitePaths(prefix.path, work.path),
    close: async ({ succeeded }) => {
      const isKept = request.keep === "always" || (request.keep !== "never" && succeeded);
      try {
        if (!isKept) await removeAllButLogs(site.workDir);
        // Created again by each build; kept for inspection only.
        if (request.keep !== "always") await rm(site.stageDir, { recursive: true, force: true });
      } finally {
        await work.close();
        await (succeeded ? prefix.lock.release() : prefix.close());
      }
    },
  };
  return site;
}

/** The stage, emptied by each build, must not hold the prefix, nor the prefix the stage. */
function requireApart(prefix: string, workDir: string): void {
  if (!`${prefix}/`.startsWith(`${workDir}/`) && !`${workDir}/`.startsWith(`${prefix}/`)) return;
  throw new NffiError("usage", `the prefix ${prefix} and the build directory ${workDir} overlap`, {
    hint: "choose two directories side by side with --prefix and --work-dir",
  });
}
