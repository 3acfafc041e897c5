/** Finds the product of an earlier build, and remembers where the last one is. */
import { readFile, realpath } from "node:fs/promises";
import { join, resolve } from "node:path";
import { NffiError } from "../errors.js";
import { type Environment, stateDir } from "../host/environment.js";
import { type Place, placeOf } from "../host/precedence.js";
import { writeFileWhole } from "../io/files.js";
import { shellWord } from "../io/shell-words.js";
import {
  type AttachedManifest,
  isAttached,
  type Manifest,
  manifestFile,
  readManifest,
} from "./manifest.js";

export interface Product<M extends Manifest = Manifest> {
  readonly prefix: string;
  readonly manifest: M;
}

export interface FoundProduct extends Product {
  /**
   * The source of the path: "--prefix", "NFFI_PREFIX", "nffi.config.json", "default", "last attach"
   * or "machine".
   */
  readonly foundBy: string;
}

export interface ProductWish {
  /** --prefix */
  readonly prefix: string | undefined;
  /** What nffi.config.json has for it. */
  readonly configured?: string | undefined;
  readonly env: Environment;
  readonly cwd: string;
}

/** The prefix of a build unless the user names another one; relative to the current directory. */
export const DEFAULT_PREFIX = join(".nffi", "openresty");

/** Where `nffi attach` installs unless --prefix is given; it serves all users of the machine. */
export const ATTACHED_PREFIX = "/usr/local/nffi";

/** The same for official packages and images of OpenResty, whose Lua searches this directory. */
const SITE_OF_OPENRESTY = "/usr/local/openresty/site";

export const DEFAULT_PREFIXES_OF_ATTACH = [ATTACHED_PREFIX, SITE_OF_OPENRESTY];

/**
 * Returns the product in the prefix that the user has named, else in ./.nffi/openresty, else what
 * this user attached last, else what is attached at a default prefix. The last build may belong to
 * another project, so it is only named in the hint.
 */
export async function findProduct(wish: ProductWish): Promise<FoundProduct> {
  const { env } = wish;
  const { prefix, foundBy } = prefixOf(wish);
  const manifest = await readManifest(prefix);
  if (manifest) return { prefix, manifest, foundBy };
  const attached = foundBy === "default" ? (await attachedProducts(env))[0] : undefined;
  if (attached) {
    const isLast = attached.prefix === (await recorded(attachFile(env)));
    return { ...attached, foundBy: isLast ? "last attach" : "machine" };
  }
  const last = await lastPrefix(env);
  const isOther = last !== undefined && last !== prefix && (await readManifest(last)) !== undefined;
  const hint =
    "run `nffi build` or `nffi attach` first, or name a product with --prefix or NFFI_PREFIX";
  const lastHint = `\nthe last build of this user: --prefix ${shellWord(last ?? "")}`;
  throw new NffiError(
    "product-missing",
    `no product of nffi in ${prefix}: ${manifestFile(prefix)} not found`,
    { hint: isOther ? hint + lastHint : hint },
  );
}

const NAMED_BY: Readonly<Record<Place, string>> = {
  option: "--prefix",
  variable: "NFFI_PREFIX",
  file: "nffi.config.json",
};

/** Returns the prefix that the user has named, or undefined. */
export function namedPrefix(
  wish: ProductWish,
): Pick<FoundProduct, "prefix" | "foundBy"> | undefined {
  const values = { option: wish.prefix, variable: wish.env.NFFI_PREFIX, file: wish.configured };
  const place = placeOf(values);
  if (place === undefined) return undefined;
  return { prefix: resolve(wish.cwd, values[place] ?? ""), foundBy: NAMED_BY[place] };
}

/** The same, else the default. */
export function prefixOf(wish: ProductWish): Pick<FoundProduct, "prefix" | "foundBy"> {
  return namedPrefix(wish) ?? { prefix: resolve(wish.cwd, DEFAULT_PREFIX), foundBy: "default" };
}

/** The product that this user attached last, then the products in the default prefixes. */
export async function attachedProducts(env: Environment): Promise<Product<AttachedManifest>[]> {
  const places = [await recorded(attachFile(env)), ...DEFAULT_PREFIXES_OF_ATTACH];
  const products: Product<AttachedManifest>[] = [];
  for (const prefix of new Set(places)) {
    const manifest = prefix === undefined ? undefined : await readManifest(prefix);
    if (prefix !== undefined && manifest && isAttached(manifest))
      products.push({ prefix, manifest });
  }
  return products;
}

/** The products that can be found without being named. */
export async function knownProducts(wish: ProductWish): Promise<Product[]> {
  const { env, cwd } = wish;
  const places = [prefixOf(wish).prefix, resolve(cwd, DEFAULT_PREFIX), await lastPrefix(env)];
  const products: Product[] = [];
  for (const prefix of new Set(places)) {
    const manifest = prefix === undefined ? undefined : await readManifest(prefix);
    if (prefix !== undefined && manifest) products.push({ prefix, manifest });
  }
  return withoutLinks([...products, ...(await attachedProducts(env))]);
}

/** Returns each product once, not also by the link of a project; by its own path if it is named. */
async function withoutLinks(products: readonly Product[]): Promise<Product[]> {
  const places = new Map<string, Product>();
  for (const product of products) {
    const real = await realpath(product.prefix);
    if (!places.has(real) || product.prefix === real) places.set(real, product);
  }
  return [...places.values()];
}

export async function rememberBuild(prefix: string, env: Environment): Promise<void> {
  await record(recordFile(env), prefix);
}

export async function rememberAttach(prefix: string, env: Environment): Promise<void> {
  await record(attachFile(env), prefix);
}

/** A product that cannot be remembered is one all the same, so this never throws. */
async function record(file: string, prefix: string): Promise<void> {
  try {
    await writeFileWhole(file, `${JSON.stringify({ prefix })}\n`);
  } catch {
    // no home, or none that can be written to
  }
}

async function lastPrefix(env: Environment): Promise<string | undefined> {
  return recorded(recordFile(env));
}

async function recorded(file: string): Promise<string | undefined> {
  try {
    return JSON.parse(await readFile(file, "utf8")).prefix;
  } catch {
    return undefined;
  }
}

function attachFile(env: Environment): string {
  return join(stateDir(env), "last-attach.json");
}

function recordFile(env: Environment): string {
  return join(stateDir(env), "last-build.json");
}
