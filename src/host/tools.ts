/**
 * Finds the programs and headers that a build needs, and names the Debian package of each that is
 * missing. All of them are looked for before the first byte is fetched.
 */
import { constants } from "node:fs";
import { access } from "node:fs/promises";
import { delimiter, isAbsolute, join } from "node:path";
import { NffiError } from "../errors.js";
import type { Environment } from "./environment.js";

/** The path of a program in PATH, or of the absolute path given; undefined if there is none. */
export async function findProgram(name: string, env: Environment): Promise<string | undefined> {
  const places = isAbsolute(name)
    ? [name]
    : (env.PATH ?? "").split(delimiter).map((dir) => join(dir || ".", name));
  for (const place of places) {
    if (await isExecutable(place)) return place;
  }
  return undefined;
}

export interface Requirement {
  readonly what: string;
  /** The Debian package that brings it. */
  readonly debian: string;
  isThere(): Promise<boolean>;
}

/** Throws one error that names everything missing. */
export async function requireAll(requirements: readonly Requirement[]): Promise<void> {
  const missing: Requirement[] = [];
  for (const requirement of requirements) {
    if (!(await requirement.isThere())) missing.push(requirement);
  }
  if (missing.length === 0) return;
  const packages = [...new Set(missing.map((requirement) => requirement.debian))];
  throw new NffiError(
    "toolchain-missing",
    `missing on this machine: ${missing.map((requirement) => requirement.what).join(", ")}`,
    { hint: `on Debian: apt-get install ${packages.join(" ")}` },
  );
}

async function isExecutable(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
