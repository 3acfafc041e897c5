/** Removes an attached product: its files, and the file that --write-conf has written. */
import { readdir, readFile, readlink, rm } from "node:fs/promises";
import { join } from "node:path";
import { messageOf, NffiError } from "../errors.js";
import { exists, sha256OfFile } from "../io/files.js";
import type { AttachedManifest } from "../pipeline/manifest.js";
import type { Product } from "../pipeline/product.js";
import { type Uninstalled, uninstallProduct } from "../pipeline/uninstall.js";

export interface Detached extends Uninstalled {
  /** The file of --write-conf, if it was removed or, with `dryRun`, would be. */
  readonly conf: string | undefined;
  /** The same, if it was kept because it has changed since. */
  readonly changedConf: string | undefined;
  /** Master processes that keep the glue loaded until they are restarted. */
  readonly running: readonly number[];
}

export async function detach(
  product: Product<AttachedManifest>,
  options: { readonly dryRun: boolean },
): Promise<Detached> {
  const { conf } = product.manifest;
  const isThere = conf !== undefined && (await exists(conf.path));
  const isOurs = isThere && (await sha256OfFile(conf.path)) === conf.sha256;
  const running = await processesWith(join(product.prefix, "nffi/lib/libnffi_glue.so"));
  // First, so that an nginx that is reloaded during this does not search for missing files.
  if (isOurs && !options.dryRun) await removeConf(conf.path);
  const uninstalled = await uninstallProduct(product, options);
  return {
    ...uninstalled,
    conf: isOurs ? conf.path : undefined,
    changedConf: isThere && !isOurs ? conf.path : undefined,
    running,
  };
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

/** The nginx processes that have mapped a file; only root sees other users' processes. */
async function processesWith(file: string): Promise<number[]> {
  const found: number[] = [];
  for (const name of await readdir("/proc").catch(() => [])) {
    if (!/^\d+$/.test(name)) continue;
    const maps = await readFile(`/proc/${name}/maps`, "utf8").catch(() => "");
    if (!maps.includes(file)) continue;
    const program = await readlink(`/proc/${name}/exe`).catch(() => "");
    if (/nginx|openresty/i.test(program)) found.push(Number(name));
  }
  return found;
}
