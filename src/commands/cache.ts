/** `nffi cache`: the archives that were downloaded: where, which, whether intact; or none any more. */
import { Command } from "commander";
import { NffiError } from "../errors.js";
import { cacheDir } from "../host/environment.js";
import { type ArchiveCache, type CachedArchive, openCache } from "../sources/archive-cache.js";
import type { CommandContext } from "./context.js";

export function cacheCommand(context: CommandContext): Command {
  const cache = new Command("cache").description("look after the archives that were downloaded");
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
    .description("list the archives in it")
    .action(async () => {
      const archives = await (await opened(dir)).list();
      for (const line of archives.map(lineOf)) context.print(line);
      if (archives.length === 0) context.print(`no archives in ${dir}`);
    });
  cache
    .command("verify")
    .description("hash every archive again and remove those that are damaged")
    .action(async () => {
      const { good, removed } = await (await opened(dir)).verify(wish);
      for (const one of good) context.print(`good     ${lineOf(one)}`);
      for (const one of removed) context.print(`removed  ${lineOf(one)}`);
      if (removed.length > 0) throw damaged(removed);
    });
  cache
    .command("clean")
    .description("remove all archives and interrupted downloads")
    .action(async () => {
      const bytes = await (await opened(dir)).clean(wish);
      context.print(`${megabytes(bytes)} MB removed from ${dir}`);
    });
  return cache;
}

async function opened(dir: string): Promise<ArchiveCache> {
  try {
    return await openCache(dir);
  } catch (thrown) {
    throw new NffiError("install-failed", `the cache ${dir} cannot be used`, {
      hint: "let XDG_CACHE_HOME name a folder that this user may write to",
      cause: thrown,
    });
  }
}

function lineOf({ sha256, name, bytes }: CachedArchive): string {
  return `${sha256}  ${megabytes(bytes).padStart(6)} MB  ${name}`;
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
