/** `nffi detach`: removes what `nffi attach` has installed, and nothing else. */
import type { Command } from "commander";
import { detach } from "../attach/detach.js";
import { DEFAULT_PREFIXES_OF_ATTACH } from "../pipeline/product.js";
import { describeFound } from "../pipeline/product-title.js";
import { productToDetach } from "./attached-product.js";
import type { CommandContext } from "./context.js";
import { declared } from "./declared.js";
import { productWishOf } from "./settings.js";
import { leadsOutside, linesOfUninstalled } from "./uninstall.js";

export function detachCommand(context: CommandContext): Command {
  return declared("detach")
    .argument("[prefix]", `where it is (default: ${DEFAULT_PREFIXES_OF_ATTACH.join(" or ")})`)
    .option("--dry-run", "list the files without removing them")
    .action(async (given: string | undefined, options: { dryRun?: boolean }) => {
      const product = await productToDetach(await productWishOf(given, context));
      const dryRun = options.dryRun ?? false;
      context.print(`detaching ${describeFound(product)}`);
      const detached = await detach(product, { dryRun });
      for (const line of linesOfUninstalled(product, detached, dryRun)) context.print(line);
      const { conf, changedConf, running } = detached;
      if (conf) context.print(`${dryRun ? "would remove" : "removed"} ${conf}`);
      if (changedConf) context.print(`kept ${changedConf}, which was changed since it was written`);
      const { path } = product.manifest.nginx;
      if (running.length > 0) {
        context.print(
          `${path} still has nffi loaded: processes ${running.join(", ")}; restart nginx`,
        );
      }
      if (detached.outside.length > 0) throw leadsOutside(product.prefix, detached.outside);
    });
}
