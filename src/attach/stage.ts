/**
 * The staging directory in the prefix, and what was there before nffi came: detaching keeps that,
 * and removes the directories that attaching has made.
 */
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { kindOf } from "../io/files.js";

export interface FoundBefore {
  /** Directories of a product that existed, by path below the prefix ("": itself). */
  readonly existing: readonly string[];
  /** Directories above the prefix and the file of --write-conf that did not, uppermost first. */
  readonly missing: readonly string[];
}

const STAGE = ".nffi-attach-";
/** In a prefix that this run has made: what a killed run leaves says so. */
const STAGE_OF_NEW = `${STAGE}new-`;

export async function foundBefore(
  prefix: string,
  confFile: string | undefined,
): Promise<FoundBefore> {
  const missing = [
    ...(await missingAbove(prefix)),
    ...(confFile ? await missingAbove(confFile) : []),
  ];
  const names = await readdir(prefix).catch(() => []);
  if (names.some((name) => name.startsWith(STAGE_OF_NEW))) return { existing: [], missing };
  const existing: string[] = [];
  for (const folder of ["", "lualib", "lualib/resty", "lualib/resty/core"]) {
    const kind = await kindOf(join(prefix, folder), { follow: true });
    if (kind === "directory") existing.push(folder);
  }
  return { existing, missing };
}

async function missingAbove(path: string): Promise<string[]> {
  const missing: string[] = [];
  for (let at = dirname(path); (await kindOf(at)) === "absent"; at = dirname(at)) {
    missing.unshift(at);
  }
  return missing;
}

export function makeStage(prefix: string, { existing }: FoundBefore): Promise<string> {
  return mkdtemp(join(prefix, existing.includes("") ? STAGE : STAGE_OF_NEW));
}

/** Also removes what a killed run has left: the prefix is locked, so no run uses it. */
export async function removeStages(prefix: string): Promise<void> {
  for (const name of await readdir(prefix).catch(() => [])) {
    if (!name.startsWith(STAGE)) continue;
    await rm(join(prefix, name), { recursive: true, force: true });
  }
}
