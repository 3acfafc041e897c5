import { writeFileSync } from "node:fs";
import { join } from "node:path";
import * as openpgp from "openpgp";
import { expect, test } from "vitest";
import { checkSignature } from "../../../src/io/signature.js";
import {
  makeSigner,
  revoked,
  type Signer,
  sign,
  signWith,
  writeKeyring,
} from "../../support/pgp.js";
import { temporaryFolder } from "../../support/temporary.js";

const body = Buffer.from("an archive\r\nof OpenResty\n");
const lastYear = new Date(Date.now() - 365 * 86_400_000);

interface Case {
  readonly signer: Signer;
  readonly keys?: readonly openpgp.Key[];
  readonly signature: string | Uint8Array;
  readonly file?: Buffer;
}

function check({ signer, keys = [signer.key], signature, file = body }: Case): Promise<Date> {
  const folder = temporaryFolder();
  const at = { file: join(folder, "a.tar.gz"), signatureFile: join(folder, "a.tar.gz.asc") };
  writeFileSync(at.file, file);
  writeFileSync(at.signatureFile, signature);
  const keyring = writeKeyring(folder, ...keys);
  return checkSignature({ ...at, keyring, signer: signer.fingerprint, name: "the archive" });
}

async function expectRefused(wanted: Case, why: RegExp): Promise<void> {
  await expect(check(wanted)).rejects.toMatchObject({
    code: "verify-failed",
    message: expect.stringMatching(why),
    hint: expect.stringContaining(wanted.signer.fingerprint),
  });
}

test("accepts what the pinned signer has signed, also by a subkey or in binary form", async () => {
  const signer = await makeSigner();
  const signature = await sign(body, signer);
  const stranger = await makeSigner();
  const keys = [stranger.key, signer.key];
  expect(Date.now() - (await check({ signer, keys, signature })).getTime()).toBeLessThan(60_000);
  const { data } = await openpgp.unarmor(signature);
  await check({ signer, signature: Buffer.from(data as Uint8Array) });
  const withSubkey = await makeSigner({ signingSubkey: true });
  await check({ signer: withSubkey, signature: await sign(body, withSubkey) });
});

test("refuses the signature of another key, though that is in the keyring, too", async () => {
  const signer = await makeSigner();
  const other = await makeSigner();
  const signature = await sign(body, other);
  await expectRefused({ signer, keys: [signer.key, other.key], signature }, /not accepted/);
});

test("refuses a keyring without the pinned signer", async () => {
  const signer = await makeSigner();
  const other = await makeSigner();
  await expectRefused({ signer, keys: [other.key], signature: await sign(body, other) }, /lacks/);
});

test("refuses an expired key, whenever it has signed", async () => {
  const signer = await makeSigner({ madeAt: lastYear, validSeconds: 86_400 });
  const signature = await sign(body, signer, new Date(lastYear.getTime() + 3_600_000));
  await expectRefused({ signer, signature }, /expired/);
});

test("refuses a revoked key", async () => {
  const signer = await makeSigner();
  const signature = await sign(body, signer);
  await expectRefused({ signer, keys: [await revoked(signer)], signature }, /revoked/);
});

test("refuses a key that was revoked by SHA-1, which is no reason to trust it", async () => {
  const signer = await makeSigner({ rsa: true });
  const signature = await sign(body, signer);
  await check({ signer, signature });
  const key = await revoked(signer, { sha1: true });
  expect(key.revocationSignatures[0]?.hashAlgorithm).toBe(openpgp.enums.hash.sha1);
  await expectRefused({ signer, keys: [key], signature }, /revoked/);
});

test.each(["md5", "ripemd", "sha1"] as const)("refuses a file signed by %s", async (hash) => {
  const signer = await makeSigner({ rsa: true });
  const signature = await signWith(hash, body, signer);
  const [packet] = (await openpgp.readSignature({ armoredSignature: signature })).packets;
  expect(packet?.hashAlgorithm).toBe(openpgp.enums.hash[hash]);
  await expectRefused({ signer, signature }, /insecure.* hash algorithm/i);
});

test("refuses a key that is bound to its name by SHA-1", async () => {
  const signer = await makeSigner({ sha1: true });
  const [user] = signer.key.users;
  expect(user?.selfCertifications[0]?.hashAlgorithm).toBe(openpgp.enums.hash.sha1);
  await expectRefused({ signer, signature: await sign(body, signer) }, /SHA-?1/i);
});

test("refuses the signature of another file", async () => {
  const signer = await makeSigner();
  const signature = await sign(Buffer.from("another file"), signer);
  await expectRefused({ signer, signature }, /not accepted/);
});

test("refuses a file that differs in its line ends only", async () => {
  const signer = await makeSigner();
  const file = Buffer.from(body.toString().replaceAll("\r\n", "\n"));
  await expectRefused({ signer, signature: await sign(body, signer), file }, /not accepted/);
});

test("refuses a signature of the future", async () => {
  const signer = await makeSigner();
  const signature = await sign(body, signer, new Date(Date.now() + 86_400_000));
  await expectRefused({ signer, signature }, /not accepted/);
});

test("refuses a damaged signature at whatever place", async () => {
  const signer = await makeSigner();
  const signature = await sign(body, signer);
  const { data } = await openpgp.unarmor(signature);
  const bytes = Buffer.from(data as Uint8Array);
  for (let place = 0; place < bytes.length; place += 5) {
    const damaged = Buffer.from(bytes);
    damaged[place] = (damaged[place] ?? 0) ^ 0xff;
    // Not all bytes are signed (the hint of the key's number is not), but none may be fatal.
    const outcome = await check({ signer, signature: damaged }).catch((thrown) => thrown.code);
    if (typeof outcome === "string") expect(outcome).toBe("verify-failed");
  }
  const last = Buffer.from(bytes);
  last[last.length - 1] = (last.at(-1) ?? 0) ^ 1;
  await expectRefused({ signer, signature: last }, /not accepted/);
  await expectRefused({ signer, signature: signature.slice(0, 150) }, /cannot be read|not one/);
  await expectRefused({ signer, signature: "" }, /cannot be read|not one/);
  await expectRefused({ signer, signature: "<html>not found</html>" }, /cannot be read|not one/);
});

test("refuses a signature of text, which leaves line ends open", async () => {
  const signer = await makeSigner();
  const signature = await openpgp.sign({
    message: await openpgp.createMessage({ text: body.toString() }),
    signingKeys: signer.key,
    detached: true,
  });
  await expectRefused({ signer, signature }, /not one of a file/);
});

test("says so when the keyring is none", async () => {
  const folder = temporaryFolder();
  const file = join(folder, "a");
  writeFileSync(file, "");
  const wish = { file, signatureFile: file, signer: "A", name: "a" };
  for (const keyring of [file, join(folder, "absent")]) {
    await expect(checkSignature({ ...wish, keyring })).rejects.toMatchObject({
      code: expect.stringMatching(/usage|verify-failed/),
      message: expect.stringContaining(keyring),
    });
  }
});
