/** Proves the product in the staging folder, before any of it goes into the prefix. */
import { flavorOf } from "../flavors.js";
import { runProof } from "../proof.js";
import type { Site } from "../site.js";
import type { StepContext } from "../step.js";
import type { StagedProduct } from "./make-install.js";

declare const proven: unique symbol;

export type ProvenProduct = StagedProduct & { readonly [proven]: true };

export async function proveProduct(
  product: StagedProduct,
  site: Site,
  step: StepContext,
): Promise<ProvenProduct> {
  const { proofDir, stageDir } = site;
  const { env } = flavorOf(product.manifest.flavor);
  const productDir = product.stagedPrefix;
  await runProof({ productDir, proofDir, librariesFrom: stageDir, env }, step);
  step.note("nginx answered by a call through the echo library");
  return product as ProvenProduct;
}
