/** Work on an installed product that no other nffi may change at the same time. */
import { realpath } from "node:fs/promises";
import { NffiError } from "../errors.js";
import { acquireLock } from "../io/lock.js";
import { isAttached, type Manifest, readManifest } from "./manifest.js";
import type { Product } from "./product.js";

/**
 * Locks the prefix for `body`, which gets the manifest as it is then, and the prefix without links.
 */
export async function withLockedProduct<M extends Manifest, T>(
  product: Product<M>,
  body: (locked: Product<M>) => Promise<T>,
): Promise<T> {
  const prefix = await realpath(product.prefix);
  const lock = await acquireLock(prefix, {
    busyMessage: `the prefix ${prefix} is in use by another nffi`,
  });
  try {
    const manifest = await readManifest(prefix);
    if (manifest === undefined || isAttached(manifest) !== isAttached(product.manifest)) {
      throw new NffiError("product-missing", `another nffi has just changed ${prefix}`, {
        hint: "`nffi list` shows what is installed now",
      });
    }
    return await body({ prefix, manifest: manifest as M });
  } finally {
    await lock.release();
  }
}
