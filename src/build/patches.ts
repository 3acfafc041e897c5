/**
 * Unified diffs, applied with zero fuzz: every line of context must be there, though it may have
 * moved. The one door to the library `diff`.
 */
import { applyPatch, formatPatch, parsePatch, reversePatch, type StructuredPatch } from "diff";
import { messageOf, NffiError } from "../errors.js";

/** One file's part of a diff. */
export interface FilePatch {
  /** Relative to the component, without the a/ and b/ of the diff. */
  readonly file: string;
  readonly diff: StructuredPatch;
}

export type PatchOutcome =
  | { readonly kind: "fits"; readonly text: string }
  | { readonly kind: "already applied" }
  | { readonly kind: "does not fit"; readonly hunk: string };

export function readPatch(name: string, text: string): FilePatch[] {
  let diffs: StructuredPatch[];
  try {
    diffs = parsePatch(text).filter((diff) => diff.hunks.length > 0);
  } catch (thrown) {
    throw new NffiError("patch-failed", `${name} is not a unified diff: ${messageOf(thrown)}`);
  }
  return diffs.map((diff) => ({ file: fileOf(name, diff), diff }));
}

/**
 * Whether and how a patch fits a text. That it is already applied is asked first: a patch that only
 * adds lines may fit a second time, and what comes out then does not compile.
 */
export function tryPatch(text: string, patch: FilePatch): PatchOutcome {
  if (apply(text, reversePatch(patch.diff)) !== undefined) return { kind: "already applied" };
  const patched = apply(text, patch.diff);
  if (patched !== undefined) return { kind: "fits", text: patched };
  return { kind: "does not fit", hunk: firstMisfit(text, patch.diff) };
}

function apply(text: string, diff: StructuredPatch): string | undefined {
  const patched = applyPatch(text, diff, { fuzzFactor: 0, autoConvertLineEndings: false });
  return patched === false ? undefined : patched;
}

/** The first hunk that keeps the patch from fitting, as it stands in the diff. */
function firstMisfit(text: string, diff: StructuredPatch): string {
  const last = diff.hunks.length;
  let count = 1;
  while (count < last && apply(text, { ...diff, hunks: diff.hunks.slice(0, count) })) count += 1;
  const only = { ...diff, hunks: diff.hunks.slice(count - 1, count) };
  const lines = formatPatch(only).split("\n");
  return lines
    .slice(lines.findIndex((line) => line.startsWith("@@")))
    .join("\n")
    .trimEnd();
}

function fileOf(name: string, diff: StructuredPatch): string {
  const file = /^[^/]+\/(.+)$/.exec((diff.newFileName ?? "").trim())?.[1];
  if (file && !file.split("/").includes("..")) return file;
  throw new NffiError("patch-failed", `${name}: "${diff.newFileName}" is not a path like b/FILE`);
}
