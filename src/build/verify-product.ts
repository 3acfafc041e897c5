/** Tells whether a product is still what was built, and whether it still works. */
import { mkdtemp, readlink, realpath, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { NffiError } from "../errors.js";
import { kindOf, sha256OfFile } from "../io/files.js";
import { flavorOf } from "./flavors.js";
import { ownPaths } from "./manifest.js";
import type { Product } from "./product.js";
import { type ProofContext, runProof } from "./proof.js";

export interface Difference {
  readonly path: string;
  readonly what: "missing" | "changed";
}

/** Each file and link of the manifest that is not as it was installed; what users may edit is left out. */
export async function differencesOf({ prefix, manifest }: Product): Promise<Difference[]> {
  const differences: Difference[] = [];
  for (const path of ownPaths(manifest)) {
    const place = join(prefix, path);
    const kind = await kindOf(place);
    if (kind === "absent") differences.push({ path, what: "missing" });
    else if (!(await isAsInstalled(place, kind, manifest.files[path], manifest.links?.[path]))) {
      differences.push({ path, what: "changed" });
    }
  }
  return differences;
}

async function isAsInstalled(
  place: string,
  kind: string,
  sha256: string | undefined,
  target: string | undefined,
): Promise<boolean> {
  if (sha256 !== undefined) return kind === "file" && (await sha256OfFile(place)) === sha256;
  return kind === "other" && (await readlink(place).catch(() => undefined)) === target;
}

/** Runs the proof of the build again; only on a product whose files are unchanged. */
export async function proveAgain(product: Product, context: ProofContext): Promise<void> {
  const differences = await differencesOf(product);
  if (differences.length > 0) throw notAsInstalled(product, differences);
  const prefix = await realpath(product.prefix);
  const folder = await mkdtemp(join(tmpdir(), "nffi-verify-"));
  try {
    const proofDir = join(folder, "proof");
    const { env } = flavorOf(product.manifest.flavor);
    await runProof({ productDir: prefix, proofDir, librariesFrom: prefix, env }, context);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

const SHOWN = 20;

function notAsInstalled({ prefix }: Product, differences: readonly Difference[]): NffiError {
  const lines = differences.slice(0, SHOWN).map(({ path, what }) => `${what.padEnd(7)} ${path}`);
  const more = differences.length - SHOWN;
  if (more > 0) lines.push(`and ${more} more`);
  return new NffiError(
    "verify-failed",
    `${prefix} is not as it was installed: ${differences.length} files differ from its manifest`,
    { hint: [...lines, "nothing of it was started; `nffi build` installs it again"].join("\n") },
  );
}
