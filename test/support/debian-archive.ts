// Small apt archives, signed by keys of the test, and a machine whose apt sources name them.
import { createHash } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import * as openpgp from "openpgp";
import type { Signer } from "./pgp.js";

export interface ArchiveWish {
  /** The directory of the suite; the name in an apt source. */
  readonly suite: string;
  readonly origin: string;
  readonly codename: string;
  readonly signer: Signer;
}

function write(file: string, content: string | Uint8Array): void {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, content);
}

/** Makes an archive with one source package; returns its URI. */
export async function makeArchive(dir: string, wish: ArchiveWish): Promise<string> {
  const orig = "an upstream tarball";
  const sum = (text: string) => createHash("sha256").update(text).digest("hex");
  const sources = `Package: nginx
Version: 1.26.3-1
Format: 3.0 (quilt)
Directory: pool
Checksums-Sha256:
 ${sum(orig)} ${orig.length} nginx_1.26.3.orig.tar.gz
`;
  const release = `Origin: ${wish.origin}
Label: ${wish.origin}
Suite: stable
Codename: ${wish.codename}
Date: ${new Date().toUTCString()}
Architectures: amd64 arm64
Components: main
SHA256:
 ${sum(sources)} ${sources.length} main/source/Sources
`;
  const dists = join(dir, "dists", wish.suite);
  write(join(dir, "pool/nginx_1.26.3.orig.tar.gz"), orig);
  write(join(dists, "main/source/Sources"), sources);
  const message = await openpgp.createCleartextMessage({ text: release });
  write(join(dists, "InRelease"), await openpgp.sign({ message, signingKeys: wish.signer.key }));
  return `file:${dir}`;
}

/** A directory like /usr/share/keyrings, with these keys in place of Debian's. */
export function writeDebianKeyring(dir: string, ...signers: Signer[]): string {
  const packets = new openpgp.PacketList<openpgp.AnyPacket>();
  for (const { key } of signers) packets.push(...key.toPublic().toPacketList());
  write(join(dir, "debian-archive-keyring.gpg"), packets.write());
  return dir;
}
