/** Brings the source to this machine; whether it is the right one is the next step's question. */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { type Release, releaseOfHash } from "../../catalog/releases.js";
import { NffiError } from "../../errors.js";
import { requirePackages } from "../../host/toolchain.js";
import { kindOf, sha256OfFile } from "../../io/files.js";
import { download } from "../../io/http.js";
import { resolveDebianSuite } from "../../sources/debian/debian-source.js";
import type { OfficialSource, Source } from "../../sources/source.js";
import type { Site } from "../site.js";
import type { StepContext } from "../step.js";
import { type DebianPackages, fetchDebian } from "./debian.js";

export interface FetchedArchive {
  readonly kind: "archive";
  readonly file: string;
  readonly origin: string;
  /** Of the bytes that lie on this machine. */
  readonly sha256: string;
  /** What it must be; undefined for a file of the user without --sha256. */
  readonly expected: string | undefined;
  readonly release: Release | undefined;
}

export interface FetchedDirectory {
  readonly kind: "directory";
  readonly path: string;
}

export type FetchedSource = FetchedArchive | FetchedDirectory | DebianPackages;

export async function fetchSource(
  source: Source,
  site: Site,
  step: StepContext,
): Promise<FetchedSource> {
  switch (source.kind) {
    case "official":
      return fetchOfficial(source, site, step);
    case "url":
      return fetchArchive(source.url, source.sha256, undefined, site, step);
    case "file": {
      const sha256 = await sha256OfFile(source.path);
      const release = releaseOfHash(sha256);
      const expected = source.sha256 ?? release?.sha256;
      return { kind: "archive", file: source.path, origin: source.path, sha256, expected, release };
    }
    case "directory":
      return { kind: "directory", path: source.path };
    case "debian":
      return fetchDebian(source.resolved, site, step);
  }
}

async function fetchOfficial(source: OfficialSource, site: Site, step: StepContext) {
  try {
    return await fetchArchive(source.url, source.release.sha256, source.release, site, step);
  } catch (thrown) {
    if (!(thrown instanceof NffiError) || thrown.code !== "fetch-failed") throw thrown;
    if (!source.mayFallBack) throw withDebianHint(thrown);
    return fetchInstead(thrown, site, step);
  }
}

async function fetchInstead(
  failure: NffiError,
  site: Site,
  step: StepContext,
): Promise<FetchedSource> {
  step.warn(
    `${failure.message}\n` +
      "building from Debian's source packages instead: this is another nginx, " +
      '"OpenResty-compatible, assembled from Debian sources"',
  );
  const resolved = await resolveDebianSuite();
  await requirePackages(resolved.suite.requiredPackages, [], step.env);
  return fetchDebian(resolved, site, step);
}

function withDebianHint(failure: NffiError): NffiError {
  return new NffiError("fetch-failed", failure.message, {
    hint:
      `${failure.hint ?? "check the network"}\n` +
      "or build from Debian's source packages (another nginx): --source debian",
    cause: failure,
  });
}

async function fetchArchive(
  url: string,
  expected: string,
  release: Release | undefined,
  site: Site,
  step: StepContext,
): Promise<FetchedArchive> {
  const file = join(site.downloadDir, "source.tar");
  const kept = await keptDownload(file, expected);
  if (kept) step.note("already in the work folder");
  const fetched =
    kept ??
    (await download({
      url,
      file,
      signal: step.signal,
      onProgress: progressNotes(step),
    }));
  return { kind: "archive", file, origin: url, sha256: fetched.sha256, expected, release };
}

/** A file that an earlier run with --keep has left is used only if its content is the right one. */
async function keptDownload(file: string, expected: string) {
  if ((await kindOf(file)) !== "file") return undefined;
  const sha256 = await sha256OfFile(file);
  if (sha256 === expected) return { sha256 };
  await rm(file);
  return undefined;
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
