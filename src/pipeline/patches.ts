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
  /** The whole path as the diff has it. */
  readonly path: string;
  readonly change: "edit" | "create" | "delete";
  readonly diff: StructuredPatch;
}

export type PatchOutcome =
  | { readonly kind: "fits"; readonly text: string }
  | { readonly kind: "already applied" }
  | { readonly kind: "does not fit"; readonly hunk: string };

export function readPatch(name: string, text: string): FilePatch[] {
  const unsupported = UNSUPPORTED.exec(text)?.[0];
  if (unsupported) {
    throw new NffiError("patch-failed", `${name} holds "${unsupported}", not only lines of text`, {
      hint: "create the diff with `git diff --no-renames --text`",
    });
  }
  let diffs: StructuredPatch[];
  try {
    diffs = parsePatch(text).filter((diff) => diff.hunks.length > 0);
  } catch (thrown) {
    throw new NffiError("patch-failed", `${name} is not a unified diff: ${messageOf(thrown)}`, {
      hint: "create the diff with `git diff --no-renames --text` or `diff -u`",
    });
  }
  return diffs.map((diff) => {
    const path = pathOf(diff);
    return { file: fileOf(name, path), path, change: changeOf(diff), diff };
  });
}

/** Diff entries other than lines, which would be lost silently. */
const UNSUPPORTED = /^(rename from|copy from|GIT binary patch|Binary files) ?.*/m;

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

const NOWHERE = "/dev/null";

function changeOf(diff: StructuredPatch): FilePatch["change"] {
  if (diff.newFileName?.trim() === NOWHERE) return "delete";
  return diff.oldFileName?.trim() === NOWHERE ? "create" : "edit";
}

function pathOf(diff: StructuredPatch): string {
  const name = changeOf(diff) === "delete" ? diff.oldFileName : diff.newFileName;
  return (name ?? "").trim();
}

function fileOf(name: string, path: string): string {
  const file = /^[^/]+\/(.+)$/.exec(path)?.[1];
  if (file && !path.split("/").includes("..")) return file;
  throw new NffiError("patch-failed", `${name}: "${path}" is not a path like b/FILE`, {
    hint: "create the diff with `git diff --no-renames --text`, or edit its paths",
  });
}
