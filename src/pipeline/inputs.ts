/**
 * Everything that a product depends on, as one hash for each part and a key of all of them. Two
 * builds with the same key make the same product, so a build whose key is in the manifest of the
 * prefix already has nothing to do.
 */
import { createHash } from "node:crypto";
import { basename, join } from "node:path";
import { errnoOf, NffiError } from "../errors.js";
import { type Environment, sourceDate } from "../host/environment.js";
import { describeJdk, findJdk } from "../host/jdk.js";
import {
  nodeApiVersion,
  requireShipped,
  type ShippedFiles,
  typeStripper,
  version,
} from "../host/package.js";
import { compilerIdentity } from "../host/toolchain.js";
import { sha256OfFile } from "../io/files.js";
import { sha256OfTree } from "../io/tree-hash.js";
import type { Source } from "../sources/source.js";
import { hashesOfAdded, requireAddedSources } from "./added-sources.js";
import { readSeries } from "./patch-series.js";
import type { BuildRequest, Session, TrustPolicy } from "./request.js";

export interface BuildInputs {
  /** SHA-256 of all parts, in hexadecimal. */
  readonly key: string;
  /** By the name of the part: a hash, or what it is in words. */
  readonly parts: Readonly<Record<string, string>>;
}

/**
 * Debian's sources are a part by the name of their suite alone: which revisions its archive has
 * today would have to be asked over the network.
 */
export async function inputsOf(
  source: Source,
  request: BuildRequest,
  { env, shipped, platform }: Pick<Session, "env" | "shipped" | "platform">,
): Promise<BuildInputs> {
  sourceDate(env); // report an invalid value before anything is done
  await requireShipped(shipped);
  await requireAddedSources(request.added);
  const series = await readSeries(shipped.patches, request.patches);
  // the compiler runs while the files are hashed
  const [compiler, ofShipped] = await Promise.all([compilerIdentity(env), shippedParts(shipped)]);
  return inputsFrom({
    source: await identityOf(source),
    "trust in the source": await identityOfTrust(request.trust),
    patches: series.key,
    ...ofShipped,
    ...(await hashesOfAdded(request.added)),
    prefix: request.prefix,
    flavor: request.flavor,
    "options for configure": JSON.stringify(request.configureArgs),
    compiler: `${compiler}, ${platform.os} ${platform.arch}`,
    "compiler's environment": compilerEnvironment(env),
    "Node that runs it": process.execPath,
    Java: describeJdk(await findJdk(env)),
  });
}

export function inputsFrom(parts: Readonly<Record<string, string>>): BuildInputs {
  const sorted = Object.entries(parts).sort(([a], [b]) => (a < b ? -1 : 1));
  return { key: sha256(JSON.stringify(sorted)), parts: Object.fromEntries(sorted) };
}

/** The same inputs except for the source: another one was used than was requested first. */
export function withSource(inputs: BuildInputs, source: string): BuildInputs {
  return inputsFrom({ ...inputs.parts, source });
}

/** The names of the parts that differ between two builds. */
export function differingParts(one: BuildInputs, other: BuildInputs): string[] {
  const names = new Set([...Object.keys(one.parts), ...Object.keys(other.parts)]);
  return [...names].filter((name) => one.parts[name] !== other.parts[name]);
}

export function identityOfSuite(name: string): string {
  return `Debian ${name}`;
}

async function identityOf(source: Source): Promise<string> {
  switch (source.kind) {
    case "official":
      return `OpenResty ${source.version} ${source.release?.sha256 ?? "by its signature"}`;
    case "url":
      return source.sha256;
    case "file":
      return sha256OfFile(source.path);
    case "directory":
      return hashOfFolder(source.path);
    case "debian":
      return identityOfSuite(source.resolved.suite.name);
  }
}

/** A product of an unverified source is not what a build that verifies would have made. */
async function identityOfTrust({ skip, keyring, signer }: TrustPolicy): Promise<string> {
  if (skip) return "not verified";
  if (keyring === undefined) return "verified by its SHA-256 or Debian's archive";
  const keys = await sha256OfFile(keyring).catch((thrown) => {
    throw new NffiError("usage", `cannot read --keyring ${keyring}: ${errnoOf(thrown)}`);
  });
  return `signed by ${signer}, keys ${keys}`;
}

async function shippedParts(files: ShippedFiles): Promise<Record<string, string>> {
  const isNoInput = (path: string) =>
    /^(build|sdk\/\w+\/tests?)(\/|$)/.test(path) || /(\.(o|d|pyc)|_test\.go)$/.test(path);
  return {
    nffi: `${version} ${await sha256OfTree(join(files.root, "dist"))}`,
    "C files": await sha256OfTree(files.cSource, isNoInput),
    "nffi-nginx": await sha256OfFile(join(files.root, "bin", "nffi-nginx")),
    "Lua files": await sha256OfTree(files.lua),
    "configure for Debian's sources": await sha256OfTree(files.debianTree),
    libraries: `node-api-headers ${nodeApiVersion()}, ${typeStripper().name} ${typeStripper().version}`,
  };
}

function compilerEnvironment(env: Environment): string {
  const given = ["CC", "CFLAGS", "CPPFLAGS", "LDFLAGS", "SOURCE_DATE_EPOCH"]
    .filter((name) => env[name] !== undefined)
    .map((name) => [name, env[name]]);
  return JSON.stringify(Object.fromEntries(given));
}

/** Of a source that is a directory of the user. */
export function hashOfFolder(path: string): Promise<string> {
  return sha256OfTree(path, (below) => basename(below) === ".git");
}

function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
