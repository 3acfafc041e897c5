/**
 * The keys that sign Debian's archive, from the package debian-archive-keyring. No other key can
 * authenticate a source package of Debian: any repository can call its suite `stable`.
 */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { NffiError } from "../../errors.js";
import { installHint } from "../../host/distribution.js";
import { kindOf } from "../../io/files.js";

export interface DebianKeys {
  /** For Signed-By: the paths of the keyrings. */
  readonly signedBy: string;
  readonly fingerprints: ReadonlySet<string>;
}

/**
 * `keyrings` is the directory for keyrings of packages; older systems also have the keys below
 * `etc`.
 */
export async function readDebianKeys(etc: string, keyrings: string): Promise<DebianKeys> {
  const files = await keyringFiles(etc, keyrings);
  const fingerprints: string[] = [];
  for (const file of files) fingerprints.push(...(await fingerprintsIn(await readFile(file))));
  if (fingerprints.length > 0) {
    return { signedBy: files.join(" "), fingerprints: new Set(fingerprints) };
  }
  throw new NffiError("toolchain-missing", `the keys of Debian's archive are not in ${keyrings}`, {
    hint: `${installHint(["debian-archive-keyring"])}\nor use an official release: --source official`,
  });
}

async function keyringFiles(etc: string, keyrings: string): Promise<string[]> {
  for (const name of ["debian-archive-keyring.gpg", "debian-archive-keyring.pgp"]) {
    const file = join(keyrings, name);
    if ((await kindOf(file, { follow: true })) === "file") return [file];
  }
  const parts = join(etc, "trusted.gpg.d");
  const names = await readdir(parts).catch(() => []);
  const ofPackage = names.filter((name) => /^debian-archive-[\w-]+\.(asc|gpg)$/.test(name));
  return ofPackage.sort().map((name) => join(parts, name));
}

/**
 * True if a Signed-By (paths, fingerprints or a whole key) contains a key of Debian, or if there is
 * none: then apt's general keyring counts, and only the signature itself identifies the signer.
 */
export async function mayBeDebians(
  signedBy: string | undefined,
  { fingerprints }: DebianKeys,
): Promise<boolean> {
  if (signedBy === undefined) return true;
  const found: string[] = [];
  if (signedBy.includes("-----BEGIN PGP")) {
    // In a control file an empty line is a dot.
    const armored = signedBy.replace(/^\.$/gm, "").trim();
    found.push(...(await fingerprintsIn(Buffer.from(armored))));
  } else {
    for (const word of signedBy.split(/[\s,]+/)) {
      if (!word.startsWith("/")) found.push(word.replace(/!$/, "").toUpperCase());
      else found.push(...(await fingerprintsIn(await readFile(word).catch(() => Buffer.alloc(0)))));
    }
  }
  return found.some((one) => fingerprints.has(one));
}

/** openpgp takes 0.1 s to load. */
async function fingerprintsIn(bytes: Buffer): Promise<string[]> {
  return (await import("../../io/signature.js")).fingerprintsIn(bytes);
}
