/**
 * The only door to openpgp: checks the detached signature of a file by one pinned signer. Every
 * doubt is a refusal: an expired or revoked key, a key bound to its name by SHA-1, a signature of
 * another type. No key is fetched from anywhere, and no other program is asked.
 */
import { readFile } from "node:fs/promises";
import * as openpgp from "openpgp";
import { messageOf, NffiError } from "../errors.js";

export interface SignatureWish {
  readonly file: string;
  readonly signatureFile: string;
  /** Public keys, armored or binary. */
  readonly keyring: string;
  /** The fingerprint of the primary key that must have signed. */
  readonly signer: string;
  /** For messages: what the file is. */
  readonly name: string;
}

const { hash } = openpgp.enums;

/** Also refuses SHA-1 in self-signatures; openpgp itself refuses it in messages only. */
const strict = {
  rejectHashAlgorithms: new Set([hash.md5, hash.ripemd, hash.sha1]),
  rejectMessageHashAlgorithms: new Set([hash.md5, hash.ripemd, hash.sha1]),
};

/** An old revocation made with SHA-1 still revokes. */
const anyHash = { ...openpgp.config, rejectHashAlgorithms: new Set<openpgp.enums.hash>() };

/** Returns the time of the signature. */
export async function checkSignature(wish: SignatureWish): Promise<Date> {
  const key = await signerIn(wish);
  await requireUsable(key, wish);
  const signature = await signatureIn(wish);
  const message = await openpgp.createMessage({ binary: await readFile(wish.file) });
  try {
    const { signatures } = await openpgp.verify({
      message,
      signature,
      verificationKeys: [key],
      format: "binary",
      config: strict,
    });
    return await firstGood(signatures);
  } catch (thrown) {
    throw refused(wish, messageOf(thrown), thrown);
  }
}

async function signerIn(wish: SignatureWish): Promise<openpgp.Key> {
  const keys = await keysIn(wish.keyring);
  const key = keys.find((one) => one.getFingerprint().toUpperCase() === wish.signer);
  if (key) return key.toPublic();
  const held = keys.map((one) => one.getFingerprint().toUpperCase()).join(", ");
  throw new NffiError("verify-failed", `the keyring ${wish.keyring} lacks the key of the signer`, {
    hint: `wanted ${wish.signer}\nfound  ${held}`,
  });
}

async function keysIn(keyring: string): Promise<openpgp.Key[]> {
  try {
    return await parseKeys(await readFile(keyring));
  } catch (thrown) {
    throw new NffiError("usage", `--keyring ${keyring}: ${messageOf(thrown)}`, {
      hint: "it takes a file of public keys, as `gpg --export` writes it, armored or not",
      cause: thrown,
    });
  }
}

/** The fingerprints of the primary keys in a keyring, armored or not; none if it is no keyring. */
export async function fingerprintsIn(bytes: Buffer): Promise<string[]> {
  try {
    return (await parseKeys(bytes)).map((one) => one.getFingerprint().toUpperCase());
  } catch {
    return [];
  }
}

async function parseKeys(bytes: Buffer): Promise<openpgp.Key[]> {
  const text = bytes.toString("latin1");
  return text.includes("-----BEGIN PGP")
    ? await openpgp.readKeys({ armoredKeys: text })
    : await openpgp.readKeys({ binaryKeys: new Uint8Array(bytes) });
}

async function requireUsable(key: openpgp.Key, wish: SignatureWish): Promise<void> {
  try {
    const now = new Date();
    await key.verifyPrimaryKey(now, undefined, { ...openpgp.config, ...strict });
    if (!(await key.isRevoked(undefined, undefined, now, anyHash))) return;
  } catch (thrown) {
    throw refused(wish, `the key of the signer is refused: ${messageOf(thrown)}`, thrown);
  }
  throw refused(wish, "the key of the signer is refused: it is revoked");
}

async function signatureIn(wish: SignatureWish): Promise<openpgp.Signature> {
  try {
    const bytes = await readFile(wish.signatureFile);
    const text = bytes.toString("latin1");
    const signature = text.includes("-----BEGIN PGP")
      ? await openpgp.readSignature({ armoredSignature: text })
      : await openpgp.readSignature({ binarySignature: new Uint8Array(bytes) });
    const ofBytes = signature.packets.filter(
      ({ signatureType }) => signatureType === openpgp.enums.signature.binary,
    );
    if (ofBytes.length > 0 && ofBytes.length === signature.packets.length) return signature;
  } catch (thrown) {
    throw refused(wish, `its signature cannot be read: ${messageOf(thrown)}`, thrown);
  }
  throw refused(wish, "its signature is not one of a file");
}

type Verified = openpgp.VerifyMessageResult<Uint8Array>;

/** Throws the reason of the last one when none is good. */
async function firstGood(signatures: Verified["signatures"]): Promise<Date> {
  let reason = "it holds no signature";
  for (const one of signatures) {
    try {
      if ((await one.verified) === true) {
        const [packet] = (await one.signature).packets;
        if (packet?.created) return packet.created;
      }
    } catch (thrown) {
      reason = messageOf(thrown);
    }
  }
  throw new NffiError("verify-failed", reason);
}

function refused(wish: SignatureWish, why: string, cause?: unknown): NffiError {
  return new NffiError(
    "verify-failed",
    `the PGP signature of ${wish.name} is not accepted: ${why}`,
    {
      hint:
        `it must be made by ${wish.signer}\n` +
        "the file was not used; get file, signature and keyring from a trusted source",
      cause,
    },
  );
}
