// nginx with a static OpenSSL that the user adds, in one real build. It takes minutes, most of them
// for OpenSSL; test/e2e/build-added.test.ts adds the other libraries.
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { runCli } from "../support/cli.js";
import { FAST_LUAJIT } from "../support/configure-args.js";
import { debianSources } from "../support/debian-source.js";
import { hostileEnvironment } from "../support/hostile-environment.js";
import { withNginx } from "../support/nginx.js";
import { anySuite } from "../support/openresty.js";
import { temporaryFolder } from "../support/temporary.js";

// Keeps only the parts of OpenSSL that nginx needs, not optimised; the rest would only take time.
const LEAN_OPENSSL = [
  ..."apps aria bf camellia cast chacha cmp cms comp ct des docs dsa dtls ec2m engine".split(" "),
  ..."gost idea legacy md4 mdc2 ml-dsa ml-kem module multiblock ocb poly1305 psk".split(" "),
  ..."quic rc2 rc4 rfc3779 rmd160 scrypt seed siphash siv slh-dsa sm2 sm3 sm4 srp".split(" "),
  ..."srtp ssl-trace tests ts whirlpool asm".split(" "),
]
  .map((part) => `no-${part}`)
  .concat("-O0");

test("nginx links OpenSSL statically, and leaves its directory as it was", async () => {
  const folder = temporaryFolder();
  const prefix = join(folder, "openresty");
  const { openssl = "" } = await debianSources(["openssl"], folder);
  const built = await runCli(
    [
      ...["build", "--source", `debian:${anySuite}`, "--prefix", prefix],
      ...["--work-dir", join(folder, "work"), "--with-openssl", openssl],
      ...["--", `--with-openssl-opt=${LEAN_OPENSSL.join(" ")}`, "--with-cc-opt=-O0", FAST_LUAJIT],
    ],
    { env: hostileEnvironment(folder) },
  );
  expect(built.stderr).not.toContain("nffi: ");
  expect(built.exitCode).toBe(0);
  const nginx = join(prefix, "nginx/sbin/nginx");
  const needed = execFileSync("readelf", ["-d", nginx], { encoding: "utf8" });
  expect(needed).toContain("libnffi.so.1");
  expect(needed).not.toMatch(/lib(ssl|crypto)/);
  expect(existsSync(join(openssl, ".openssl"))).toBe(false);

  const version = readFileSync(join(openssl, "VERSION.dat"), "utf8");
  const [major, minor, patch] = ["MAJOR", "MINOR", "PATCH"].map(
    (name) => new RegExp(`^${name}=(\\d+)$`, "m").exec(version)?.[1],
  );
  const shown = execFileSync("sh", ["-c", `${nginx} -V 2>&1`], { encoding: "utf8" });
  expect(shown).toContain(`built with OpenSSL ${major}.${minor}.${patch}`);
  expect(shown).not.toContain(join(folder, "work"));
  const server = "location / { return 200 fine; }";
  await withNginx({ prefix, server }, async (one) => expect(await one.get("/")).toBe("fine"));
});
