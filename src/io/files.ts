/**
 * Files that are either whole or absent: written under a temporary name beside their place,
 * flushed to the disk, then renamed. Also the small questions about files that many steps ask.
 */
import { createHash, randomBytes } from "node:crypto";
import { closeSync, openSync, readSync } from "node:fs";
import {
  chmod,
  copyFile,
  lstat,
  mkdir,
  open,
  readlink,
  rename,
  rm,
  stat as statOf,
  symlink,
  writeFile,
} from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { setImmediate } from "node:timers/promises";

/** Lets `write` fill a temporary file beside `file`, then puts it in place in one move. */
export async function replaceWhenWritten<T>(
  file: string,
  write: (temp: string) => Promise<T>,
): Promise<T> {
  await mkdir(dirname(file), { recursive: true });
  const temp = temporaryName(file);
  try {
    const result = await write(temp);
    await flush(temp);
    await rename(temp, file);
    return result;
  } catch (thrown) {
    await rm(temp, { force: true });
    throw thrown;
  }
}

/**
 * Creates a directory and its parents; returns the created ones, the uppermost first. With `mode`
 * they have that mode whatever the umask, and keep the group of a setgid directory. Does not use
 * Node's recursive mkdir, which never returns where nothing can be created (/proc).
 */
export async function makeFolders(folder: string, mode?: number): Promise<string[]> {
  const missing: string[] = [];
  for (let at = resolve(folder); (await kindOf(at)) === "absent"; at = dirname(at)) {
    missing.unshift(at);
  }
  const made: string[] = [];
  for (const path of missing) {
    try {
      await mkdir(path);
      made.push(path);
      if (mode !== undefined) await chmod(path, ((await statOf(path)).mode & 0o2000) | mode);
    } catch (thrown) {
      if ((thrown as NodeJS.ErrnoException).code !== "EEXIST") throw thrown; // another was faster
    }
  }
  return made;
}

export async function writeFileWhole(
  file: string,
  text: string | Buffer,
  mode = 0o644,
): Promise<void> {
  await replaceWhenWritten(file, (temp) => writeFile(temp, text, { mode }));
}

/** Copies a regular file or a symbolic link to its place, replacing what is there in one move. */
export async function copyWhole(source: string, file: string): Promise<void> {
  const stat = await lstat(source);
  if (stat.isSymbolicLink()) {
    const target = await readlink(source);
    await mkdir(dirname(file), { recursive: true });
    const temp = temporaryName(file);
    await symlink(target, temp);
    await rename(temp, file);
    return;
  }
  await replaceWhenWritten(file, async (temp) => {
    await copyFile(source, temp);
    await chmod(temp, stat.mode & 0o7777);
  });
}

const PIECE = Buffer.allocUnsafeSlow(1 << 20);
const PIECES_IN_A_ROW = 16;

/** Reads synchronously, which is several times faster for small files; others run in between. */
export async function sha256OfFile(file: string): Promise<string> {
  const hash = createHash("sha256");
  const descriptor = openSync(file, "r");
  try {
    for (let pieces = 1; ; pieces++) {
      const bytes = readSync(descriptor, PIECE, 0, PIECE.length, null);
      if (bytes === 0) return hash.digest("hex");
      hash.update(PIECE.subarray(0, bytes));
      if (pieces % PIECES_IN_A_ROW === 0) await setImmediate();
    }
  } finally {
    closeSync(descriptor);
  }
}

export async function exists(path: string): Promise<boolean> {
  return (await kindOf(path)) !== "absent";
}

/** The type of a path; symbolic links are followed only on request. */
export async function kindOf(
  path: string,
  how: { follow?: boolean } = {},
): Promise<"file" | "directory" | "other" | "absent"> {
  try {
    const stat = await (how.follow ? statOf(path) : lstat(path));
    if (stat.isFile()) return "file";
    return stat.isDirectory() ? "directory" : "other";
  } catch {
    return "absent";
  }
}

/** The permission bits of a file. */
export async function modeOf(file: string): Promise<number> {
  return (await statOf(file)).mode & 0o777;
}

function temporaryName(file: string): string {
  return join(dirname(file), `.${basename(file)}.${randomBytes(6).toString("hex")}.nffi-tmp`);
}

/** Waits until the content of a file is on the disk. */
export async function flush(file: string): Promise<void> {
  const handle = await open(file, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
