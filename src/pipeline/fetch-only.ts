/** The first steps of a build alone: an archive is fetched and verified, and stays in the cache. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { archiveName } from "../catalog/releases.js";
import { NffiError, toNffiError } from "../errors.js";
import { requireSupported } from "../host/platform.js";
import { copyWhole } from "../io/files.js";
import { type ArchiveCache, openCache } from "../sources/archive-cache.js";
import type { Session, SourceRequest } from "./request.js";
import { stepRunner } from "./step.js";
import { fetchSource } from "./steps/fetch.js";
import { chooseSource, describe } from "./steps/resolve.js";
import { type VerifiedArchive, verifySource } from "./steps/verify.js";

export interface KeptArchive {
  readonly archive: VerifiedArchive;
  /** The path of the file for `--source FILE`, or for a later build with `--offline`. */
  readonly path: string;
}

export async function fetchArchive(
  request: SourceRequest,
  session: Omit<Session, "shipped">,
): Promise<KeptArchive> {
  const folder = await mkdtemp(join(tmpdir(), "nffi-fetch-"));
  const step = stepRunner({ ...session, logDir: folder });
  try {
    const source = await step("resolve", async (s) => {
      requireSupported(session.platform);
      // Another nginx than the official one is for a build that is under way, not for a download.
      const wish = request.source === "auto" ? { ...request, source: "official" } : request;
      const chosen = await chooseSource(wish, session.env);
      if (chosen.kind === "debian" || chosen.kind === "directory") throw noArchive(request.source);
      s.note(describe(chosen));
      return chosen;
    });
    const site = { downloadDir: folder };
    const fetched = await step("fetch", (s) => fetchSource(source, request, site, s));
    const verified = await step("verify", (s) => verifySource(fetched, request.trust, s));
    if (verified.kind !== "archive") throw noArchive(request.source);
    return { archive: verified, path: await keep(verified, request, session.signal) };
  } catch (thrown) {
    const error = toNffiError(thrown);
    // The log goes with the directory; there is no more in it than in the message.
    error.logPath = undefined;
    throw error;
  } finally {
    await session.reporter.close();
    await rm(folder, { recursive: true, force: true });
  }
}

/** An archive that only its signature vouches for comes into the cache when that is checked. */
async function keep(
  archive: VerifiedArchive,
  request: SourceRequest,
  signal: AbortSignal,
): Promise<string> {
  const { sha256, signature, cached, file } = archive;
  if (cached === file) return cached;
  const cache = await openCache(request.fetch.cacheDir).catch((thrown) => {
    throw noCache(request, thrown);
  });
  return cache.exclusively(sha256, { signal, onWait: () => {} }, async () => {
    const path = (await cache.find(sha256))?.file ?? (await storeCopy(cache, archive));
    if (signature && signature !== `${path}.asc`) await cache.storeSignature(path, signature);
    return path;
  });
}

/** The build directory may be on another file system. */
async function storeCopy(
  cache: ArchiveCache,
  { sha256, file, version }: VerifiedArchive,
): Promise<string> {
  const here = cache.partialFile(sha256);
  await copyWhole(file, here);
  return cache.store(sha256, version ? archiveName(version) : "source.tar", here);
}

function noArchive(source: string): NffiError {
  return new NffiError("usage", `--source ${source} is not an archive`, {
    hint: "nffi fetch takes --source official, a file or a URL",
  });
}

function noCache(request: SourceRequest, cause: unknown): NffiError {
  return new NffiError("fetch-failed", `the cache ${request.fetch.cacheDir} cannot be used`, {
    hint: "set XDG_CACHE_HOME to a directory that this user can write to",
    cause,
  });
}
