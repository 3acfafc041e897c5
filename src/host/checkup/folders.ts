/** The part of a checkup about space: disk, memory, and directories that allow programs to run. */
import { randomBytes } from "node:crypto";
import { rm, statfs, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { messageOf } from "../../errors.js";
import { run } from "../../io/exec.js";
import { kindOf } from "../../io/files.js";
import { type Finding, finding } from "./finding.js";

export interface Folders {
  /** Where builds work: the sources and objects of OpenResty. */
  readonly work: string;
  /** Where the product goes. */
  readonly prefix: string;
}

const MEGABYTE = 1e6;
/** Measured: a build directory takes 170 MB and a product 30 MB; official releases are larger. */
const WORK_NEEDS = 600 * MEGABYTE;
const PREFIX_NEEDS = 100 * MEGABYTE;
/** One compiler of nginx's largest file takes about 150 MB. */
const MEMORY_NEEDS = 400 * MEGABYTE;

export async function checkFolders(folders: Folders): Promise<Finding[]> {
  return [
    await checkDisk("disk, build directory", folders.work, WORK_NEEDS),
    await checkDisk("disk, prefix", folders.prefix, PREFIX_NEEDS),
    checkMemory(process.availableMemory()),
    await checkExecution("build directory", folders.work),
    await checkExecution("temp directory", tmpdir()),
  ];
}

async function checkDisk(name: string, folder: string, needed: number): Promise<Finding> {
  const existing = await nearestFolder(folder);
  const { bavail, bsize } = await statfs(existing);
  const free = bavail * bsize;
  const found = `${inMegabytes(free)} free in ${existing}`;
  if (free >= needed) return finding("ok", name, found);
  return finding("missing", name, `${found}; a build needs ${inMegabytes(needed)}`);
}

function checkMemory(free: number): Finding {
  const found = `${inMegabytes(free)} free`;
  if (free >= MEMORY_NEEDS) return finding("ok", "memory", found);
  return finding("warning", "memory", `${found}; build with --jobs 1`);
}

/** Runs a script from the directory: a file system may be mounted noexec. */
async function checkExecution(name: string, folder: string): Promise<Finding> {
  const existing = await nearestFolder(folder);
  const probe = join(existing, `.nffi-probe-${randomBytes(6).toString("hex")}`);
  try {
    await writeFile(probe, "#!/bin/sh\nexit 0\n", { mode: 0o755 });
    const { exitCode, startError } = await run({ program: probe, args: [], env: {} });
    if (exitCode === 0) return finding("ok", name, `${existing}, programs can run there`);
    return finding(
      "missing",
      name,
      `programs cannot run in ${existing} (${startError ?? exitCode}; mounted noexec?): ` +
        (name === "temp directory" ? "set TMPDIR to another directory" : "use --work-dir"),
    );
  } catch (thrown) {
    return finding("missing", name, `${existing} is not writable: ${messageOf(thrown)}`);
  } finally {
    await rm(probe, { force: true });
  }
}

/** The directory itself, or the first one above it that is there. */
async function nearestFolder(folder: string): Promise<string> {
  let path = folder;
  while ((await kindOf(path, { follow: true })) !== "directory" && path !== dirname(path)) {
    path = dirname(path);
  }
  return path;
}

function inMegabytes(bytes: number): string {
  return `${Math.floor(bytes / MEGABYTE)} MB`;
}
