/**
 * A temporary directory for nginx and its workers, which may run as another user. TMPDIR may be
 * closed to them, or its path too long for a socket; then there are other places.
 */
import { chmod, lstat, mkdtemp, readdir, realpath, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { errnoOf, NffiError } from "../errors.js";
import type { Environment } from "../host/environment.js";
import { mayEnter, type User } from "../host/user.js";
import { reasonOf } from "../pipeline/open-folder.js";
import { isPlainPath } from "../pipeline/plain-path.js";

export interface ScratchWish {
  readonly env: Environment;
  /** The user of nginx's workers; undefined if no worker uses the directory. */
  readonly user?: User | undefined;
  /** A directory to use if no temporary one is suitable. */
  readonly elsewhere?: string;
  /** Another place that `body` writes to, for the error of a failed write. */
  readonly target?: string;
}

/** Makes the directory, and removes it after `body`. Reports a failed write as no fault of nffi. */
export async function withScratch<T>(
  wish: ScratchWish,
  body: (dir: string) => Promise<T>,
): Promise<T> {
  let dir: string | undefined;
  try {
    dir = await makeScratch(wish);
    return await body(dir);
  } catch (thrown) {
    throw notWritten(thrown, wish.target ?? dir ?? tmpdir()) ?? thrown;
  } finally {
    if (dir !== undefined) await rm(dir, { recursive: true, force: true });
  }
}

const NAME = "nffi-attach-tmp.";
const OF_NFFI = /^nffi-attach-tmp\.\w{6}$/;

/** Hidden, as in the prefix it is among what is installed there. */
const HIDDEN = `.${NAME}`;

async function makeScratch({ env, user, elsewhere }: ScratchWish): Promise<string> {
  const places = [...new Set([tmpdir(), "/tmp", "/var/tmp"])].map((parent) => join(parent, NAME));
  if (elsewhere !== undefined) places.push(join(elsewhere, HIDDEN));
  let failure: unknown;
  for (const place of places) {
    try {
      const dir = await realpath(await mkdtemp(place));
      await chmod(dir, 0o755);
      if (isUsable(dir) && (user === undefined || (await mayEnter(dir, user, env)))) {
        await sweep(join(dir, ".."));
        return dir;
      }
      await rm(dir, { recursive: true });
    } catch (thrown) {
      failure ??= thrown;
    }
  }
  if (failure !== undefined) throw failure;
  throw new NffiError("install-failed", `${user?.name} can enter no temporary directory`, {
    hint: `tried ${places.map((place) => join(place, "..")).join(", ")}; set TMPDIR to another one`,
  });
}

/** Of the path of a unix socket, with its name in the directory. */
const MAX_PATH = 107 - "/stream.sock".length;

/** nginx.conf and Lua quote nothing there. */
function isUsable(dir: string): boolean {
  return isPlainPath(dir) && Buffer.byteLength(dir) <= MAX_PATH;
}

const DAY_MS = 24 * 3_600_000;

/** Removes what a killed run of this user has left. */
async function sweep(parent: string): Promise<void> {
  for (const name of await readdir(parent).catch(() => [])) {
    if (!OF_NFFI.test(name)) continue;
    const dir = join(parent, name);
    const stat = await lstat(dir).catch(() => undefined);
    const isOld = stat !== undefined && Date.now() - stat.mtimeMs > DAY_MS;
    if (!isOld || !stat.isDirectory() || stat.uid !== process.getuid?.()) continue;
    await rm(dir, { recursive: true, force: true }).catch(() => undefined);
  }
}

const OF_WRITING = ["ENOSPC", "EDQUOT", "EROFS", "EACCES", "EPERM", "EIO"];

/** undefined for other failures. */
function notWritten(thrown: unknown, target: string): NffiError | undefined {
  if (!OF_WRITING.includes(errnoOf(thrown) ?? "")) return undefined;
  const { dest, path } = thrown as NodeJS.ErrnoException & { dest?: string };
  const place = dest ?? path ?? `to ${target}`; // a failed write(2) has no path
  return new NffiError("install-failed", `cannot write ${place}: ${reasonOf(thrown)}`, {
    hint: "nothing was installed or changed; make room there, or name another --prefix or TMPDIR",
    cause: thrown,
  });
}
