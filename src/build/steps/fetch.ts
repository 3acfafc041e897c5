/** Brings the source to this machine; whether it is the right one is the next step's question. */
import { basename } from "node:path";
import { archiveName, type Release, releaseOfHash } from "../../catalog/releases.js";
import { NffiError } from "../../errors.js";
import { requirePackages } from "../../host/toolchain.js";
import { sha256OfFile } from "../../io/files.js";
import { resolveDebianSuite } from "../../sources/debian/debian-source.js";
import type { FileSource, OfficialSource, Source } from "../../sources/source.js";
import { bringArchive, type WantedArchive } from "../archive-download.js";
import type { FetchPolicy } from "../request.js";
import type { Site } from "../site.js";
import type { StepContext } from "../step.js";
import { type DebianPackages, fetchDebian } from "./debian.js";

export interface FetchedArchive {
  readonly kind: "archive";
  readonly file: string;
  /** A path, or a URL without secrets. */
  readonly origin: string;
  /** Of the bytes that lie on this machine. */
  readonly sha256: string;
  /** What it must be; undefined for a file of the user without --sha256. */
  readonly expected: string | undefined;
  readonly release: Release | undefined;
  /** Where it lies beyond this run: the file of the user, or the place in the cache. */
  readonly cached: string | undefined;
}

export interface FetchedDirectory {
  readonly kind: "directory";
  readonly path: string;
}

export type FetchSite = Pick<Site, "downloadDir">;

export type FetchedSource = FetchedArchive | FetchedDirectory | DebianPackages;

export async function fetchSource(
  source: Source,
  site: FetchSite,
  policy: FetchPolicy,
  step: StepContext,
): Promise<FetchedSource> {
  switch (source.kind) {
    case "official":
      return fetchOfficial(source, site, policy, step);
    case "url":
      return fetchArchive(
        { urls: [source.url], sha256: source.sha256, name: nameIn(source.url) },
        undefined,
        site,
        policy,
        step,
      );
    case "file":
      return ownFile(source);
    case "directory":
      return { kind: "directory", path: source.path };
    case "debian":
      return fetchDebian(source.resolved, site, step);
  }
}

async function ownFile({ path, sha256: given }: FileSource): Promise<FetchedArchive> {
  const sha256 = await sha256OfFile(path);
  const release = releaseOfHash(sha256);
  const expected = given ?? release?.sha256;
  return { kind: "archive", file: path, origin: path, cached: path, sha256, expected, release };
}

async function fetchOfficial(
  source: OfficialSource,
  site: FetchSite,
  policy: FetchPolicy,
  step: StepContext,
): Promise<FetchedSource> {
  const { release, urls } = source;
  const wanted = { urls, sha256: release.sha256, name: archiveName(release.version) };
  try {
    return await fetchArchive(wanted, release, site, policy, step);
  } catch (thrown) {
    if (!(thrown instanceof NffiError) || thrown.code !== "fetch-failed") throw thrown;
    if (!source.mayFallBack) throw withDebianHint(thrown);
    return fetchInstead(thrown, site, step);
  }
}

async function fetchInstead(
  failure: NffiError,
  site: FetchSite,
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
  wanted: WantedArchive,
  release: Release | undefined,
  site: FetchSite,
  policy: FetchPolicy,
  step: StepContext,
): Promise<FetchedArchive> {
  const brought = await bringArchive(wanted, site.downloadDir, policy, step);
  return { kind: "archive", ...brought, expected: wanted.sha256, release };
}

/** The last part of the path, as far as it can be the name of a file. */
function nameIn(url: string): string {
  const name = basename(new URL(url).pathname).replace(/[^\w.+-]/g, "_");
  return /^[\w]/.test(name) ? name : "source.tar";
}
