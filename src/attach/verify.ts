/**
 * Verifies an attached product: checks its files and its nginx, and repeats the proof. If nginx was
 * upgraded since the last proof, a successful proof records the new one in the manifest.
 */
import { join } from "node:path";
import { NffiError } from "../errors.js";
import { elfObjectOf } from "../io/elf-object.js";
import { withLockedProduct } from "../pipeline/locked-product.js";
import type { AttachedManifest, AttachedNginx } from "../pipeline/manifest.js";
import type { Product } from "../pipeline/product.js";
import { requireUnchanged } from "../pipeline/verify-product.js";
import type { AttachSession } from "./attach.js";
import { type Examined, examine, recordOf } from "./examine.js";
import { writeManifest } from "./lay-out.js";
import { prove } from "./proof.js";
import { neededSymbols, requireSymbols } from "./symbols.js";

export interface Verified {
  /** The differences from the last proof, in words. */
  readonly changes: readonly string[];
}

export function verifyAttached(
  product: Product<AttachedManifest>,
  session: AttachSession,
): Promise<Verified> {
  return withLockedProduct(product, (locked) => verifyLocked(locked, session));
}

async function verifyLocked(
  product: Product<AttachedManifest>,
  session: AttachSession,
): Promise<Verified> {
  await requireUnchanged(product);
  const { prefix, manifest } = product;
  const { path, conf } = manifest.nginx;
  const { env, platform } = session;
  const wish = { nginx: path, conf, env, cwd: "/", arch: platform.arch, force: true };
  const examined = await examine(wish, session);
  await requireGlue(prefix, examined);
  await prove({ ...examined, productDir: prefix }, session);
  const now = recordOf(examined);
  const changes = changesOf(manifest.nginx, now);
  if (changes.length > 0) await noteAnew(prefix, { ...manifest, nginx: now }, session);
  return { changes };
}

async function requireGlue(prefix: string, { nginx, ngxLua }: Examined): Promise<void> {
  const file = join(prefix, "nffi/lib/libnffi_glue.so");
  const glue = await elfObjectOf(file).catch(() => undefined);
  if (glue === undefined)
    throw new NffiError("verify-failed", `${file} is not a shared library`, {
      hint: "run `nffi attach` again",
    });
  requireSymbols(neededSymbols(glue, ngxLua), nginx, ngxLua);
}

/** By the names of the manifest, with words for people. */
const NOTED: Readonly<Partial<Record<keyof AttachedNginx, string>>> = {
  version: "nginx",
  openresty: "an OpenResty",
  buildId: "the build id of nginx",
  ngxLua: "ngx_lua",
  ngxLuaBuildId: "the build id of ngx_lua",
  luaRestyCore: "lua-resty-core",
  stream: "stream {}",
};

function changesOf(before: AttachedNginx, now: AttachedNginx): string[] {
  return (Object.keys(NOTED) as (keyof AttachedNginx)[])
    .filter((name) => before[name] !== now[name])
    .map((name) => `${NOTED[name]}: ${before[name]} -> ${now[name]}`);
}

async function noteAnew(
  prefix: string,
  manifest: AttachedManifest,
  session: AttachSession,
): Promise<void> {
  try {
    await writeManifest(prefix, manifest);
  } catch {
    session.warn(
      `cannot write to ${prefix}: run this as root, so that nginx no longer warns about its new version`,
    );
  }
}
