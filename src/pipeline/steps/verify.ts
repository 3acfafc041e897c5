/**
 * Decides whether the fetched source may be used. A VerifiedSource can only be made here, and only
 * a VerifiedSource can be extracted.
 */
import { NffiError } from "../../errors.js";
import { checkSignature } from "../../io/signature.js";
import type { TrustPolicy } from "../request.js";
import type { StepContext } from "../step.js";
import type { DebianPackages } from "./debian.js";
import type { FetchedArchive, FetchedDirectory, FetchedSource } from "./fetch.js";

declare const verified: unique symbol;

interface Verified {
  readonly [verified]: true;
  /** The basis of the trust, for the manifest. */
  readonly verifiedBy: string;
}

export type VerifiedArchive = FetchedArchive & Verified;
export type VerifiedDirectory = FetchedDirectory & Verified;
export type VerifiedPackages = DebianPackages & Verified;
export type VerifiedSource = VerifiedArchive | VerifiedDirectory | VerifiedPackages;

export async function verifySource(
  source: FetchedSource,
  trust: TrustPolicy,
  step: StepContext,
): Promise<VerifiedSource> {
  const verifiedBy = trust.skip ? skipped(source, step) : await groundOfTrust(source, trust);
  step.note(verifiedBy);
  if (source.kind === "archive" && verifiedBy === NOTHING) {
    step.warn(`${source.origin} is not verified: no --sha256 was given`);
  }
  return { ...source, verifiedBy } as VerifiedSource;
}

const NOTHING = "nothing: the user's own files";

/** The manifest is all that a later reader sees of it. */
function skipped(source: FetchedSource, step: StepContext): string {
  if (source.kind === "debian") return OF_DEBIAN;
  if (source.kind === "directory") return NOTHING;
  step.warn(`${source.origin} is NOT verified: --insecure-skip-verification was given`);
  return "nothing: --insecure-skip-verification was given";
}

const OF_DEBIAN = "the signatures of Debian's archive, checked by apt";

async function groundOfTrust(source: FetchedSource, trust: TrustPolicy): Promise<string> {
  switch (source.kind) {
    case "directory":
      return NOTHING;
    case "debian":
      return OF_DEBIAN;
    case "archive": {
      const grounds = [groundOfHash(source), await groundOfSignature(source, trust)];
      const found = grounds.filter((ground) => ground !== undefined);
      if (found.length > 0) return found.join(" and ");
      if (source.version === undefined) return NOTHING;
      throw new NffiError(
        "verify-failed",
        `cannot verify ${source.origin}: no checksum or signature available`,
        { hint: "pass its checksum with --sha256, or the public key of its signer with --keyring" },
      );
    }
  }
}

function groundOfHash(source: FetchedArchive): string | undefined {
  if (source.expected === undefined) return undefined;
  if (source.sha256 !== source.expected) throw mismatch(source, source.expected);
  return source.isKnown
    ? `SHA-256 of OpenResty ${source.version} in the catalog`
    : "SHA-256 given with --sha256";
}

/** Given a keyring, no signature is a bad signature. */
async function groundOfSignature(
  source: FetchedArchive,
  { keyring, signer }: TrustPolicy,
): Promise<string | undefined> {
  if (keyring === undefined) return undefined;
  const { file, origin: name, signature: signatureFile } = source;
  if (!signatureFile) {
    throw new NffiError("verify-failed", `--keyring: ${name} has no signature`, {
      hint: "put the signature beside the archive, with the suffix .asc, or pass --sha256 instead",
    });
  }
  const made = await checkSignature({ file, signatureFile, keyring, signer, name });
  return `PGP signature of ${made.toISOString().slice(0, 10)} by ${signer}`;
}

function mismatch(source: FetchedArchive, expected: string): NffiError {
  return new NffiError("verify-failed", `the SHA-256 of ${source.origin} is not the expected one`, {
    hint:
      `expected ${expected}\n` +
      `found    ${source.sha256}\n` +
      "the file is damaged, truncated or another one; nothing of it was used: download it again",
  });
}
