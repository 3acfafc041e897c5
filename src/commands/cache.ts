/**
 * `nffi cache`: downloaded archives and the build directories: where they are, a list, a
 * check, and removal.
 */
import type { Command } from "commander";
import { NffiError } from "../errors.js";
import { cacheDir } from "../host/environment.js";
import { listWorkFolders, removeWorkFolders, type WorkFolder } from "../pipeline/work-folders.js";
import { type ArchiveCache, type CachedArchive, openCache } from "../sources/archive-cache.js";
import type { CommandContext } from "./context.js";
import { declared } from "./declared.js";

export function cacheCommand(context: CommandContext): Command {
  const cache = declared("cache");
  const dir = cacheDir(context.env);
  const wish = {
    signal: context.signal,
    onWait: () => context.print("another nffi uses an archive; waiting for it"),
  };
  cache
    .command("dir")
    .description("print where the cache is")
    .action(() => context.print(dir));
  cache
    .command("list")
    .description("list the archives and the build directories in it")
    .option("--json", "print the list as JSON")
    .action(async (options: { json?: boolean }) => {
      const archives = await (await opened(dir)).list();
      const folders = await listWorkFolders(dir);
      if (options.json) {
        const all = { format: 1, dir, archives, workFolders: folders };
        return context.print(JSON.stringify(all, null, 2));
      }
      for (const line of [...archives.map(lineOf), ...folders.map(lineOfFolder)])
        context.print(line);
      if (archives.length === 0) context.print(`no archives in ${dir}`);
    });
  cache
    .command("verify")
    .description("hash every archive again and remove damaged ones")
    .action(async () => {
      const { good, removed } = await (await opened(dir)).verify(wish);
      for (const one of good) context.print(`good     ${lineOf(one)}`);
      for (const one of removed) context.print(`removed  ${lineOf(one)}`);
      if (removed.length > 0) throw damaged(removed);
    });
  cache
    .command("clean")
    .description("remove all archives, interrupted downloads and build directories")
    .action(async () => {
      const folders = await listWorkFolders(dir);
      const archives = await (await opened(dir)).clean(wish);
      const inUse = await removeWorkFolders(dir);
      for (const { path } of inUse) context.print(`a build uses ${path}; it stays`);
      const stays = new Set(inUse.map(({ path }) => path));
      const bytes = archives + bytesOf(folders.filter(({ path }) => !stays.has(path)));
      context.print(`${megabytes(bytes)} MB removed from ${dir}`);
    });
  return cache;
}

async function opened(dir: string): Promise<ArchiveCache> {
  try {
    return await openCache(dir);
  } catch (thrown) {
    throw new NffiError("install-failed", `the cache ${dir} cannot be used`, {
      hint: "set XDG_CACHE_HOME to a directory that this user can write to",
      cause: thrown,
    });
  }
}

function lineOf({ sha256, name, bytes }: CachedArchive): string {
  return `${sha256}  ${megabytes(bytes).padStart(6)} MB  ${name}`;
}

function lineOfFolder({ path, prefix, bytes }: WorkFolder): string {
  return `${path}  ${megabytes(bytes)} MB  builds of ${prefix ?? "an unknown prefix"}`;
}

function bytesOf(folders: readonly WorkFolder[]): number {
  return folders.reduce((sum, { bytes }) => sum + bytes, 0);
}

function megabytes(bytes: number): string {
  return (bytes / 1e6).toFixed(1);
}

function damaged(removed: readonly CachedArchive[]): NffiError {
  return new NffiError(
    "verify-failed",
    `${removed.length === 1 ? "a damaged archive was" : `${removed.length} damaged archives were`} removed from the cache`,
    { hint: "the next build that needs it fetches it again; look at the disk if it happens twice" },
  );
}
