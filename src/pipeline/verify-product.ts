/** Checks whether a product is unmodified, and whether it still works. */
import { mkdtemp, realpath, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { NffiError } from "../errors.js";
import { flavorOf } from "./flavors.js";
import { type BuiltManifest, isAttached, ownPaths, pathsOutside } from "./manifest.js";
import { type SeenFolders, stateOf } from "./own-files.js";
import type { Product } from "./product.js";
import { rebuildCommand } from "./product-title.js";
import { type ProofContext, runProof } from "./proof.js";
import { installedPlace } from "./proof-place.js";

export interface Difference {
  readonly path: string;
  /** "outside": the path, or a link on its way, leads out of the prefix. */
  readonly what: "missing" | "changed" | "outside";
}

/** The installed files and links that have changed, except the files for users to edit. */
export async function differencesOf({ prefix, manifest }: Product): Promise<Difference[]> {
  const differences: Difference[] = [];
  for (const path of pathsOutside(manifest)) differences.push({ path, what: "outside" });
  const seen: SeenFolders = new Map();
  for (const path of ownPaths(manifest)) {
    const state = await stateOf(prefix, manifest, path, seen);
    if (state === "as installed") continue;
    differences.push({ path, what: state === "behind a link" ? "outside" : state });
  }
  return differences;
}

/** Runs the proof of the build again; only on a product whose files are unchanged. */
export async function proveAgain(
  product: Product<BuiltManifest>,
  context: ProofContext,
): Promise<void> {
  await requireUnchanged(product);
  await requireInPlace(product);
  const prefix = await realpath(product.prefix);
  const folder = await mkdtemp(join(tmpdir(), "nffi-verify-"));
  try {
    const proofDir = join(folder, "proof");
    const { env } = flavorOf(product.manifest.flavor);
    const { configure } = product.manifest;
    const place = await installedPlace(prefix, configure, { ...context, warn: context.log });
    await runProof({ ...place, proofDir, env }, context);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Its programs have the prefix in their rpath: elsewhere they find no library, or another's. */
export async function requireInPlace({ prefix, manifest }: Product): Promise<void> {
  if (isAttached(manifest)) return;
  const there = await realpath(manifest.prefix).catch(() => undefined);
  if (there === (await realpath(prefix))) return;
  throw new NffiError(
    "verify-failed",
    `the product in ${prefix} was built for ${manifest.prefix}, and works only there`,
    {
      hint: `move it back, or build one for this place: \`${rebuildCommand({ prefix, manifest })}\``,
    },
  );
}

/** Throws with the differences, so that nothing that was changed is started. */
export async function requireUnchanged(product: Product): Promise<void> {
  const differences = await differencesOf(product);
  if (differences.length > 0) throw notAsInstalled(product, differences);
}

const SHOWN = 20;

function notAsInstalled(product: Product, differences: readonly Difference[]): NffiError {
  const lines = differences.slice(0, SHOWN).map(({ path, what }) => `${what.padEnd(7)} ${path}`);
  const { prefix } = product;
  const more = differences.length - SHOWN;
  const many = differences.length === 1 ? "1 file differs" : `${differences.length} files differ`;
  if (more > 0) lines.push(`and ${more} more`);
  return new NffiError(
    "verify-failed",
    `${prefix} is not as it was installed: ${many} from its manifest`,
    {
      hint: [
        ...lines,
        `nothing of it was started; \`${rebuildCommand(product)}\` installs it again`,
      ].join("\n"),
    },
  );
}
