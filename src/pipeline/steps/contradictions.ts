/** Errors for options that exclude each other. */
import { NffiError } from "../../errors.js";
import type { SourceRequest } from "../request.js";

/** Refuses options about trust that exclude each other or the source. */
export function requireTrustFits({ trust, sha256 }: SourceRequest, isDebian: boolean): void {
  if (trust.skip && (trust.keyring || sha256)) {
    const other = trust.keyring ? "--keyring" : "--sha256";
    throw contradiction(
      `--insecure-skip-verification does not go with ${other}`,
      `omit one of them; ${other} alone verifies the source`,
    );
  }
  if (trust.keyring && isDebian) {
    throw contradiction(
      "--keyring does not go with --source debian",
      "omit --keyring: apt verifies those sources with Debian's keys",
    );
  }
}

export function contradiction(message: string, hint: string): NffiError {
  return new NffiError("usage", message, { hint });
}
