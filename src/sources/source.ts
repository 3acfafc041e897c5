/** The requested source of OpenResty, before anything is downloaded. */
import type { Release } from "../catalog/releases.js";
import type { ResolvedDebianSuite } from "./debian/debian-source.js";
import type { SecurityGap } from "./debian/notes.js";

export type Source = OfficialSource | FileSource | DirectorySource | UrlSource | DebianSource;

export interface OfficialSource {
  readonly kind: "official";
  readonly version: string;
  /** Absent when the catalog does not know the version; then its signature must be good. */
  readonly release: Release | undefined;
  /** Tried in this order. */
  readonly urls: readonly string[];
  /** When the download fails, Debian's sources are taken; only where no version was asked for. */
  readonly mayFallBack: boolean;
}

export interface FileSource {
  readonly kind: "file";
  readonly path: string;
  readonly sha256: string | undefined;
}

export interface DirectorySource {
  readonly kind: "directory";
  readonly path: string;
}

export interface UrlSource {
  readonly kind: "url";
  readonly url: string;
  readonly sha256: string;
}

export interface DebianSource {
  readonly kind: "debian";
  readonly resolved: ResolvedDebianSuite;
}

/** The inputs of a tree, for the manifest and to recognize a kept tree. */
export interface SourceIdentity {
  readonly kind: "archive" | "directory" | "debian";
  readonly name: string;
  readonly origin: string;
  readonly sha256: string | undefined;
  readonly verifiedBy: string;
  /** SHA-256 of each source package, for a tree made of several. */
  readonly packages: Readonly<Record<string, string>>;
  /** For a tree made of several packages: what each component was made of. */
  readonly parts?: readonly SourcePart[];
  /** Where security fixes of the distribution are missing; products of nffi 0.1 lack it. */
  readonly securityGaps?: readonly SecurityGap[];
  /** The configure options that this source needs. */
  readonly configureArgs: readonly string[];
}

export interface SourcePart {
  /** The name in bundle/. */
  readonly component: string;
  /** The name of the distribution. */
  readonly version: string;
  readonly archives: readonly { readonly file: string; readonly sha256: string }[];
  /** The names of the distribution's own patches that were applied. */
  readonly patches: readonly string[];
}
