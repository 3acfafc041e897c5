/** Checks whether a prefix already contains the result of a build. */
import { type BuildInputs, differingParts } from "./inputs.js";
import { readManifest } from "./manifest.js";
import type { Product } from "./product.js";
import { differencesOf } from "./verify-product.js";

export type Standing =
  | { readonly kind: "unchanged"; readonly product: Product }
  /** `parts`: the inputs that differ; none where only the installed files do. */
  | { readonly kind: "changed"; readonly parts: readonly string[] }
  | { readonly kind: "absent" };

export async function standingOf(prefix: string, inputs: BuildInputs): Promise<Standing> {
  const manifest = await readManifest(prefix);
  if (!manifest) return { kind: "absent" };
  if (!manifest.inputs) return { kind: "changed", parts: ["nffi"] };
  if (manifest.inputs.key !== inputs.key) {
    return { kind: "changed", parts: differingParts(manifest.inputs, inputs) };
  }
  const product = { prefix, manifest };
  const damaged = await differencesOf(product);
  return damaged.length > 0 ? { kind: "changed", parts: [] } : { kind: "unchanged", product };
}

/** In a few words, for people. */
export function reasonOf(standing: Standing): string | undefined {
  if (standing.kind !== "changed") return undefined;
  if (standing.parts.length === 0) return "installed files are missing or were changed";
  return `changed since the last build: ${standing.parts.join(", ")}`;
}
