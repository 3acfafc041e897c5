import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { expect, test } from "vitest";
import { currentPlatform } from "../../../src/host/platform.js";
import { DIRECT } from "../../../src/io/http.js";
import { fetchArchive } from "../../../src/pipeline/fetch-only.js";
import type { SourceRequest, TrustPolicy } from "../../../src/pipeline/request.js";
import { PlainReporter } from "../../../src/ui/plain-reporter.js";
import { answers, httpServer } from "../../support/http-server.js";
import { makeSigner, type Signer, sign, writeKeyring } from "../../support/pgp.js";
import { temporaryFolder } from "../../support/temporary.js";

const body = Buffer.from("a release that the catalog does not know");

/** A mirror with one unknown release; `signature` undefined means that it has none. */
function mirrorWith(signature: string | undefined): Promise<string> {
  return httpServer((request, response) => {
    const answer = request.url?.endsWith(".asc")
      ? signature === undefined
        ? answers.status(404)
        : answers.whole(Buffer.from(signature))
      : answers.whole(body);
    answer(request, response);
  });
}

interface Wish {
  readonly mirror: string;
  readonly trust: Partial<TrustPolicy>;
  readonly source?: string;
  readonly sha256?: string;
  readonly cacheDir?: string;
  readonly offline?: boolean;
}

async function fetch({ mirror, trust, source = "official", offline = false, ...wish }: Wish) {
  const cacheDir = wish.cacheDir ?? temporaryFolder();
  const request: SourceRequest = {
    release: source === "official" ? "9.9.9.9" : undefined,
    source,
    sha256: wish.sha256,
    mirrors: [mirror],
    fetch: { network: DIRECT, offline, retries: 0, stallMs: 5000, cacheDir },
    trust: { keyring: undefined, signer: "", skip: false, requireSecurityPatches: false, ...trust },
  };
  const lines: string[] = [];
  const session = {
    reporter: new PlainReporter((line) => lines.push(line), false),
    signal: new AbortController().signal,
    env: {},
    platform: currentPlatform(),
  };
  const { archive, path } = await fetchArchive(request, session);
  return { archive, path, cacheDir, lines };
}

function trustIn(signer: Signer): Partial<TrustPolicy> {
  return { keyring: writeKeyring(temporaryFolder(), signer.key), signer: signer.fingerprint };
}

test("keeps an unknown release with its signature, which then serves as a file", async () => {
  const signer = await makeSigner();
  const mirror = await mirrorWith(await sign(body, signer));
  const trust = trustIn(signer);
  const { archive, path, cacheDir } = await fetch({ mirror, trust });
  expect(archive.verifiedBy).toBe(
    `PGP signature of ${new Date().toISOString().slice(0, 10)} by ${signer.fingerprint}`,
  );
  expect(basename(path)).toBe("openresty-9.9.9.9.tar.gz");
  expect(readFileSync(path).equals(body)).toBe(true);
  expect(readdirSync(join(cacheDir, "partial"))).toEqual([]);

  const again = await fetch({ mirror: "http://127.0.0.1:1", trust, source: path, offline: true });
  expect(again.archive.verifiedBy).toMatch(/^PGP signature/);
  expect(again.path).toBe(path);
});

type MakeSignature = (signer: Signer) => Promise<string> | undefined;

test.each<[string, MakeSignature, string, RegExp]>([
  ["none", () => undefined, "fetch-failed", /404/],
  ["that of another signer", async () => sign(body, await makeSigner()), "verify-failed", /PGP/],
  ["that of another file", (signer) => sign(Buffer.from("other"), signer), "verify-failed", /PGP/],
])("keeps nothing when the signature is %s", async (_name, makeSignature, code, message) => {
  const signer = await makeSigner();
  const found = await makeSignature(signer);
  const cacheDir = temporaryFolder();
  const wish = { mirror: await mirrorWith(found), trust: trustIn(signer), cacheDir };
  await expect(fetch(wish)).rejects.toMatchObject({
    code,
    message: expect.stringMatching(message),
  });
  expect(existsSync(join(cacheDir, "archives"))).toBe(false);
});

test("refuses an unknown release without a keyring, and a file without its signature", async () => {
  const mirror = await mirrorWith(undefined);
  await expect(fetch({ mirror, trust: {} })).rejects.toMatchObject({
    code: "release-unknown",
    hint: expect.stringContaining("--keyring"),
  });
  const trust = trustIn(await makeSigner());
  await expect(fetch({ mirror, trust, source: "/etc/hostname" })).rejects.toMatchObject({
    code: "verify-failed",
    message: expect.stringContaining("/etc/hostname.asc"),
  });
});

test("what the manifest will say of the origin holds no secret, be it from the cache or not", async () => {
  const url = await httpServer(answers.whole(body));
  const source = `${url.replace("//", "//me:s3cret@")}/a.tar.gz?token=t0ken`;
  const wish = {
    mirror: url,
    trust: {},
    source,
    sha256: sha256Of(body),
    cacheDir: temporaryFolder(),
  };
  for (const { archive } of [await fetch(wish), await fetch({ ...wish, offline: true })]) {
    expect(archive.origin).toBe(`${url}/a.tar.gz`);
    expect(JSON.stringify(archive)).not.toMatch(/s3cret|t0ken/);
  }
});

function sha256Of(bytes: Buffer): string {
  return createHash("sha256").update(bytes).digest("hex");
}
