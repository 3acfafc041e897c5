/**
 * The bill of materials of a product, PREFIX/nffi/sbom.cdx.json: what was bundled into it, in the
 * form of CycloneDX 1.6. The same product has the same bill, byte for byte: nothing in it depends
 * on the clock (but for SOURCE_DATE_EPOCH) or on the directory of the build. Libraries of the
 * system that are linked dynamically (libc, OpenSSL, zlib, PCRE) are no part of the product.
 */
import { createHash } from "node:crypto";
import { basename } from "node:path";
import { findBundled, LIBRARY_LICENCES } from "../catalog/bundled.js";
import type { NpmPackage } from "../host/package.js";
import type { SourceIdentity, SourcePart } from "../sources/source.js";
import type { AddedSources } from "./added-sources.js";
import { cvesOf } from "./patch-series.js";
import { debianPurl, genericPurl, githubPurl, npmPurl } from "./purl.js";

/** Below the prefix. */
export const SBOM_FILE = "nffi/sbom.cdx.json";

/** The inputs of the bill of materials. */
export interface SbomSubject {
  readonly nffi: string;
  readonly source: SourceIdentity;
  readonly components: readonly { readonly name: string; readonly version: string }[];
  readonly patches: readonly SbomPatch[];
  /** Modules and libraries from directories of the user. */
  readonly added: AddedSources;
  readonly npmPackages: readonly NpmPackage[];
  /** SHA-256 of each file of the product, by path below the prefix. */
  readonly files: Readonly<Record<string, string>>;
  /** SOURCE_DATE_EPOCH */
  readonly date: number | undefined;
}

export interface SbomPatch {
  readonly name: string;
  /** undefined for a patch of the user. */
  readonly component: string | undefined;
  readonly sha256: string;
  /** The diff. */
  readonly text: string;
}

type Json = { [name: string]: unknown };

export function sbomText(subject: SbomSubject): string {
  const bom = bomOf(subject);
  const { bomFormat, specVersion, ...content } = bom;
  const serialNumber = `urn:uuid:${uuidOf(JSON.stringify(bom))}`;
  return `${JSON.stringify({ bomFormat, specVersion, serialNumber, ...content }, null, 2)}\n`;
}

function bomOf(subject: SbomSubject): Json {
  const product = productOf(subject);
  const parts = [
    ...subject.components.map((component) => bundledPart(component, subject)),
    ...addedParts(subject.added),
    ownPart(subject),
    ...subject.npmPackages.map(npmPart),
  ];
  const tool = { type: "application", name: "nffi", version: subject.nffi };
  return {
    bomFormat: "CycloneDX",
    specVersion: "1.6",
    version: 1,
    metadata: {
      ...(subject.date !== undefined && { timestamp: timestampOf(subject.date) }),
      lifecycles: [{ phase: "build" }],
      tools: { components: [tool] },
      component: product,
    },
    components: parts,
    dependencies: [
      { ref: product["bom-ref"], dependsOn: parts.map((part) => part["bom-ref"]) },
      ...parts.map((part) => ({ ref: part["bom-ref"] })),
    ],
  };
}

function timestampOf(seconds: number): string {
  return new Date(seconds * 1000).toISOString();
}

/**
 * The whole, with the archive that it was made of and the patches that are for no one component.
 */
function productOf({ source, patches }: SbomSubject): Json {
  const version = /^OpenResty (\d\S*)$/.exec(source.name)?.[1] ?? /^\d\S*/.exec(source.name)?.[0];
  const isOfficial = source.kind === "archive" && version !== undefined;
  return {
    type: "application",
    "bom-ref": "product",
    name: source.kind === "debian" ? "OpenResty-compatible nginx" : "OpenResty",
    ...(version !== undefined && { version }),
    ...(isOfficial && { purl: githubPurl("openresty/openresty", `v${version}`) }),
    ...(source.sha256 !== undefined && {
      externalReferences: [archiveReference(placeOf(source.origin), source.sha256)],
    }),
    ...pedigreeOf(
      patches.filter(({ component }) => component === undefined),
      [],
    ),
    properties: [{ name: "nffi:verified-by", value: source.verifiedBy }],
  };
}

/** A path of the machine that built it says nothing to others. */
function placeOf(origin: string): string {
  return /^https?:/.test(origin) ? origin : encodeURIComponent(basename(origin));
}

function bundledPart(
  { name, version }: { readonly name: string; readonly version: string },
  { source, patches }: SbomSubject,
): Json {
  const known = findBundled(name);
  const part = source.parts?.find(({ component }) => component === name);
  const [first] = part?.archives ?? [];
  const suite = source.origin.replace(/^Debian /, "");
  const purl = first
    ? debianPurl(first.file, part?.version ?? version, suite)
    : known && githubPurl(known.github, `${known.tag}${version}`);
  return {
    type: name === "nginx" ? "application" : "library",
    "bom-ref": `bundle/${name}`,
    name,
    version,
    ...licences(known?.licence),
    ...(purl !== undefined && { purl }),
    ...(part && {
      externalReferences: part.archives.map(({ file, sha256 }) => archiveReference(file, sha256)),
    }),
    ...pedigreeOf(
      patches.filter(({ component }) => component === name),
      part?.patches ?? [],
    ),
  };
}

/** By the names of their directories: nothing else always has a name and a version. */
function addedParts({ modules, dynamicModules, libraries }: AddedSources): Json[] {
  const found = [
    ...[...modules, ...dynamicModules].map((folder) => ({ folder, library: undefined })),
    ...Object.entries(libraries).map(([library, folder]) => ({ folder, library })),
  ];
  return found.map(({ folder, library }, index) => {
    const [, stem, version] = /^(.+?)-v?(\d[\w.]*)$/.exec(basename(folder)) ?? [];
    const name = library ?? stem ?? basename(folder);
    return {
      type: "library",
      "bom-ref": `added/${index + 1}/${name}`,
      name,
      ...(version !== undefined && { version, purl: genericPurl(name, version) }),
      ...licences(library && LIBRARY_LICENCES[library]),
    };
  });
}

const OWN = /^(nffi\/|lualib\/resty(_ffi\.lua|\/(nffi\.lua|nffi\/|core\/nonblocking_ffi\.lua)))/;

/** libnffi, the addon, the Node runtime and the Lua files, each with its hash. */
function ownPart({ nffi, files }: SbomSubject): Json {
  const own = Object.entries(files)
    .filter(([path]) => OWN.test(path) && !path.includes("/node_modules/"))
    .sort(([a], [b]) => (a < b ? -1 : 1));
  return {
    type: "library",
    "bom-ref": "nffi",
    name: "nffi",
    version: nffi,
    ...licences("Apache-2.0"),
    purl: genericPurl("nffi", nffi),
    components: own.map(([path, sha256]) => ({
      type: "file",
      "bom-ref": `file/${path}`,
      name: path,
      hashes: hashes(sha256),
    })),
  };
}

function npmPart({ name, version, licence, isInstalled }: NpmPackage): Json {
  return {
    type: "library",
    "bom-ref": `npm/${name}`,
    name,
    version,
    scope: isInstalled ? "required" : "excluded",
    ...licences(licence),
    purl: npmPurl(name, version),
  };
}

/** The patches with their diffs; of Debian's, which its archive has, the names. */
function pedigreeOf(patches: readonly SbomPatch[], debian: SourcePart["patches"]): Json {
  const notes = [
    ...patches.map(({ name, sha256 }) => `${name} (SHA-256 ${sha256})`),
    ...(debian.length > 0 ? [`Debian's patches: ${debian.join(", ")}`] : []),
  ];
  if (notes.length === 0) return {};
  const diffs = patches.map((patch) => ({
    type: "unofficial",
    diff: { text: { contentType: "text/x-diff", content: patch.text } },
    ...resolvesOf(cvesOf(patch)),
  }));
  return {
    pedigree: { ...(diffs.length > 0 && { patches: diffs }), notes: notes.join("\n") },
  };
}

function resolvesOf(cves: readonly string[]): Json {
  return cves.length > 0 ? { resolves: cves.map((id) => ({ type: "security", id })) } : {};
}

function archiveReference(url: string, sha256: string): Json {
  return { type: "source-distribution", url, hashes: hashes(sha256) };
}

function licences(id: string | undefined): Json {
  return id === undefined ? {} : { licenses: [{ license: { id } }] };
}

function hashes(sha256: string): Json[] {
  return [{ alg: "SHA-256", content: sha256 }];
}

/** Version 8 of RFC 9562: custom bits, here of a hash. */
function uuidOf(text: string): string {
  const hex = createHash("sha256").update(text).digest("hex");
  const parts = [
    hex.slice(0, 8),
    hex.slice(8, 12),
    `8${hex.slice(13, 16)}`,
    `a${hex.slice(17, 20)}`,
    hex.slice(20, 32),
  ];
  return parts.join("-");
}
