/**
 * Decides whether the fetched source may be used. A VerifiedSource can only be made here, and only
 * a VerifiedSource can be extracted.
 */
import { NffiError } from "../../errors.js";
import type { StepContext } from "../step.js";
import type { DebianPackages } from "./debian.js";
import type { FetchedArchive, FetchedDirectory, FetchedSource } from "./fetch.js";

declare const verified: unique symbol;

interface Verified {
  readonly [verified]: true;
  /** What the trust rests on; goes into the manifest. */
  readonly verifiedBy: string;
}

export type VerifiedArchive = FetchedArchive & Verified;
export type VerifiedDirectory = FetchedDirectory & Verified;
export type VerifiedPackages = DebianPackages & Verified;
export type VerifiedSource = VerifiedArchive | VerifiedDirectory | VerifiedPackages;

export async function verifySource(
  source: FetchedSource,
  step: StepContext,
): Promise<VerifiedSource> {
  const verifiedBy = groundOfTrust(source);
  step.note(verifiedBy);
  if (source.kind === "archive" && verifiedBy === NOTHING) {
    step.warn(`${source.origin} is not verified: no --sha256 was given`);
  }
  return { ...source, verifiedBy } as VerifiedSource;
}

const NOTHING = "nothing: the user's own files";

function groundOfTrust(source: FetchedSource): string {
  switch (source.kind) {
    case "directory":
      return NOTHING;
    case "debian":
      return "the signatures of Debian's archive, checked by apt";
    case "archive":
      if (source.expected === undefined) return NOTHING;
      if (source.sha256 !== source.expected) throw mismatch(source, source.expected);
      return source.release
        ? `SHA-256 of OpenResty ${source.release.version} in the catalog`
        : "SHA-256 given with --sha256";
  }
}

function mismatch(source: FetchedArchive, expected: string): NffiError {
  return new NffiError("verify-failed", `the SHA-256 of ${source.origin} is not the expected one`, {
    hint:
      `expected ${expected}\n` +
      `found    ${source.sha256}\n` +
      "the file is damaged, truncated or another one; nothing of it was used",
  });
}
