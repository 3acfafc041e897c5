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
  /** Of the kind that can sign with old hashes; bound to its name by SHA-256. */
  readonly rsa?: boolean;
  readonly signingSubkey?: boolean;
}

/** openpgp has no salt length for SHA-1, so salts are turned off. */
const ofOldTimes: openpgp.PartialConfig = {
  preferredHashAlgorithm: openpgp.enums.hash.sha1,
  nonDeterministicSignaturesViaNotation: false,
};

export async function makeSigner(wish: SignerWish = {}): Promise<Signer> {
  const { privateKey } = await openpgp.generateKey({
    userIDs,
    format: "object",
    ...(wish.sha1 || wish.rsa ? { type: "rsa" as const, rsaBits: 2048 } : { type: "ecc" as const }),
    ...(wish.madeAt && { date: wish.madeAt }),
    ...(wish.validSeconds && { keyExpirationTime: wish.validSeconds }),
    ...(wish.signingSubkey && { subkeys: [{ sign: true }] }),
    ...(wish.sha1 && { config: ofOldTimes }),
  });
  return { key: privateKey, fingerprint: privateKey.getFingerprint().toUpperCase() };
}

export async function revoked(
  { key }: Signer,
  wish: { readonly sha1?: boolean } = {},
): Promise<openpgp.PublicKey> {
  const config = wish.sha1 ? ofOldTimes : {};
  const { publicKey } = await openpgp.revokeKey({ key, format: "object", config });
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

/** A detached signature by an RSA key, with a hash that openpgp does not choose. */
export async function signWith(
  hash: "md5" | "ripemd" | "sha1",
  bytes: Buffer,
  { key }: Signer,
): Promise<string> {
  const { keyPacket } = await key.getSigningKey();
  const literal = new openpgp.LiteralDataPacket();
  const packet = new openpgp.SignaturePacket();
  Object.assign(packet, {
    version: keyPacket.version,
    signatureType: openpgp.enums.signature.binary,
    publicKeyAlgorithm: keyPacket.algorithm,
    hashAlgorithm: openpgp.enums.hash[hash],
  });
  // The types of openpgp do not have these.
  const data = literal as unknown as { setBytes(bytes: Uint8Array, format: number): void };
  const signer = packet as unknown as { sign(...given: unknown[]): Promise<void> };
  data.setBytes(new Uint8Array(bytes), openpgp.enums.literal.binary);
  await signer.sign(keyPacket, literal, new Date(), true, { ...openpgp.config, ...ofOldTimes });
  const packets = new openpgp.PacketList<openpgp.AnyPacket>();
  packets.push(packet);
  return openpgp.armor(openpgp.enums.armor.signature, packets.write());
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
