/** Removes an attached product: its files, and the file that --write-conf has written. */
import { rm, rmdir } from "node:fs/promises";
import { join } from "node:path";
import { messageOf, NffiError } from "../errors.js";
import { nginxProcessesWith } from "../host/nginx-processes.js";
import { exists } from "../io/files.js";
import { withLockedProduct } from "../pipeline/locked-product.js";
import type { AttachedManifest } from "../pipeline/manifest.js";
import type { Product } from "../pipeline/product.js";
import { removeProduct, type Uninstalled } from "../pipeline/uninstall.js";
import { isAsWritten } from "./conf-file.js";

export interface Detached extends Uninstalled {
  /** The file of --write-conf, if it was removed or, with `dryRun`, would be. */
  readonly conf: string | undefined;
  /** The same, if it was kept because it has changed since. */
  readonly changedConf: string | undefined;
  /** Master processes that keep the glue loaded until they are restarted. */
  readonly running: readonly number[];
}

export function detach(
  product: Product<AttachedManifest>,
  options: { readonly dryRun: boolean },
): Promise<Detached> {
  return withLockedProduct(product, (locked) => detachLocked(locked, options));
}

async function detachLocked(
  product: Product<AttachedManifest>,
  options: { readonly dryRun: boolean },
): Promise<Detached> {
  const { conf } = product.manifest;
  const isThere = conf !== undefined && (await exists(conf.path));
  const isOurs = isThere && (await isAsWritten(conf));
  const running = await nginxProcessesWith(join(product.prefix, "nffi/lib/libnffi_glue.so"));
  // First, so that an nginx that is reloaded during this does not search for missing files.
  if (isOurs && !options.dryRun) await removeConf(conf.path);
  const removed = await removeProduct(product, options);
  if (!options.dryRun) await removeMade(product);
  return {
    ...removed,
    conf: isOurs ? conf.path : undefined,
    changedConf: isThere && !isOurs ? conf.path : undefined,
    running,
  };
}

/** The directories that attaching has made above what it has installed, while they are empty. */
async function removeMade({ prefix, manifest }: Product<AttachedManifest>): Promise<void> {
  const installed = [prefix, manifest.prefix, manifest.conf?.path];
  for (const folder of [...(manifest.made ?? [])].reverse()) {
    if (!installed.some((path) => path?.startsWith(`${folder}/`))) continue;
    await rmdir(folder).catch(() => undefined); // refuses one that holds anything
  }
}

async function removeConf(path: string): Promise<void> {
  try {
    await rm(path);
  } catch (thrown) {
    throw new NffiError("install-failed", `cannot remove ${path}: ${messageOf(thrown)}`, {
      hint: "run this as the user that has attached nffi, such as root; nothing was removed",
      cause: thrown,
    });
  }
}
