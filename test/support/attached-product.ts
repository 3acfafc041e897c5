// Programs of nginx that nffi has not built, with nffi attached: further products for the
// end-to-end tests of the engine, named in NFFI_TEST_SUITES. All of them share one glue.
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { acquireLock } from "../../src/io/lock.js";
import type { Place } from "./attached-conf.js";
import { repository } from "./cli.js";
import { debianProduct, folderOf, isDebian } from "./debian-product.js";
import { withOpenrestyCore } from "./openresty-core.js";
import { unpatchedOpenresty } from "./unpatched-openresty.js";

/**
 * attached: an OpenResty of Debian's sources, without our patches. openresty-core: the same
 * with the fields of nginx's core where OpenResty's has them. The others: Debian's own packages.
 */
const ATTACHED_SUITES = ["attached", "openresty-core", "debian-12", "debian-13"] as const;

export type AttachedSuite = (typeof ATTACHED_SUITES)[number];

export function isAttachedSuite(suite: string): suite is AttachedSuite {
  return ATTACHED_SUITES.some((name) => name === suite);
}

/** The prefix of an nginx with the parts that are ours; `makeBuilt` builds an OpenResty. */
export async function attachedProduct(
  suite: AttachedSuite,
  makeBuilt: () => Promise<string>,
): Promise<string> {
  const folder = isDebian(suite) ? folderOf(suite) : join(repository, ".nffi/test/attached");
  mkdirSync(folder, { recursive: true });
  const built = isDebian(suite) ? "" : await makeBuilt();
  const lock = await acquireLock(folder, { wait: true });
  try {
    if (isDebian(suite)) return await debianProduct(suite);
    const plain = await unpatchedOpenresty("nginx-core");
    const glue = compiledGlue(plain.includes, join(folder, "glue"));
    const { prefix } =
      suite === "openresty-core" ? await unpatchedOpenresty(suite, withOpenrestyCore) : plain;
    layOut(built, glue, prefix);
    return prefix;
  } finally {
    await lock.release();
  }
}

/** Compiles the glue against the headers of some nginx; returns its path. */
function compiledGlue(includes: readonly string[], folder: string): string {
  mkdirSync(folder, { recursive: true });
  const variables = [
    `BUILD_DIR=${folder}`,
    `NGINX_INCS=${includes.map((i) => `-I${i}`).join(" ")}`,
  ];
  execFileSync("make", ["-s", "-j2", "-C", join(repository, "c-src"), "glue", ...variables], {
    env: { ...process.env, PATH: `/usr/lib/ccache:${process.env.PATH}` },
    stdio: ["ignore", "inherit", "inherit"],
  });
  return join(folder, "libnffi_glue.so");
}

const LUA = ["resty/nffi", "resty/nffi.lua", "resty/core/nonblocking_ffi.lua", "resty_ffi.lua"];

/** As `nffi attach` does, unless the same was done before. */
export function layOut(built: string, glue: string, prefix: string, place: Place = {}): void {
  const hash = createHash("sha256").update(readFileSync(glue)).update(JSON.stringify(place));
  hash.update(readFileSync(join(built, "nffi/nffi.json")));
  for (const file of execFileSync("find", [join(repository, "lua"), "-name", "*.lua"])
    .toString()
    .trim()
    .split("\n")
    .sort()) {
    hash.update(readFileSync(file));
  }
  const key = hash.digest("hex");
  const keyFile = join(prefix, "nffi-test-key");
  if (existsSync(keyFile) && readFileSync(keyFile, "utf8") === key) return;
  rmSync(join(prefix, "nffi"), { recursive: true, force: true });
  cpSync(join(built, "nffi"), join(prefix, "nffi"), { recursive: true, verbatimSymlinks: true });
  cpSync(glue, join(prefix, "nffi/lib/libnffi_glue.so"));
  for (const path of LUA) {
    cpSync(join(repository, "lua", path), join(prefix, "lualib", path), {
      recursive: true,
      filter: (file) => !/\.[a-z]+$/.test(file) || file.endsWith(".lua"),
    });
  }
  const file = join(prefix, "nffi/nffi.json");
  const manifest = JSON.parse(readFileSync(file, "utf8"));
  writeFileSync(file, JSON.stringify({ ...manifest, prefix, kind: "attached", nginx: {} }));
  writeFileSync(join(prefix, "nffi-test-place.json"), JSON.stringify(place));
  writeFileSync(keyFile, key);
}
