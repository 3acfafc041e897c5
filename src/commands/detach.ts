/** `nffi detach`: removes what `nffi attach` has installed, and nothing else. */
import type { Command } from "commander";
import { detach } from "../attach/detach.js";
import { NffiError } from "../errors.js";
import { isAttached } from "../pipeline/manifest.js";
import { type FoundProduct, findProduct } from "../pipeline/product.js";
import { describeFound } from "../pipeline/product-title.js";
import type { CommandContext } from "./context.js";
import { declared } from "./declared.js";
import { productWishOf } from "./settings.js";
import { leadsOutside, linesOfUninstalled } from "./uninstall.js";

export function detachCommand(context: CommandContext): Command {
  return declared("detach")
    .argument("[prefix]", "where it is (default: found as by `nffi info`)")
    .option("--dry-run", "list the files without removing them")
    .action(async (given: string | undefined, options: { dryRun?: boolean }) => {
      const found = await findProduct(await productWishOf(given, context));
      const product = { ...found, manifest: attachedOf(found) };
      const dryRun = options.dryRun ?? false;
      context.print(`detaching ${describeFound(found)}`);
      const detached = await detach(product, { dryRun });
      for (const line of linesOfUninstalled(found, detached, dryRun)) context.print(line);
      const { conf, changedConf, running } = detached;
      if (conf) context.print(`${dryRun ? "would remove" : "removed"} ${conf}`);
      if (changedConf) context.print(`kept ${changedConf}, which was changed since it was written`);
      const { path } = product.manifest.nginx;
      if (running.length > 0) {
        context.print(
          `${path} has nffi loaded still: processes ${running.join(", ")}; restart nginx`,
        );
      }
      if (detached.outside.length > 0) throw leadsOutside(product.prefix, detached.outside);
    });
}

function attachedOf({ prefix, manifest }: FoundProduct) {
  if (isAttached(manifest)) return manifest;
  throw new NffiError("usage", `${prefix} contains an OpenResty that nffi has built`, {
    hint: `nothing is attached there; \`nffi uninstall ${prefix}\` removes it`,
  });
}
