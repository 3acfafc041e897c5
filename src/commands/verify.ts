/** `nffi verify PREFIX`: the hashes of the manifest and the proof of the build, once more. */
import { Command } from "commander";
import { countOfOwn } from "../pipeline/manifest.js";
import { findProduct } from "../pipeline/product.js";
import { proveAgain } from "../pipeline/verify-product.js";
import type { CommandContext } from "./context.js";

export function verifyCommand(context: CommandContext): Command {
  return new Command("verify")
    .description("check a product: the hashes of its files, and that it still answers a call")
    .argument("[prefix]", "where it lies (default: found as by `nffi info`)")
    .option("--verbose", "show what is checked")
    .action(async (given: string | undefined, options: { verbose?: boolean }) => {
      const { env, cwd, signal } = context;
      const product = await findProduct({ prefix: given, env, cwd });
      const log = options.verbose ? context.print : () => {};
      await proveAgain(product, { signal, env, log });
      const count = countOfOwn(product.manifest);
      context.print(`${product.prefix}: as it was installed (${count} files), and it works`);
    });
}
