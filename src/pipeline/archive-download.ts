/**
 * Brings an archive into the build directory: from the cache, if its SHA-256 is
 * known, whose bytes are hashed again on every use, or from the first of several URLs that has it.
 */
import { mkdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { errnoOf, messageOf, NffiError } from "../errors.js";
import { download } from "../io/download.js";
import { copyHashing } from "../io/hashing-copy.js";
import { withoutSecrets } from "../io/http.js";
import { type ArchiveCache, openCache } from "../sources/archive-cache.js";
import type { FetchPolicy } from "./request.js";
import type { StepContext } from "./step.js";

export interface WantedArchive {
  /** Tried in this order. */
  readonly urls: readonly string[];
  /** Absent if only its signature can verify it. */
  readonly sha256: string | undefined;
  /** Its name in the cache. */
  readonly name: string;
}

export interface BroughtArchive {
  readonly file: string;
  readonly sha256: string;
  /** Without secrets. */
  readonly origin: string;
  /** Where the cache keeps it. */
  readonly cached: string | undefined;
}

/** The SHA-256 of the result is another one if none of the URLs has the right file. */
export async function bringArchive(
  wanted: WantedArchive,
  downloadDir: string,
  policy: FetchPolicy,
  step: StepContext,
): Promise<BroughtArchive> {
  const file = join(downloadDir, "source.tar");
  await mkdir(downloadDir, { recursive: true });
  const { sha256: key } = wanted;
  if (key === undefined) return bringUncached(wanted, file, policy, step);
  const cache = await cacheIfUsable(policy, step);
  if (!cache) return bringUncached(wanted, file, policy, step);
  const wish = {
    signal: step.signal,
    onWait: () => step.note("another nffi is fetching the same archive; waiting for it"),
  };
  return cache.exclusively(key, wish, async () => {
    const found = await fromCache(key, wanted, file, cache, step);
    if (found) return found;
    if (policy.offline) throw notThere(wanted, policy);
    const partial = cache.partialFile(key);
    const { sha256, origin } = await fromUrls(wanted, partial, policy, step);
    if (sha256 !== key) {
      await moveAcross(partial, file);
      return { file, sha256, origin, cached: undefined };
    }
    const cached = await cache.store(sha256, wanted.name, partial);
    return { file, sha256: await copyHashing(cached, file), origin, cached };
  });
}

/** Straight from the network. */
export async function bringUncached(
  wanted: WantedArchive,
  file: string,
  policy: FetchPolicy,
  step: StepContext,
): Promise<BroughtArchive> {
  if (policy.offline) throw notThere(wanted, policy);
  return { ...(await fromUrls(wanted, file, policy, step)), cached: undefined };
}

/** A home that cannot be written to is no reason not to build. */
async function cacheIfUsable(
  policy: FetchPolicy,
  step: StepContext,
): Promise<ArchiveCache | undefined> {
  try {
    return await openCache(policy.cacheDir);
  } catch (thrown) {
    step.warn(`the cache ${policy.cacheDir} cannot be used: ${messageOf(thrown)}`);
    return undefined;
  }
}

async function fromCache(
  key: string,
  wanted: WantedArchive,
  file: string,
  cache: ArchiveCache,
  step: StepContext,
): Promise<BroughtArchive | undefined> {
  const found = await cache.find(key);
  if (!found) return undefined;
  const sha256 = await copyHashing(found.file, file);
  if (sha256 === key) {
    step.note("from the cache");
    const origin = withoutSecrets(wanted.urls[0] ?? `file://${found.file}`);
    return { file, sha256, origin, cached: found.file };
  }
  step.warn(`${found.file} is damaged; it was removed`);
  await rm(file, { force: true });
  await cache.remove(key);
  return undefined;
}

/** A URL that fails, or has another file, is reported, and the next one is tried. */
async function fromUrls(
  wanted: WantedArchive,
  file: string,
  policy: FetchPolicy,
  step: StepContext,
): Promise<{ file: string; sha256: string; origin: string }> {
  for (const [index, url] of wanted.urls.entries()) {
    const isLast = index === wanted.urls.length - 1;
    const origin = withoutSecrets(url);
    step.log(`GET ${origin}`);
    try {
      const { sha256 } = await download({
        url,
        file,
        signal: step.signal,
        network: policy.network,
        retries: policy.retries,
        stallMs: policy.stallMs,
        onProgress: progressNotes(step),
        onRetry: (reason) => step.note(reason),
      });
      if (wanted.sha256 === undefined || sha256 === wanted.sha256 || isLast)
        return { file, sha256, origin };
      await rm(file, { force: true });
      step.warn(`${origin} is not the expected file; trying the next mirror`);
    } catch (thrown) {
      if (isLast || !(thrown instanceof NffiError) || thrown.code !== "fetch-failed") throw thrown;
      step.warn(`${thrown.message}; trying the next mirror`);
    }
  }
  throw new NffiError("usage", `cannot download ${wanted.name}: the list of mirrors is empty`, {
    hint: "name one with --mirror URL",
  });
}

function notThere(wanted: WantedArchive, policy: FetchPolicy): NffiError {
  return new NffiError("fetch-failed", `${wanted.name} is not in the cache, and --offline is set`, {
    hint:
      (wanted.sha256 ? `expected: SHA-256 ${wanted.sha256}\n` : "") +
      "`nffi fetch` on a machine with a network brings it; carry the file over and name it with " +
      `--source FILE, or copy the cache: ${policy.cacheDir}`,
  });
}

/** The build directory may be on another file system than the cache. */
async function moveAcross(from: string, to: string): Promise<void> {
  try {
    await rename(from, to);
  } catch (thrown) {
    if (errnoOf(thrown) !== "EXDEV") throw thrown;
    await copyHashing(from, to);
    await rm(from, { force: true });
  }
}

function progressNotes(step: StepContext): (received: number, total: number | undefined) => void {
  let shown = 0;
  return (received, total) => {
    const now = performance.now();
    if (now - shown < 500 && received !== total) return;
    shown = now;
    const megabytes = (bytes: number) => (bytes / 1e6).toFixed(1);
    step.note(
      total ? `${megabytes(received)} of ${megabytes(total)} MB` : `${megabytes(received)} MB`,
    );
  };
}
