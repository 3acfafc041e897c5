// Keys of one test and what they sign. RSA only where a test needs SHA-1, as it takes long to make.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import * as openpgp from "openpgp";

export interface Signer {
  readonly key: openpgp.PrivateKey;
  readonly fingerprint: string;
}

const userIDs = [{ name: "Signer", email: "signer@example.org" }];

export interface SignerWish {
  readonly madeAt?: Date;
  readonly validSeconds?: number;
  readonly sha1?: boolean;
  readonly signingSubkey?: boolean;
}

/** openpgp has no length of a salt for SHA-1, so it is told to do without. */
const ofOldTimes: openpgp.PartialConfig = {
  preferredHashAlgorithm: openpgp.enums.hash.sha1,
  nonDeterministicSignaturesViaNotation: false,
};

export async function makeSigner(wish: SignerWish = {}): Promise<Signer> {
  const { privateKey } = await openpgp.generateKey({
    userIDs,
    format: "object",
    ...(wish.sha1 ? { type: "rsa" as const, rsaBits: 2048 } : { type: "ecc" as const }),
    ...(wish.madeAt && { date: wish.madeAt }),
    ...(wish.validSeconds && { keyExpirationTime: wish.validSeconds }),
    ...(wish.signingSubkey && { subkeys: [{ sign: true }] }),
    ...(wish.sha1 && { config: ofOldTimes }),
  });
  return { key: privateKey, fingerprint: privateKey.getFingerprint().toUpperCase() };
}

export async function revoked({ key }: Signer): Promise<openpgp.PublicKey> {
  const { publicKey } = await openpgp.revokeKey({ key, format: "object" });
  return publicKey;
}

/** Writes the public keys into one armored file. */
export function writeKeyring(folder: string, ...keys: openpgp.Key[]): string {
  const packets = new openpgp.PacketList<openpgp.AnyPacket>();
  for (const key of keys) packets.push(...key.toPublic().toPacketList());
  const file = join(folder, "keyring.asc");
  writeFileSync(file, openpgp.armor(openpgp.enums.armor.publicKey, packets.write()));
  return file;
}

/** A detached signature, armored. */
export async function sign(bytes: Buffer, { key }: Signer, date?: Date): Promise<string> {
  return openpgp.sign({
    message: await openpgp.createMessage({ binary: bytes }),
    signingKeys: key,
    detached: true,
    ...(date && { date }),
  });
}
