/** `nffi uninstall PREFIX`: removes what the manifest of a product lists, and nothing else. */
import { Command } from "commander";
import { findProduct } from "../build/product.js";
import { uninstallProduct } from "../build/uninstall.js";
import type { CommandContext } from "./context.js";

export function uninstallCommand(context: CommandContext): Command {
  return new Command("uninstall")
    .description("remove a product: what nffi installed; configuration, logs and the rest stay")
    .argument("<prefix>", "where it lies")
    .option("--dry-run", "tell what would be removed and remove nothing")
    .action(async (prefix: string, options: { dryRun?: boolean }) => {
      const { env, cwd } = context;
      const product = await findProduct({ prefix, env, cwd });
      const dryRun = options.dryRun ?? false;
      const { removed, kept } = await uninstallProduct(product, { dryRun });
      if (dryRun) for (const path of removed) context.print(`  ${path}`);
      const did = dryRun ? "would remove" : "removed";
      context.print(`${did} ${removed.length} files of ${product.prefix}`);
      if (kept.length > 0) context.print(`kept ${kept.length} files that are yours:`);
      for (const path of kept) context.print(`  ${path}`);
    });
}
