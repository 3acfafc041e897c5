// The text of our sources, for tests that look for names in them.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { repository } from "./cli.js";

/** All files below these directories of the repository, one after another. */
export function codeBelow(...folders: string[]): string {
  return folders
    .flatMap((folder) =>
      readdirSync(join(repository, folder), { recursive: true, withFileTypes: true }),
    )
    .filter((entry) => entry.isFile())
    .map((entry) => readFileSync(join(entry.parentPath, entry.name), "utf8"))
    .join("\n");
}
