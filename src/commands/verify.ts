/** `nffi verify PREFIX`: the hashes of the manifest and the proof of the build, once more. */
import type { Command } from "commander";
import { verifyAttached } from "../attach/verify.js";
import { toNffiError } from "../errors.js";
import { shipped } from "../host/package.js";
import { currentPlatform } from "../host/platform.js";
import { countOfOwn, isAttached } from "../pipeline/manifest.js";
import { type FoundProduct, findProduct, type Product } from "../pipeline/product.js";
import { describeFound, titleOf } from "../pipeline/product-title.js";
import { differencesOf, proveAgain } from "../pipeline/verify-product.js";
import type { CommandContext } from "./context.js";
import { declared } from "./declared.js";
import { productWishOf } from "./settings.js";

interface VerifyOptions {
  verbose?: boolean;
  json?: boolean;
}

export function verifyCommand(context: CommandContext): Command {
  return declared("verify")
    .argument("[prefix]", "the prefix of the product (default: found as by `nffi info`)")
    .option("--verbose", "show what is checked")
    .option("--json", "print the result as one JSON object")
    .action(async (given: string | undefined, options: VerifyOptions) => {
      const product = await findProduct(await productWishOf(given, context));
      if (options.json) return verifyForPrograms(product, context);
      context.print(`verifying ${describeFound(product)}`);
      const changes = await prove(product, options.verbose ? context.print : () => {}, context);
      if (changes.length > 0) context.print("nginx was changed since the last proof:");
      for (const change of changes) context.print(`  ${change}`);
      const count = countOfOwn(product.manifest);
      context.print(`${product.prefix}: as it was installed (${count} files), and it works`);
    });
}

/** --json: what was found, also where it is wrong; a person still finds the error on stderr. */
async function verifyForPrograms(product: FoundProduct, context: CommandContext) {
  const { prefix, manifest, foundBy } = product;
  const title = titleOf(manifest);
  const report = (outcome: object) =>
    context.print(
      JSON.stringify({
        format: 1,
        prefix,
        foundBy,
        title,
        files: countOfOwn(manifest),
        ...outcome,
      }),
    );
  const differences = await differencesOf(product);
  try {
    const changes = await prove(product, () => {}, context);
    report({ ok: true, differences, ...(isAttached(manifest) && { changes }) });
  } catch (thrown) {
    const { code, exitCode, message } = toNffiError(thrown);
    report({ ok: false, differences, code, exitCode, message });
    throw thrown;
  }
}

/** Returns the differences from the last proof, as lines to print. */
async function prove(
  { prefix, manifest }: Product,
  log: (line: string) => void,
  context: CommandContext,
): Promise<readonly string[]> {
  const { env, signal } = context;
  if (!isAttached(manifest)) {
    await proveAgain({ prefix, manifest }, { signal, env, log });
    return [];
  }
  const platform = currentPlatform();
  const session = { env, signal, platform, shipped, log, warn: log };
  return (await verifyAttached({ prefix, manifest }, session)).changes;
}
