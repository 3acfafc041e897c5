/** Finds the product of an earlier build, and remembers the last one. */
import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { NffiError } from "../errors.js";
import { type Environment, stateDir } from "../host/environment.js";
import { writeFileWhole } from "../io/files.js";
import { type Manifest, manifestFile, readManifest } from "./manifest.js";

export interface Product {
  readonly prefix: string;
  readonly manifest: Manifest;
}

export interface ProductWish {
  /** --prefix */
  readonly prefix: string | undefined;
  readonly env: Environment;
  readonly cwd: string;
}

/** The prefix that a build fills when --prefix is not given. */
export function defaultPrefix(env: Environment, cwd: string): string {
  return resolve(cwd, env.NFFI_PREFIX || join(".nffi", "openresty"));
}

/** By --prefix, else NFFI_PREFIX, else ./.nffi/openresty, else the record of the last build. */
export async function findProduct(wish: ProductWish): Promise<Product> {
  const named = wish.prefix ?? (wish.env.NFFI_PREFIX || undefined);
  const places = named
    ? [resolve(wish.cwd, named)]
    : [defaultPrefix(wish.env, wish.cwd), await lastPrefix(wish.env)];
  const tried: string[] = [];
  for (const prefix of places) {
    if (prefix === undefined) continue;
    const manifest = await readManifest(prefix);
    if (manifest) return { prefix, manifest };
    tried.push(manifestFile(prefix));
  }
  throw new NffiError("product-missing", `no OpenResty built by nffi: no ${tried.join(", no ")}`, {
    hint: "run `nffi build` first, or name the place with --prefix or NFFI_PREFIX",
  });
}

/** The products that can be found without being named. */
export async function knownProducts(env: Environment, cwd: string): Promise<Product[]> {
  const places = [defaultPrefix(env, cwd), resolve(cwd, ".nffi/openresty"), await lastPrefix(env)];
  const products: Product[] = [];
  for (const prefix of new Set(places)) {
    const manifest = prefix === undefined ? undefined : await readManifest(prefix);
    if (prefix !== undefined && manifest) products.push({ prefix, manifest });
  }
  return products;
}

/** A build that cannot be remembered is a build all the same, so this never throws. */
export async function rememberBuild(prefix: string, env: Environment): Promise<void> {
  try {
    await writeFileWhole(recordFile(env), `${JSON.stringify({ prefix })}\n`);
  } catch {
    // no home, or none that can be written to
  }
}

async function lastPrefix(env: Environment): Promise<string | undefined> {
  try {
    return JSON.parse(await readFile(recordFile(env), "utf8")).prefix;
  } catch {
    return undefined;
  }
}

function recordFile(env: Environment): string {
  return join(stateDir(env), "last-build.json");
}
