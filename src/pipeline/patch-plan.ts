/**
 * Tries all patches on a tree without writing a byte: what each file would become, and what does
 * not fit.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { nearestRelease } from "../catalog/releases.js";
import { NffiError, toNffiError } from "../errors.js";
import { kindOf } from "../io/files.js";
import { compareDebianVersions } from "../sources/debian/package-version.js";
import type { SourcePart } from "../sources/source.js";
import { type Component, requireComponent } from "./components.js";
import { findPlace, type PatchPlace } from "./patch-place.js";
import { cvesOf, type Series, type SeriesPatch } from "./patch-series.js";
import { type FilePatch, type PatchOutcome, tryPatch } from "./patches.js";

/** SHA-256 by name of the patches that a tree got before. */
export type PatchRecord = Readonly<Record<string, string>>;

export interface PlannedFile {
  readonly patch: string;
  /** "nginx 1.27.1 src/core/nginx.c", or the path in the diff when it has no place. */
  readonly where: string;
  readonly outcome: "fits" | "already applied" | "does not fit";
  /** Why not, ready to be thrown. */
  readonly failure?: NffiError;
}

export interface PatchPlan {
  /** The patches of the series that this tree needs. */
  readonly patches: readonly SeriesPatch[];
  readonly files: readonly PlannedFile[];
  /** The new text by path; undefined for a file to remove. */
  readonly writes: ReadonlyMap<string, string | undefined>;
}

interface Tree {
  readonly dir: string;
  readonly components: readonly Component[];
  readonly identity?: { readonly parts?: readonly SourcePart[] };
}

export async function planPatches(
  tree: Tree,
  series: Series,
  record: PatchRecord,
): Promise<PatchPlan> {
  const writes = new Map<string, string | undefined>();
  const files: PlannedFile[] = [];
  const patches = series.patches.filter((patch) => isNeeded(patch, tree));
  for (const patch of patches) {
    for (const filePatch of patch.files) {
      files.push(await planFile(patch, filePatch, tree, writes, record));
    }
  }
  return { patches, files, writes };
}

/** A fix is needed by the old versions of its component, unless the distribution fixed the same. */
function isNeeded(patch: SeriesPatch, { components, identity }: Tree): boolean {
  const { below } = patch;
  if (below === undefined) return true;
  const found = components.filter(({ name }) => name === patch.component);
  if (!found.some(({ version }) => compareDebianVersions(version, below) < 0)) return false;
  const part = identity?.parts?.find(({ component }) => component === patch.component);
  return !cvesOf(patch).some((cve) => part?.patches.some((name) => name.includes(cve)));
}

async function planFile(
  patch: SeriesPatch,
  filePatch: FilePatch,
  tree: Tree,
  writes: Map<string, string | undefined>,
  record: PatchRecord,
): Promise<PlannedFile> {
  const named = { patch: patch.name, where: filePatch.path };
  try {
    const place = await placeOf(patch, filePatch, tree, writes);
    const { component, file } = place;
    const where = `${component.name} ${component.version} ${file}`;
    const path = join(component.dir, file);
    const before = await textOf(path, writes);
    const outcome = outcomeFor(before, filePatch);
    const changedSince = record[patch.name] === patch.sha256 && outcome?.kind !== "already applied";
    if (outcome?.kind === "fits" && !changedSince) {
      writes.set(
        path,
        filePatch.change === "delete" && outcome.text === "" ? undefined : outcome.text,
      );
    } else if (outcome?.kind !== "already applied") {
      const failure = misfit(patch, place, outcome, changedSince, tree);
      return { ...named, where, outcome: "does not fit", failure };
    }
    return { ...named, where, outcome: outcome.kind };
  } catch (thrown) {
    const failure = toNffiError(thrown);
    if (failure.code !== "patch-failed") throw thrown;
    return { ...named, outcome: "does not fit", failure };
  }
}

async function placeOf(
  patch: SeriesPatch,
  filePatch: FilePatch,
  tree: Tree,
  writes: ReadonlyMap<string, string | undefined>,
): Promise<PatchPlace> {
  if (patch.component !== undefined) {
    const component = requireComponent(tree.components, patch.component);
    return { component, file: filePatch.file };
  }
  // The files beside bundle/, such as OpenResty's own configure, can be patched as well.
  const whole: Component = { name: "OpenResty", version: "", dir: tree.dir };
  return findPlace(patch, filePatch, [...tree.components, whole], writes);
}

async function textOf(
  path: string,
  writes: ReadonlyMap<string, string | undefined>,
): Promise<string | undefined> {
  if (writes.has(path)) return writes.get(path);
  return (await kindOf(path)) === "file" ? readFile(path, "utf8") : undefined;
}

/** undefined when there is no file to patch. */
function outcomeFor(text: string | undefined, filePatch: FilePatch): PatchOutcome | undefined {
  if (text !== undefined) {
    const outcome = tryPatch(text, filePatch);
    const isThere = filePatch.change === "create" && outcome.kind === "fits";
    return isThere ? { kind: "does not fit", hunk: "(the file is there already)" } : outcome;
  }
  if (filePatch.change === "delete") return { kind: "already applied" };
  return filePatch.change === "create" ? tryPatch("", filePatch) : undefined;
}

function misfit(
  patch: SeriesPatch,
  { component, file }: PatchPlace,
  outcome: PatchOutcome | undefined,
  changedSince: boolean,
  tree: Tree,
): NffiError {
  const where = `${component.name} ${component.version}`.trim();
  const hint = "nothing was patched";
  if (changedSince) {
    return new NffiError(
      "patch-failed",
      `${patch.name} was applied to ${where}, but ${file} was changed afterwards`,
      { hint },
    );
  }
  const reason = outcome ? file : `no ${file}`;
  const hunk =
    outcome?.kind === "does not fit" ? `the hunk that finds no place:\n${outcome.hunk}` : "";
  return new NffiError("patch-failed", `${patch.name} does not fit ${where}: ${reason}`, {
    hint: [hunk, nearest(tree), `${hint}; \`nffi list\` shows the releases that fit`]
      .filter((text) => text !== "")
      .join("\n"),
  });
}

/** A way out: the release that nffi knows with the most similar nginx. */
function nearest(tree: Tree): string {
  const nginx = tree.components.find(({ name }) => name === "nginx");
  const release = nginx && nearestRelease(nginx.version);
  if (!nginx || !release) return "";
  return (
    `this tree has nginx ${nginx.version}; ` +
    `the nearest supported release is ${release.version} (${release.support.level})`
  );
}
