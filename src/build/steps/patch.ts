/**
 * Applies the series of patches. All of them are checked before the first byte is written, so a
 * tree is patched as a whole or left as it was.
 */
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { NffiError } from "../../errors.js";
import { kindOf, modeOf, writeFileWhole } from "../../io/files.js";
import { type Component, requireComponent } from "../components.js";
import { type FilePatch, readPatch, tryPatch } from "../patches.js";
import type { StepContext } from "../step.js";
import type { SourceTree } from "./extract.js";

export interface SeriesPatch {
  readonly name: string;
  readonly component: string;
  readonly sha256: string;
  readonly files: readonly FilePatch[];
}

export interface Series {
  readonly patches: readonly SeriesPatch[];
  /** Changes with any patch: a tree is known again by it. */
  readonly key: string;
}

declare const patched: unique symbol;

export type PatchedTree = SourceTree & {
  readonly [patched]: true;
  /** SHA-256 by name of the patch. */
  readonly patches: Readonly<Record<string, string>>;
};

/** Reads patches/series: `COMPONENT FILE` a line, `#` starts a comment. */
export async function readSeries(patchesDir: string): Promise<Series> {
  const text = await readFile(join(patchesDir, "series"), "utf8");
  const patches: SeriesPatch[] = [];
  for (const line of text.split("\n")) {
    const [component, name] = line.replace(/#.*/, "").trim().split(/\s+/);
    if (!component || !name) continue;
    const diff = await readFile(join(patchesDir, name), "utf8");
    patches.push({ name, component, sha256: sha256(diff), files: readPatch(name, diff) });
  }
  const key = sha256(patches.map((patch) => `${patch.component} ${patch.sha256}`).join("\n"));
  return { patches, key };
}

export async function patchTree(
  tree: SourceTree,
  series: Series,
  step: StepContext,
): Promise<PatchedTree> {
  const record = await readRecord(tree);
  const planned = new Map<string, string>();
  let already = 0;
  for (const patch of series.patches) {
    const component = requireComponent(tree.components, patch.component);
    for (const filePatch of patch.files) {
      const wrote = await planFile(patch, filePatch, component, planned, record);
      already += wrote ? 0 : 1;
      step.log(`${patch.name}: ${component.name} ${filePatch.file} ${wrote ? "" : "(already)"}`);
    }
  }
  for (const [file, text] of planned) {
    await writeFileWhole(file, text, await modeOf(file));
  }
  const patches = Object.fromEntries(series.patches.map((patch) => [patch.name, patch.sha256]));
  await writeFileWhole(recordFile(tree), JSON.stringify(patches, null, 2));
  const count = series.patches.length;
  step.note(already === 0 ? `${count} patches` : `${count} patches, ${already} already applied`);
  return { ...tree, patches } as PatchedTree;
}

type PatchRecord = Readonly<Record<string, string>>;

/** Adds the patched text to `planned`; false when the file has the patch already. */
async function planFile(
  patch: SeriesPatch,
  filePatch: FilePatch,
  component: Component,
  planned: Map<string, string>,
  record: PatchRecord,
): Promise<boolean> {
  const file = join(component.dir, filePatch.file);
  const where = `${component.name} ${component.version}`;
  if ((await kindOf(file)) !== "file") {
    throw new NffiError(
      "patch-failed",
      `${patch.name} does not fit ${where}: no ${filePatch.file}`,
    );
  }
  const outcome = tryPatch(planned.get(file) ?? (await readFile(file, "utf8")), filePatch);
  if (outcome.kind === "already applied") return false;
  const changedSince = record[patch.name] === patch.sha256;
  if (outcome.kind === "fits" && !changedSince) {
    planned.set(file, outcome.text);
    return true;
  }
  const hunk = outcome.kind === "does not fit" ? outcome.hunk : "";
  throw new NffiError(
    "patch-failed",
    changedSince
      ? `${patch.name} was applied to ${where}, but ${filePatch.file} was changed afterwards`
      : `${patch.name} does not fit ${where}: ${filePatch.file}`,
    {
      hint:
        `${hunk ? `the hunk that finds no place:\n${hunk}\n` : ""}` +
        "nothing was patched; `nffi list` shows the releases that fit",
    },
  );
}

const recordFile = (tree: SourceTree) => join(tree.dir, ".nffi-patches.json");

async function readRecord(tree: SourceTree): Promise<PatchRecord> {
  try {
    return JSON.parse(await readFile(recordFile(tree), "utf8"));
  } catch {
    return {};
  }
}

function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
