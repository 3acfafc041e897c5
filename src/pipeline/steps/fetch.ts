/** Brings the source to this machine; whether it is the right one is the next step's question. */
import { basename, join } from "node:path";
import { archiveName, releaseOfHash } from "../../catalog/releases.js";
import { NffiError } from "../../errors.js";
import { requirePackages } from "../../host/toolchain.js";
import { kindOf, sha256OfFile } from "../../io/files.js";
import {
  type ResolvedDebianSuite,
  resolveDebianSuite,
} from "../../sources/debian/debian-source.js";
import type { FileSource, OfficialSource, Source } from "../../sources/source.js";
import { bringArchive, bringUncached, type WantedArchive } from "../archive-download.js";
import type { FetchPolicy, SourceRequest, TrustPolicy } from "../request.js";
import type { Site } from "../site.js";
import type { StepContext } from "../step.js";
import { type DebianPackages, fetchDebian } from "./debian.js";

export interface FetchedArchive {
  readonly kind: "archive";
  readonly file: string;
  /** A path, or a URL without secrets. */
  readonly origin: string;
  /** Of the local bytes. */
  readonly sha256: string;
  /** The expected hash; undefined for a file of the user without --sha256. */
  readonly expected: string | undefined;
  /** Of an official release, known or not. */
  readonly version: string | undefined;
  /** `expected` is from the catalog. */
  readonly isKnown: boolean;
  /** The file of its detached signature, when it is to be checked. */
  readonly signature: string | undefined;
  /** Its path after this run: the user's file, or the path in the cache. */
  readonly cached: string | undefined;
}

export interface FetchedDirectory {
  readonly kind: "directory";
  readonly path: string;
}

export type FetchSite = Pick<Site, "downloadDir">;

export type FetchedSource = FetchedArchive | FetchedDirectory | DebianPackages;

/** With a keyring the signature is downloaded as well: the name of the archive with `.asc`. */
export async function fetchSource(
  source: Source,
  request: Pick<SourceRequest, "fetch" | "trust">,
  site: FetchSite,
  step: StepContext,
): Promise<FetchedSource> {
  const { fetch: policy, trust } = request;
  const to: Target = { site, policy, trust, signed: trust.keyring !== undefined };
  switch (source.kind) {
    case "official":
      return fetchOfficial(source, to, step);
    case "url": {
      const wanted = { urls: [source.url], sha256: source.sha256, name: nameIn(source.url) };
      return fetchArchive(wanted, undefined, to, step);
    }
    case "file":
      return ownFile(source, to);
    case "directory":
      return { kind: "directory", path: source.path };
    case "debian":
      return fetchDebian(source.resolved, request.trust, site, step);
  }
}

/** Where to, how, and whether with a signature. */
interface Target {
  readonly site: FetchSite;
  readonly policy: FetchPolicy;
  readonly trust: TrustPolicy;
  readonly signed: boolean;
}

async function ownFile(
  { path, sha256: given }: FileSource,
  { signed }: Target,
): Promise<FetchedArchive> {
  const signature = signed ? `${path}.asc` : undefined;
  if (signature && (await kindOf(signature, { follow: true })) !== "file") {
    throw new NffiError("verify-failed", `signature not found: ${signature}`, {
      hint: "put the signature beside the file, with the suffix .asc, or omit --keyring",
    });
  }
  const sha256 = await sha256OfFile(path);
  const release = releaseOfHash(sha256);
  return {
    kind: "archive",
    file: path,
    origin: path,
    cached: path,
    sha256,
    expected: given ?? release?.sha256,
    version: release?.version,
    isKnown: release !== undefined,
    signature,
  };
}

async function fetchOfficial(
  source: OfficialSource,
  to: Target,
  step: StepContext,
): Promise<FetchedSource> {
  const { release, urls, version } = source;
  const wanted = { urls, sha256: release?.sha256, name: archiveName(version) };
  try {
    return await fetchArchive(wanted, version, to, step);
  } catch (thrown) {
    if (!(thrown instanceof NffiError) || thrown.code !== "fetch-failed") throw thrown;
    const debian = await resolveDebianSuite().catch(() => undefined);
    if (debian === undefined) throw thrown; // apt names no archive of Debian here
    if (!source.mayFallBack) throw withDebianHint(thrown);
    return fetchInstead(thrown, debian, to, step);
  }
}

async function fetchInstead(
  failure: NffiError,
  resolved: ResolvedDebianSuite,
  { site, trust }: Target,
  step: StepContext,
): Promise<FetchedSource> {
  step.warn(
    `${failure.message}\n` +
      "building from Debian's source packages instead: this is another nginx, " +
      '"OpenResty-compatible, assembled from Debian sources"',
  );
  await requirePackages(resolved.suite.requiredPackages, [], step.env);
  return fetchDebian(resolved, trust, site, step);
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
  version: string | undefined,
  to: Target,
  step: StepContext,
): Promise<FetchedArchive> {
  const brought = await bringArchive(wanted, to.site.downloadDir, to.policy, step);
  return {
    kind: "archive",
    ...brought,
    expected: wanted.sha256,
    version,
    isKnown: version !== undefined && wanted.sha256 !== undefined,
    signature: to.signed ? await fetchSignature(wanted, brought.cached, to, step) : undefined,
  };
}

async function fetchSignature(
  wanted: WantedArchive,
  cached: string | undefined,
  { site, policy }: Target,
  step: StepContext,
): Promise<string> {
  const beside = `${cached}.asc`;
  if (policy.offline && (await kindOf(beside)) === "file") return beside;
  const file = join(site.downloadDir, "source.tar.asc");
  const urls = wanted.urls.map((text) => {
    const url = new URL(text);
    url.pathname += ".asc";
    return url.href;
  });
  return (await bringUncached({ urls, sha256: undefined, name: "a signature" }, file, policy, step))
    .file;
}

/** The last part of the path, as far as it can be the name of a file. */
function nameIn(url: string): string {
  const name = basename(new URL(url).pathname).replace(/[^\w.+-]/g, "_");
  return /^[\w]/.test(name) ? name : "source.tar";
}
