/** `nffi uninstall PREFIX`: removes what the manifest of a product lists, and nothing else. */
import type { Command } from "commander";
import { NffiError } from "../errors.js";
import { findProduct } from "../pipeline/product.js";
import { uninstallProduct } from "../pipeline/uninstall.js";
import type { CommandContext } from "./context.js";
import { declared } from "./declared.js";

export function uninstallCommand(context: CommandContext): Command {
  return declared("uninstall")
    .argument("<prefix>", "where it lies")
    .option("--dry-run", "list the files without removing them")
    .action(async (prefix: string, options: { dryRun?: boolean }) => {
      const { env, cwd } = context;
      const product = await findProduct({ prefix, env, cwd });
      const dryRun = options.dryRun ?? false;
      const { removed, kept, changed, outside } = await uninstallProduct(product, { dryRun });
      const list = (title: string, paths: readonly string[]) => {
        if (paths.length > 0) context.print(title);
        for (const path of paths) context.print(`  ${path}`);
      };
      if (dryRun) for (const path of removed) context.print(`  ${path}`);
      const did = dryRun ? "would remove" : "removed";
      context.print(`${did} ${removed.length} files of ${product.prefix}`);
      list(`kept ${changed.length} files that were changed after the installation:`, changed);
      list(`kept ${kept.length} files that are yours:`, kept);
      if (outside.length > 0) throw leadsOutside(product.prefix, outside);
    });
}

function leadsOutside(prefix: string, paths: readonly string[]): NffiError {
  const many = `${paths.length} paths in the manifest of ${prefix} lead out of it`;
  return new NffiError("foreign-files", `${many}, by ".." or through a link`, {
    hint: [...paths, "nothing there was touched; look at these places yourself"].join("\n"),
  });
}
