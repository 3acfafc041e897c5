/** The request and the environment of a build. The caller passes both; they never change. */
import type { Environment } from "../host/environment.js";
import type { ShippedFiles } from "../host/package.js";
import type { Platform } from "../host/platform.js";
import type { Network } from "../io/http.js";
import type { AddedSources } from "./added-sources.js";
import type { FlavorName } from "./flavors.js";
import type { Reporter } from "./reporter.js";

/** The requested source, and how it may be downloaded. */
export interface SourceRequest {
  /** --openresty: the version that was asked for. */
  readonly release: string | undefined;
  /** --source: auto, official, debian, debian:SUITE, a file, a directory or a URL. */
  readonly source: string;
  readonly sha256: string | undefined;
  /** Where official archives are downloaded from, without the file's name; tried in order. */
  readonly mirrors: readonly string[];
  readonly fetch: FetchPolicy;
  readonly trust: TrustPolicy;
}

export interface TrustPolicy {
  /** A file of public keys; given, the signature of the archive is always checked. */
  readonly keyring: string | undefined;
  /** The fingerprint of the only key whose signature counts. */
  readonly signer: string;
  /** Nothing is verified, and the manifest says so. */
  readonly skip: boolean;
  /** Debian's sources are refused where its security patches are missing. */
  readonly requireSecurityPatches: boolean;
}

export interface FetchPolicy {
  readonly network: Network;
  /** Nothing is downloaded. */
  readonly offline: boolean;
  readonly retries: number;
  /** A connection that is silent for this time is aborted. */
  readonly stallMs: number;
  readonly cacheDir: string;
}

export interface BuildRequest extends SourceRequest {
  readonly prefix: string;
  /** Files in the prefix that nffi did not install, such as another OpenResty, may be replaced. */
  readonly overwriteForeign: boolean;
  readonly workDir: string;
  readonly keep: KeepPolicy;
  /** Builds from the beginning, although nothing may have changed. */
  readonly force: boolean;
  readonly jobs: number;
  readonly flavor: FlavorName;
  readonly added: AddedSources;
  /** --patch: files of the user, applied after the series of nffi. */
  readonly patches: readonly string[];
  /** Everything after `--`. */
  readonly configureArgs: readonly string[];
}

/** When the build directory, with all compiled files, stays for the next build; logs always do. */
export type KeepPolicy = "after success" | "always" | "never";

/** The world around a build; tests bring their own. */
export interface Session {
  readonly reporter: Reporter;
  readonly signal: AbortSignal;
  readonly env: Environment;
  readonly platform: Platform;
  readonly shipped: ShippedFiles;
}
