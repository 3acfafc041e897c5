/**
 * The modes of installed files: every user may read them, whatever umask nffi runs with. Workers of
 * nginx run as another user than root, who installs.
 */
import { chmod, readdir } from "node:fs/promises";
import { join } from "node:path";
import { modeOf } from "./files.js";

/** The mode of an installed file: 755 for a program, else 644. */
export function publicMode(mode: number): number {
  return mode & 0o100 ? 0o755 : 0o644;
}

/** Sets these modes for a directory and all that is in it; links are left as they are. */
export async function makePublic(dir: string): Promise<void> {
  await chmod(dir, 0o755);
  for (const entry of await readdir(dir, { recursive: true, withFileTypes: true })) {
    const place = join(entry.parentPath, entry.name);
    if (entry.isDirectory()) await chmod(place, 0o755);
    if (entry.isFile()) await chmod(place, publicMode(await modeOf(place)));
  }
}
