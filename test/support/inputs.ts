// The sources of a product of the tests, as one hash: a product with the same hash is used again.
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join, relative } from "node:path";
import { repository } from "./cli.js";

/** `inputs`: files and directories of the repository; `words`: what else decides. */
export function hashOfInputs(inputs: readonly string[], words: readonly string[]): string {
  const hash = createHash("sha256").update(words.join("\0"));
  for (const input of inputs) {
    for (const file of filesBelow(join(repository, input))) {
      hash.update(`${relative(repository, file)}\0`).update(readFileSync(file));
    }
  }
  return hash.digest("hex");
}

function filesBelow(path: string): string[] {
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory() !== true) return [path];
  return readdirSync(path, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
}
