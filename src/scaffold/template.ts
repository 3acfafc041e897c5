/**
 * Reads a template: a small project. It consists of the directory of its language in templates/ and
 * of those in templates/shared with the files that are the same for several languages. Files that a
 * build there creates are not part of it.
 */
import { readdir, readFile } from "node:fs/promises";
import { join, relative } from "node:path";
import { messageOf, NffiError } from "../errors.js";

export interface TemplateFile {
  /** Its place in the project. */
  readonly path: string;
  readonly text: string;
}

const LEFT_BEHIND =
  /^(node_modules|dist|build|target|run|run-test|package-lock\.json|\.nffi|\.venv|__pycache__|\.nginx-.*)$/;

/**
 * Files and directories that are stored without their dot: npm omits the one from a package, and a
 * directory of that name is read by tools that look at this repository.
 */
const DOT_FILES = /^(gitignore|github)(?=\/|$)/;

/** The files of all `parts`, which are directories in `root`. */
export async function readTemplate(
  root: string,
  parts: readonly string[],
): Promise<TemplateFile[]> {
  try {
    const found: { folder: string; path: string }[] = [];
    for (const folder of parts.map((part) => join(root, part))) {
      for (const path of await filesBelow(folder, folder)) found.push({ folder, path });
    }
    found.sort((one, other) => (one.path < other.path ? -1 : 1));
    return await Promise.all(
      found.map(async ({ folder, path }) => ({
        path: path.replace(DOT_FILES, ".$1"),
        text: await readFile(join(folder, path), "utf8"),
      })),
    );
  } catch (thrown) {
    throw new NffiError("input-missing", `cannot read the template: ${messageOf(thrown)}`, {
      hint: "this installation of nffi is incomplete: install it again",
      cause: thrown,
    });
  }
}

async function filesBelow(folder: string, root: string): Promise<string[]> {
  const paths: string[] = [];
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    if (LEFT_BEHIND.test(entry.name)) continue;
    const path = join(folder, entry.name);
    if (entry.isDirectory()) paths.push(...(await filesBelow(path, root)));
    else paths.push(relative(root, path));
  }
  return paths;
}
