/**
 * Applies the series of patches. All of them are checked before the first byte is written, so a
 * tree is patched as a whole or left as it was.
 */
import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { exists, modeOf, writeFileWhole } from "../../io/files.js";
import { type PatchRecord, planPatches } from "../patch-plan.js";
import type { Series } from "../patch-series.js";
import type { StepContext } from "../step.js";
import type { SourceTree } from "./extract.js";

declare const patched: unique symbol;

export type PatchedTree = SourceTree & {
  readonly [patched]: true;
  /** SHA-256 by name of the patch. */
  readonly patches: Readonly<Record<string, string>>;
  /** With the patches that were applied. */
  readonly series: Series;
};

export async function patchTree(
  tree: SourceTree,
  series: Series,
  step: StepContext,
): Promise<PatchedTree> {
  const plan = await planPatches(tree, series, await readRecord(tree));
  for (const { patch, where, outcome } of plan.files) step.log(`${patch}: ${where}: ${outcome}`);
  for (const { failure } of plan.files) if (failure) throw failure;
  for (const [file, text] of plan.writes) {
    if (text === undefined) await rm(file);
    else await writeFileWhole(file, text, (await exists(file)) ? await modeOf(file) : 0o644);
  }
  const patches = Object.fromEntries(plan.patches.map((patch) => [patch.name, patch.sha256]));
  await writeFileWhole(recordFile(tree), JSON.stringify(patches, null, 2));
  const count = plan.patches.length;
  const already = plan.files.filter(({ outcome }) => outcome === "already applied").length;
  const done = already === 0 ? "" : `, already applied to ${already} of ${plan.files.length} files`;
  step.note(`${count} patches${done}`);
  return { ...tree, patches, series: { ...series, patches: plan.patches } } as PatchedTree;
}

const recordFile = (tree: SourceTree) => join(tree.dir, ".nffi-patches.json");

async function readRecord(tree: SourceTree): Promise<PatchRecord> {
  try {
    return JSON.parse(await readFile(recordFile(tree), "utf8"));
  } catch {
    return {};
  }
}
