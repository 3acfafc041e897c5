/** One hash of everything below a directory: names, contents, links and execute permissions. */
import { createHash } from "node:crypto";
import { lstatSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";

/** Returns whether a path, and everything below it, is left out. */
export type LeftOut = (path: string) => boolean;

/** SHA-256 in hexadecimal; the same on every machine, whatever order its file system lists in. */
export async function sha256OfTree(dir: string, isLeftOut: LeftOut = () => false): Promise<string> {
  const hash = createHash("sha256");
  for (const line of linesOf(dir, "", isLeftOut)) hash.update(`${line}\n`);
  return hash.digest("hex");
}

/**
 * One line for each file and link. The calls are synchronous: of hundreds of small files each
 * asynchronous call would take longer than the file.
 */
function* linesOf(root: string, below: string, isLeftOut: LeftOut): Generator<string> {
  for (const name of readdirSync(join(root, below)).sort()) {
    const path = join(below, name);
    if (!isLeftOut(path)) yield* linesOfOne(root, path, isLeftOut);
  }
}

function* linesOfOne(root: string, path: string, isLeftOut: LeftOut): Generator<string> {
  const place = join(root, path);
  const stat = lstatSync(place);
  const name = JSON.stringify(path);
  if (stat.isDirectory()) yield* linesOf(root, path, isLeftOut);
  else if (stat.isSymbolicLink()) yield `link ${name} ${JSON.stringify(readlinkSync(place))}`;
  else if (stat.isFile()) {
    const content = createHash("sha256").update(readFileSync(place)).digest("hex");
    yield `${stat.mode & 0o100 ? "program" : "file"} ${name} ${content}`;
  }
}
