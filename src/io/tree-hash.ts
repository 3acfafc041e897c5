/** One hash of everything below a directory: names, contents, links and execute permissions. */
import { createHash } from "node:crypto";
import { lstat, readdir, readFile, readlink } from "node:fs/promises";
import { join } from "node:path";

/** Returns whether a path, and everything below it, is left out. */
export type LeftOut = (path: string) => boolean;

/** SHA-256 in hexadecimal; the same on every machine, whatever order its file system lists in. */
export async function sha256OfTree(dir: string, isLeftOut: LeftOut = () => false): Promise<string> {
  const hash = createHash("sha256");
  for (const line of await linesOf(dir, "", isLeftOut)) hash.update(`${line}\n`);
  return hash.digest("hex");
}

/** One line for each file and link. */
async function linesOf(root: string, below: string, isLeftOut: LeftOut): Promise<string[]> {
  const names = (await readdir(join(root, below))).sort();
  const paths = names.map((name) => join(below, name)).filter((path) => !isLeftOut(path));
  const lines: string[] = [];
  // a few in parallel, so that a large tree does not run out of descriptors
  for (let first = 0; first < paths.length; first += AT_ONCE) {
    const some = paths.slice(first, first + AT_ONCE);
    lines.push(
      ...(await Promise.all(some.map((path) => linesOfOne(root, path, isLeftOut)))).flat(),
    );
  }
  return lines;
}

const AT_ONCE = 32;

async function linesOfOne(root: string, path: string, isLeftOut: LeftOut): Promise<string[]> {
  const place = join(root, path);
  const stat = await lstat(place);
  if (stat.isDirectory()) return linesOf(root, path, isLeftOut);
  const name = JSON.stringify(path);
  if (stat.isSymbolicLink()) return [`link ${name} ${JSON.stringify(await readlink(place))}`];
  if (!stat.isFile()) return [];
  const content = createHash("sha256")
    .update(await readFile(place))
    .digest("hex");
  return [`${stat.mode & 0o100 ? "program" : "file"} ${name} ${content}`];
}
