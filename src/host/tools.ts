/** Finds programs the way a shell does. */
import { constants } from "node:fs";
import { access } from "node:fs/promises";
import { delimiter, isAbsolute, join } from "node:path";
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

async function isExecutable(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
