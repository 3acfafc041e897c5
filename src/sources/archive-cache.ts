/**
 * Downloaded archives, by their SHA-256: `archives/SHA256/NAME`, with NAME.asc beside it if a
 * signature was checked. A file there is always complete and matches its directory; `partial/`
 * contains interrupted downloads. A process that reads or adds an archive holds its lock in
 * `locks/`, which the kernel releases when the process ends.
 */
import { randomBytes } from "node:crypto";
import { mkdir, readdir, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { NffiError } from "../errors.js";
import { copyWhole, exists, sha256OfFile } from "../io/files.js";
import { acquireLock } from "../io/lock.js";

export interface CachedArchive {
  readonly sha256: string;
  readonly name: string;
  readonly file: string;
  readonly bytes: number;
}

export interface LockWish {
  readonly signal: AbortSignal;
  /** Called once if another process has the lock. */
  onWait(): void;
}

/** Makes the directories; throws if they cannot be made or written to. */
export async function openCache(dir: string): Promise<ArchiveCache> {
  for (const part of ["archives", "partial", "locks"]) {
    await mkdir(join(dir, part), { recursive: true });
  }
  const probe = join(dir, `.nffi-probe-${randomBytes(6).toString("hex")}`);
  await writeFile(probe, "", { flag: "wx" });
  await rm(probe, { force: true });
  return new ArchiveCache(dir);
}

export class ArchiveCache {
  constructor(readonly dir: string) {}

  /** Runs `body` while no other process works on the archive of that key. */
  async exclusively<T>(key: string, wish: LockWish, body: () => Promise<T>): Promise<T> {
    const lock = await this.#lock(key, wish);
    try {
      return await body();
    } finally {
      await lock.release();
    }
  }

  async find(sha256: string): Promise<CachedArchive | undefined> {
    const folder = join(this.dir, "archives", sha256);
    const name = (await readdir(folder).catch(() => [])).find((one) => !/^\.|\.asc$/.test(one));
    if (name === undefined) return undefined;
    const file = join(folder, name);
    return { sha256, name, file, bytes: (await stat(file)).size };
  }

  /** Where a download of that key is to be received. */
  partialFile(key: string): string {
    return join(this.dir, "partial", key);
  }

  /** Takes over a complete and verified file of `partialFile`. */
  async store(sha256: string, name: string, file: string): Promise<string> {
    const folder = join(this.dir, "archives", sha256);
    await rm(folder, { recursive: true, force: true });
    await mkdir(folder, { recursive: true });
    const place = join(folder, name);
    await rename(file, place);
    return place;
  }

  /** Keeps the signature of an archive beside it, where `--source FILE` also finds it. */
  async storeSignature(archive: string, signatureFile: string): Promise<void> {
    await copyWhole(signatureFile, `${archive}.asc`);
  }

  async remove(sha256: string): Promise<void> {
    await rm(join(this.dir, "archives", sha256), { recursive: true, force: true });
  }

  async list(): Promise<CachedArchive[]> {
    const keys = await this.#ownNames("archives");
    const found = await Promise.all(keys.map((key) => this.find(key)));
    return found
      .filter((one) => one !== undefined)
      .sort((a, b) => a.name.localeCompare(b.name) || a.sha256.localeCompare(b.sha256));
  }

  /** Removes the archives that do not match their names, and returns them. */
  async verify(wish: LockWish): Promise<{ good: CachedArchive[]; removed: CachedArchive[] }> {
    const good: CachedArchive[] = [];
    const removed: CachedArchive[] = [];
    for (const { sha256 } of await this.list()) {
      wish.signal.throwIfAborted();
      await this.exclusively(sha256, wish, async () => {
        const archive = await this.find(sha256);
        if (!archive) return;
        const intact = (await sha256OfFile(archive.file)) === sha256;
        if (!intact) await this.remove(sha256);
        (intact ? good : removed).push(archive);
      });
    }
    return { good, removed };
  }

  /** Removes every archive and interrupted download that no process uses. */
  async clean(wish: LockWish): Promise<number> {
    const partials = await this.#ownNames("partial");
    const archives = await this.#ownNames("archives");
    const keys = new Set([...archives, ...partials.map((name) => name.replace(/\..*$/, ""))]);
    let bytes = 0;
    for (const key of keys) {
      wish.signal.throwIfAborted();
      await this.exclusively(key, wish, async () => {
        bytes += (await this.find(key))?.bytes ?? 0;
        await this.remove(key);
        for (const name of partials) {
          if (name.startsWith(key)) bytes += await this.#removePartial(name);
        }
      });
    }
    return bytes;
  }

  /** Other files there do not belong to nffi. */
  async #ownNames(folder: string): Promise<string[]> {
    const names = await readdir(join(this.dir, folder));
    return names.filter((name) => /^[0-9a-f]{64}(\.|$)/.test(name));
  }

  async #removePartial(name: string): Promise<number> {
    const file = join(this.dir, "partial", name);
    const { size } = await stat(file).catch(() => ({ size: 0 }));
    await rm(file, { force: true });
    return size;
  }

  /** Lock files are never removed: a process could then hold the lock of a removed file. */
  async #lock(key: string, wish: LockWish) {
    const path = join(this.dir, "locks", key);
    if (!(await exists(path))) await writeFile(path, "", { flag: "a" });
    try {
      return await acquireLock(path, { signal: wish.signal });
    } catch (thrown) {
      if (!(thrown instanceof NffiError) || thrown.code !== "locked") throw thrown;
    }
    wish.onWait();
    return acquireLock(path, { signal: wish.signal, wait: true });
  }
}
