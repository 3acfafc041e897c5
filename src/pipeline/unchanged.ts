/** Checks whether a prefix already contains the result of a build. */
import { type BuildInputs, differingParts } from "./inputs.js";
import { type BuiltManifest, isAttached, readManifest } from "./manifest.js";
import type { Product } from "./product.js";
import type { BuildRequest } from "./request.js";
import { differencesOf } from "./verify-product.js";

export interface BuildOutcome extends Product<BuiltManifest> {
  /** The prefix held the product already; nothing was done. */
  readonly unchanged: boolean;
}

export type Standing =
  | { readonly kind: "unchanged"; readonly product: Product<BuiltManifest> }
  /** `parts`: the inputs that differ; none where only the installed files do. */
  | { readonly kind: "changed"; readonly parts: readonly string[] }
  | { readonly kind: "absent" };

export async function standingOf(prefix: string, inputs: BuildInputs): Promise<Standing> {
  const manifest = await readManifest(prefix);
  if (!manifest) return { kind: "absent" };
  if (isAttached(manifest) || !manifest.inputs) return { kind: "changed", parts: ["nffi"] };
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

/** A product that lacks security patches does not satisfy a build that requires them. */
export function suffices({ manifest }: Product<BuiltManifest>, { trust }: BuildRequest): boolean {
  return !trust.requireSecurityPatches || (manifest.source.securityGaps ?? []).length === 0;
}
