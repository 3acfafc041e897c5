/**
 * Finds the product that `nffi detach` removes. Removing needs more than finding: without a name it
 * takes only the default prefix of `nffi attach`, and never the target of a link.
 */
import { realpath } from "node:fs/promises";
import { NffiError } from "../errors.js";
import { shellWord } from "../io/shell-words.js";
import { type AttachedManifest, isAttached } from "../pipeline/manifest.js";
import {
  attachedProducts,
  DEFAULT_PREFIXES_OF_ATTACH,
  type FoundProduct,
  findProduct,
  type ProductWish,
} from "../pipeline/product.js";

export type AttachedProduct = FoundProduct & { readonly manifest: AttachedManifest };

/** Returns it with its real path. */
export async function productToDetach(wish: ProductWish): Promise<AttachedProduct> {
  const found = await findProduct(wish);
  const { prefix, manifest, foundBy } = found;
  const real = await realpath(prefix);
  const detach = (path: string) => `\`nffi detach ${shellWord(path)}\``;
  if (!isAttached(manifest)) {
    throw new NffiError("usage", `${prefix} contains an OpenResty that nffi has built`, {
      hint: `nothing is attached there; \`nffi uninstall ${shellWord(prefix)}\` removes it`,
    });
  }
  if (wish.prefix === undefined && real !== prefix) {
    throw new NffiError("usage", `${prefix} leads to ${real}, which others may use`, {
      hint: `to remove that product: ${detach(real)}`,
    });
  }
  const isUnnamed = foundBy === "machine" || foundBy === "last attach";
  const candidates = isUnnamed ? await attachedProducts(wish.env) : [found];
  const isDefault = !isUnnamed || DEFAULT_PREFIXES_OF_ATTACH.includes(prefix);
  if (candidates.length > 1 || !isDefault) {
    throw new NffiError("usage", "missing argument PREFIX: the product to remove", {
      hint: `run ${candidates.map((product) => detach(product.prefix)).join(" or ")}`,
    });
  }
  return { ...found, manifest, prefix: real };
}
