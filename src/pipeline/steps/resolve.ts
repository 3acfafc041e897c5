/**
 * The first step: from the options to one source, and a look at the tools, so that what cannot
 * work fails before anything is fetched.
 */
import { readdir } from "node:fs/promises";
import { basename, isAbsolute, join, resolve } from "node:path";
import {
  archiveName,
  DEFAULT_RELEASE,
  findRelease,
  OFFICIAL_DOWNLOAD,
  RELEASES,
} from "../../catalog/releases.js";
import { NffiError } from "../../errors.js";
import { type Environment, isContinuousIntegration } from "../../host/environment.js";
import { requireSupported } from "../../host/platform.js";
import {
  packagesForOpenresty,
  pcreOfNgxLua,
  type RequiredPackage,
  requirePackages,
} from "../../host/toolchain.js";
import { pathOfFileUrl } from "../../io/file-url.js";
import { kindOf } from "../../io/files.js";
import { withoutSecrets } from "../../io/http.js";
import { resolveDebianSuite } from "../../sources/debian/debian-source.js";
import { DEBIAN_SUITES, findSuite } from "../../sources/debian/suites.js";
import type { OfficialSource, Source, UrlSource } from "../../sources/source.js";
import { addedArgs } from "../added-sources.js";
import type { BuildRequest, Session, SourceRequest } from "../request.js";
import type { StepContext } from "../step.js";
import { contradiction, requireTrustFits } from "./contradictions.js";

export async function resolveSource(
  request: BuildRequest,
  session: Session,
  step: StepContext,
): Promise<Source> {
  requireSupported(session.platform);
  const source = await chooseSource(request, session.env);
  step.note(describe(source));
  const given = [...addedArgs(request.added), ...request.configureArgs];
  await requirePackages(await packagesFor(source), given, session.env);
  return source;
}

export function describe(source: Source): string {
  switch (source.kind) {
    case "official":
      return `OpenResty ${source.version}, the official release`;
    case "debian":
      return `OpenResty-compatible, from Debian sources (${source.resolved.suite.name})`;
    case "url":
      return withoutSecrets(source.url);
    default:
      return source.path;
  }
}

/** All that the source needs, so that it is listed once, before anything is downloaded. */
async function packagesFor(source: Source): Promise<readonly RequiredPackage[]> {
  if (source.kind === "debian") return source.resolved.suite.requiredPackages;
  const fallBack = source.kind === "official" && source.mayFallBack;
  return [
    { debian: "perl", program: "perl" },
    ...packagesForOpenresty(await pcreOf(source)),
    ...(fallBack ? await packagesOfFallBack() : []),
  ];
}

/** What Debian's sources need, where a build may take them instead. */
async function packagesOfFallBack(): Promise<readonly RequiredPackage[]> {
  try {
    return (await resolveDebianSuite()).suite.requiredPackages;
  } catch {
    return []; // apt names no archive of Debian here
  }
}

/** The generation of PCRE, by the name of an archive or of the ngx_lua in a tree. */
async function pcreOf(source: Exclude<Source, { kind: "debian" }>): Promise<1 | 2> {
  if (source.kind === "directory") {
    const components = await readdir(join(source.path, "bundle")).catch(() => []);
    const ngxLua = components.find((name) => /^ngx_lua-\d/.test(name));
    return ngxLua ? pcreOfNgxLua(ngxLua.slice("ngx_lua-".length)) : 2;
  }
  if (source.kind === "official") return source.release?.pcre ?? pcreOfRelease(source.version);
  return pcreOfRelease(source.kind === "file" ? source.path : new URL(source.url).pathname);
}

/** OpenResty takes PCRE 2 since the release that followed 1.21.4. */
function pcreOfRelease(name: string): 1 | 2 {
  const [, major, minor] = /(\d+)\.(\d+)\.\d+/.exec(basename(name)) ?? [];
  return major === "1" && Number(minor) <= 21 ? 1 : 2;
}

const SUITE = /^debian(?::([a-z][a-z0-9-]*))?$/;

/** From the options alone; of the machine only the file system is looked at. */
export async function chooseSource(request: SourceRequest, env: Environment): Promise<Source> {
  const sha256 = checkedSha256(request.sha256);
  requireTrustFits(request, SUITE.test(request.source));
  const debian = SUITE.exec(request.source);
  if (request.source === "auto" || request.source === "official") {
    return officialSource(request, request.source === "auto" && mayFallBack(request, env));
  }
  if (debian) {
    if (sha256) {
      throw contradiction(
        "--sha256 does not go with --source debian",
        "omit --sha256: apt verifies those sources",
      );
    }
    if (request.fetch.offline) throw offlineDebian();
    requireOfDebian(debian[1], request);
    return { kind: "debian", resolved: await resolveDebianSuite(debian[1] ?? request.release) };
  }
  if (request.release !== undefined) {
    throw contradiction(
      `--openresty does not go with --source ${request.source}`,
      "omit --openresty, or use --source auto, official or debian",
    );
  }
  if (/^https?:\/\//.test(request.source)) return urlSource(request.source, sha256);
  return localSource(request, sha256);
}

function officialSource(request: SourceRequest, fallBack: boolean): OfficialSource {
  const version = request.release ?? DEFAULT_RELEASE;
  const release = findRelease(version);
  if (!release) requireOtherTrust(version, request);
  if (release && request.sha256 && request.sha256.toLowerCase() !== release.sha256) {
    throw new NffiError(
      "verify-failed",
      `--sha256 differs from the known SHA-256 of OpenResty ${release.version}`,
      { hint: `known: ${release.sha256}` },
    );
  }
  return {
    kind: "official",
    version,
    release,
    urls: request.mirrors.map((mirror) => urlAt(mirror, archiveName(version))),
    mayFallBack: fallBack,
  };
}

/** Keeps the part behind a `?`, such as a token. */
function urlAt(mirror: string, name: string): string {
  if (!URL.canParse(mirror) || !/^https?:/.test(mirror)) {
    throw new NffiError("usage", "--mirror is not an http or https URL", {
      hint: `pass the directory that contains the archives, such as ${OFFICIAL_DOWNLOAD}`,
    });
  }
  const url = new URL(mirror);
  url.pathname = `${url.pathname.replace(/\/+$/, "")}/${name}`;
  return url.href;
}

function offlineDebian(): NffiError {
  return contradiction(
    "--offline does not go with --source debian",
    "omit --offline: apt downloads those sources, and nffi's cache does not contain them",
  );
}

/** A suite has one nginx; the versions of official releases are none of Debian's. */
function requireOfDebian(suiteName: string | undefined, { release, source }: SourceRequest): void {
  const suite = release === undefined ? undefined : findSuite(release);
  if (release === undefined) return;
  if (suite && (suiteName === undefined || suite === findSuite(suiteName))) return;
  const had = DEBIAN_SUITES.map(({ name, nginx }) => `nginx ${nginx} (debian:${name})`).join(", ");
  throw new NffiError("usage", `--openresty ${release} does not go with --source ${source}`, {
    hint:
      `Debian's source packages make ${had}, not releases of OpenResty\n` +
      "omit --openresty, or use the official release: --source official",
  });
}

/** Uses an nginx other than the official one only if the user did not request a release. */
function mayFallBack(request: SourceRequest, env: Environment): boolean {
  const { fetch, release, trust } = request;
  return (
    !fetch.offline &&
    trust.keyring === undefined &&
    release === undefined &&
    !isContinuousIntegration(env)
  );
}

/** A version that the catalog does not know needs the signature of its maker. */
function requireOtherTrust(version: string, { trust }: SourceRequest): void {
  if ((trust.keyring || trust.skip) && /^\d+(\.\d+){3}(rc\d+)?$/.test(version)) return;
  const known = RELEASES.map((one) => one.version).join(", ");
  throw new NffiError("release-unknown", `unknown OpenResty release ${version}`, {
    hint:
      `known: ${known}\n` +
      "another version needs the public key of its signer: --keyring FILE; " +
      "or its archive and checksum: --source FILE --sha256 SUM",
  });
}

function urlSource(url: string, sha256: string | undefined): UrlSource | OfficialSource {
  if (!URL.canParse(url)) {
    throw new NffiError("usage", "--source is not a valid URL", {
      hint: "pass https://HOST/PATH/openresty-VERSION.tar.gz",
    });
  }
  if (sha256) return { kind: "url", url, sha256 };
  const name = new URL(url).pathname.split("/").at(-1);
  const release = RELEASES.find((one) => archiveName(one.version) === name);
  if (release)
    return { kind: "official", version: release.version, release, urls: [url], mayFallBack: false };
  throw new NffiError("usage", `--source ${withoutSecrets(url)} needs --sha256`, {
    hint: "pass --sha256 SUM: nffi builds only verified downloads, and has no SHA-256 of this file",
  });
}

async function localSource(
  { source, trust }: SourceRequest,
  sha256: string | undefined,
): Promise<Source> {
  const given = source.startsWith("file://") ? pathOfFileUrl(source, "--source") : source;
  const path = isAbsolute(given) ? given : resolve(given);
  const kind = await kindOf(path, { follow: true });
  if (kind === "file") return { kind: "file", path, sha256 };
  if (kind === "directory") {
    const option = sha256 ? "--sha256" : trust.keyring ? "--keyring" : undefined;
    if (option) {
      throw contradiction(
        `${option} does not go with a directory as --source`,
        `omit ${option}: a directory has no checksum or signature`,
      );
    }
    return { kind: "directory", path };
  }
  throw new NffiError("usage", `--source ${source}: file or directory not found`, {
    hint: "--source takes auto, official, debian, debian:SUITE, a file, a directory or a URL",
  });
}

function checkedSha256(sha256: string | undefined): string | undefined {
  if (sha256 === undefined) return undefined;
  if (/^[0-9a-f]{64}$/i.test(sha256)) return sha256.toLowerCase();
  throw new NffiError("usage", `--sha256 takes 64 hexadecimal digits, not "${sha256}"`);
}
