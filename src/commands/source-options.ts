/** The options about the source and its download, which `nffi build` and `nffi fetch` share. */
import { resolve } from "node:path";
import { type Command, InvalidArgumentError } from "commander";
import { OFFICIAL_DOWNLOAD, OFFICIAL_SIGNER } from "../catalog/releases.js";
import { cacheDir } from "../host/environment.js";
import { networkOf } from "../host/network.js";
import { RETRIES, STALL_MS } from "../io/download.js";
import type { SourceRequest } from "../pipeline/request.js";
import type { CommandContext } from "./context.js";

export interface SourceOptions {
  openresty?: string;
  source: string;
  sha256?: string;
  mirror?: string[];
  keyring?: string;
  insecureSkipVerification?: boolean;
  requireSecurityPatches?: boolean;
  offline?: boolean;
  cafile?: string;
  retries: number;
  timeout: number;
}

/** `sources` are what the command takes. */
export function addSourceOptions(command: Command, sources: string): Command {
  return command
    .option("--openresty <version>", "the release to take (`nffi list` shows them)")
    .option("--source <source>", sources, "auto")
    .option("--sha256 <sum>", "what the SHA-256 of the file or URL must be")
    .option(
      "--keyring <file>",
      "check the PGP signature by these keys; needed for releases that are not listed",
    )
    .option(
      "--mirror <url>",
      "download official releases from here; may be repeated (env: NFFI_MIRROR)",
      collect,
    )
    .option("--offline", "download nothing; take what the cache has")
    .option("--cafile <file>", "trust these certificates, too (env: NFFI_CAFILE)")
    .option("--retries <n>", "how often a download is tried again", wholeNumber(0, 100), RETRIES)
    .option(
      "--timeout <seconds>",
      "abort a connection that is silent for this time",
      wholeNumber(1, 3600),
      STALL_MS / 1000,
    );
}

/** Call `applySettings` before: `options` has what the environment and the file set. */
export async function sourceRequestOf(
  options: SourceOptions,
  { env, cwd }: CommandContext,
): Promise<SourceRequest> {
  return {
    release: options.openresty,
    source: options.source,
    sha256: options.sha256,
    mirrors: options.mirror ?? [OFFICIAL_DOWNLOAD],
    fetch: {
      network: await networkOf(env, options.cafile),
      offline: options.offline ?? false,
      retries: options.retries,
      stallMs: options.timeout * 1000,
      cacheDir: cacheDir(env),
    },
    trust: {
      keyring: options.keyring && resolve(cwd, options.keyring),
      signer: OFFICIAL_SIGNER,
      skip: options.insecureSkipVerification ?? false,
      requireSecurityPatches: options.requireSecurityPatches ?? false,
    },
  };
}

/** For an option that can be given several times. */
export function collect(value: string, earlier: readonly string[] | undefined): string[] {
  return [...(earlier ?? []), value];
}

export function wholeNumber(min: number, max: number): (text: string) => number {
  return (text) => {
    const number = Number(text);
    if (/^\d+$/.test(text) && number >= min && number <= max) return number;
    throw new InvalidArgumentError(`It must be a whole number from ${min} to ${max}.`);
  };
}
