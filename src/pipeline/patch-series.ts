/** The patches of a build: the series that nffi contains, then the user's patches (--patch). */
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { messageOf, NffiError } from "../errors.js";
import { type FilePatch, readPatch } from "./patches.js";

export interface SeriesPatch {
  readonly name: string;
  /** undefined for a user's patch: its paths determine the component. */
  readonly component: string | undefined;
  /** The first version of the component that no longer needs the patch; undefined for none. */
  readonly below?: string | undefined;
  readonly sha256: string;
  /** The diff. */
  readonly text: string;
  readonly files: readonly FilePatch[];
}

export interface Series {
  readonly patches: readonly SeriesPatch[];
  /** Changes with any patch: a tree is known again by it. */
  readonly key: string;
}

/**
 * Reads patches/series, `COMPONENT FILE [BELOW]` a line and `#` for comments, and the user's files.
 */
export async function readSeries(
  patchesDir: string,
  userPatches: readonly string[] = [],
): Promise<Series> {
  const text = await readFile(join(patchesDir, "series"), "utf8");
  const patches: SeriesPatch[] = [];
  for (const line of text.split("\n")) {
    const [component, name, below] = line.replace(/#.*/, "").trim().split(/\s+/);
    if (!component || !name) continue;
    const diff = await readFile(join(patchesDir, name), "utf8");
    patches.push({
      name,
      component,
      below,
      sha256: sha256(diff),
      text: diff,
      files: readPatch(name, diff),
    });
  }
  for (const file of userPatches) patches.push(await readUserPatch(file, patches));
  const key = sha256(patches.map(keyOf).join("\n"));
  return { patches, key };
}

async function readUserPatch(file: string, others: readonly SeriesPatch[]): Promise<SeriesPatch> {
  const name = basename(file);
  if (others.some((other) => other.name === name)) {
    throw new NffiError("usage", `--patch ${file}: two patches have the name ${name}`, {
      hint: "rename one of them",
    });
  }
  const diff = await readFile(file, "utf8").catch((thrown) => {
    throw new NffiError("usage", `cannot read --patch ${file}: ${messageOf(thrown)}`);
  });
  const files = readPatch(name, diff);
  if (files.length === 0) {
    throw new NffiError("patch-failed", `${file} contains no unified diff`, {
      hint: "make one with `diff -u` or `git diff`",
    });
  }
  return { name, component: undefined, sha256: sha256(diff), text: diff, files };
}

function keyOf({ component = "", below = "", sha256 }: SeriesPatch): string {
  return `${component} ${sha256} ${below}`;
}

/** The CVEs that a patch says it fixes. */
export function cvesOf({ text }: Pick<SeriesPatch, "text">): string[] {
  const header = text.split(/^--- /m, 1)[0] ?? "";
  return [...new Set(header.match(/\bCVE-\d{4}-\d{4,}\b/g) ?? [])];
}

function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
