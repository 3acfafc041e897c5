/** `nffi uninstall PREFIX`: removes what the manifest of a product lists, and nothing else. */
import { realpath } from "node:fs/promises";
import { join } from "node:path";
import type { Command } from "commander";
import { NffiError } from "../errors.js";
import { nginxProcessesWith } from "../host/nginx-processes.js";
import { withLockedProduct } from "../pipeline/locked-product.js";
import { isAttached } from "../pipeline/manifest.js";
import { findProduct, type Product } from "../pipeline/product.js";
import { removeProduct, type Uninstalled } from "../pipeline/uninstall.js";
import type { CommandContext } from "./context.js";
import { declared } from "./declared.js";

export function uninstallCommand(context: CommandContext): Command {
  return declared("uninstall")
    .argument("<prefix>", "the prefix of the product")
    .option("--dry-run", "list the files without removing them")
    .action(async (prefix: string, options: { dryRun?: boolean }) => {
      const { env, cwd } = context;
      const product = await findProduct({ prefix, env, cwd });
      const dryRun = options.dryRun ?? false;
      if (isAttached(product.manifest)) throw isForDetach(prefix);
      const program = join(await realpath(product.prefix), "nginx/sbin/nginx");
      const running = await nginxProcessesWith(program);
      const uninstalled = await withLockedProduct(product, (one) => removeProduct(one, { dryRun }));
      for (const line of linesOfUninstalled(product, uninstalled, dryRun)) context.print(line);
      if (running.length > 0) {
        const many = `processes ${running.join(", ")}`;
        context.print(
          dryRun
            ? `nginx runs from it: ${many}; stop it first`
            : `nginx still runs from it: ${many}; stop it, as it can no longer reload`,
        );
      }
      const { outside } = uninstalled;
      if (outside.length > 0) throw leadsOutside(product.prefix, outside);
    });
}

function isForDetach(prefix: string): NffiError {
  return new NffiError("usage", `nffi is attached in ${prefix}, not built`, {
    hint: `run \`nffi detach ${prefix}\``,
  });
}

export function linesOfUninstalled(
  { prefix, manifest }: Product,
  { removed, kept, changed }: Uninstalled,
  dryRun: boolean,
): string[] {
  const list = (title: string, paths: readonly string[]) =>
    paths.length === 0 ? [] : [title, ...paths.map((path) => `  ${path}`)];
  const did = dryRun ? "would remove" : "removed";
  return [
    ...(dryRun ? removed.map((path) => `  ${path}`) : []),
    `${did} ${countedFiles(removed)} of ${prefix}`,
    ...list(`kept ${countedFiles(changed)} that changed after the installation:`, changed),
    // the directory of an attached product may be one of others
    ...(isAttached(manifest)
      ? []
      : list(`kept ${countedFiles(kept)} (configuration, or not of nffi):`, kept)),
  ];
}

function countedFiles({ length }: readonly string[]): string {
  return length === 1 ? "1 file" : `${length} files`;
}

export function leadsOutside(prefix: string, paths: readonly string[]): NffiError {
  const many = `${paths.length} paths in the manifest of ${prefix} lead out of it`;
  return new NffiError("foreign-files", `${many}, by ".." or through a link`, {
    hint: [...paths, "nothing there was touched; look at these places yourself"].join("\n"),
  });
}
