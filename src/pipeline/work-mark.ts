/**
 * The mark of a build directory: a file that says nffi made what is in it. nffi empties and removes
 * nothing in a directory without the mark, so a wrong --work-dir costs no file of the user.
 */
import { readdir, readFile, rm, rmdir } from "node:fs/promises";
import { join } from "node:path";
import { NffiError } from "../errors.js";
import { version } from "../host/package.js";
import { kindOf, writeFileWhole } from "../io/files.js";

export const MARK = ".nffi-work";
const FIRST_LINE = "work folder of nffi";

/** Everything that a build makes in its build directory, besides the mark and the logs. */
const DISPOSABLE = [
  ...["download", "tree", "tree.unpacked", "tree.assembled"],
  ...["library", "stage", "proof", "compiler"],
];
const LOGS = "logs";
/** The prefix whose builds use the directory. */
const PREFIX = join(LOGS, "prefix");

/** Entries that a file system, or an nffi that was killed, leaves in an empty directory. */
const LITTER = /^(lost\+found|\.nffi-probe-.*|\.\.nffi-work\..*\.nffi-tmp)$/;

/** The prefix of the last build here; undefined where none is recorded. */
export async function recordedPrefix(folder: string): Promise<string | undefined> {
  const text = await readFile(join(folder, PREFIX), "utf8").catch(() => undefined);
  return text?.trim();
}

/** Throws unless the directory is absent, empty, or has the mark. Changes nothing. */
export async function requireOwnWorkFolder(folder: string, prefix: string): Promise<void> {
  const names = (await readdir(folder).catch(() => [])).filter((name) => !LITTER.test(name));
  if (names.length === 0) return;
  if (!(await isOwnWorkFolder(folder, prefix))) {
    throw new NffiError(
      "foreign-files",
      `the build directory ${folder} holds files that nffi did not make: ${someOf(names)}`,
      { hint: "nothing was changed; pass a new or empty directory with --work-dir" },
    );
  }
  for (const name of [...DISPOSABLE, LOGS]) {
    const kind = await kindOf(join(folder, name));
    if (kind === "absent" || kind === "directory") continue;
    throw new NffiError("foreign-files", `${join(folder, name)} is not a directory`, {
      hint: "nffi makes a directory there and follows no link; remove it, or use another --work-dir",
    });
  }
}

/**
 * True for a directory with the mark. Those of nffi 0.1 had none: such a one is ours if it records
 * this prefix and holds nothing but what a build makes.
 */
export async function isOwnWorkFolder(folder: string, prefix?: string): Promise<boolean> {
  const mark = join(folder, MARK);
  if ((await kindOf(mark)) === "file") {
    return (await readFile(mark, "utf8").catch(() => "")).startsWith(`${FIRST_LINE}\n`);
  }
  const recorded = await recordedPrefix(folder);
  if (recorded === undefined || prefix === undefined || recorded !== prefix) return false;
  const names = await readdir(folder).catch(() => []);
  return names.every((name) => name === LOGS || DISPOSABLE.includes(name));
}

/** Marks a directory, removes the logs of the last build and records the prefix of this one. */
export async function beginWork(folder: string, prefix: string): Promise<void> {
  await writeFileWhole(join(folder, MARK), `${FIRST_LINE}\nnffi ${version}\n`);
  await rm(join(folder, LOGS), { recursive: true, force: true });
  await writeFileWhole(join(folder, PREFIX), `${prefix}\n`);
}

/** Removes what a build has made, but for the logs. */
export async function removeAllButLogs(folder: string): Promise<void> {
  for (const name of DISPOSABLE) await rm(join(folder, name), { recursive: true, force: true });
}

/** Removes what builds have made, and the directory if nothing else is in it. */
export async function removeWork(folder: string): Promise<void> {
  await removeAllButLogs(folder);
  await rm(join(folder, LOGS), { recursive: true, force: true });
  await rm(join(folder, MARK), { force: true });
  await rmdir(folder).catch(() => undefined); // what is left is the user's
}

const SHOWN = 3;

function someOf(names: readonly string[]): string {
  const shown = [...names].sort().slice(0, SHOWN).join(", ");
  return names.length > SHOWN ? `${shown} and ${names.length - SHOWN} more` : shown;
}
