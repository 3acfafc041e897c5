/** Proves the product in the staging directory, before any of it goes into the prefix. */
import { flavorOf } from "../flavors.js";
import { runProof } from "../proof.js";
import { withStagedPlace } from "../proof-place.js";
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
  const { prefix, proofDir, stageDir } = site;
  const { env } = flavorOf(product.manifest.flavor);
  const staged = { productDir: product.stagedPrefix, librariesFrom: stageDir };
  const target = { prefix, configureArgs: product.manifest.configure };
  await withStagedPlace(staged, target, step, (place) =>
    runProof({ ...place, proofDir, env }, step),
  );
  step.note("nginx answered by a call through the echo library");
  return product as ProvenProduct;
}
