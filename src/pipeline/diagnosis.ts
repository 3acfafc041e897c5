/** Finds in the log of a failed step the error that came first, and its likely cure. */
import { readFile } from "node:fs/promises";
import { type Cure, cureOf } from "../catalog/cures.js";
import type { Diagnosis } from "../errors.js";
import { installHint } from "../host/distribution.js";

const BEFORE = 4;
const AFTER = 8;
/** A log of a whole `make` has less than a megabyte; one of several is not worth its time. */
const MAX_LOG = 50e6;

export async function diagnose(logPath: string): Promise<Diagnosis | undefined> {
  const text = await readFile(logPath, "utf8").catch(() => "");
  return text.length > MAX_LOG ? undefined : diagnosisOf(text);
}

export function diagnosisOf(log: string): Diagnosis | undefined {
  const lines = log.trimEnd().split("\n");
  const index = indexOfError(lines);
  if (index === undefined) return undefined;
  const from = Math.max(0, index - BEFORE);
  return {
    line: index + 1,
    error: (lines[index] ?? "").trim(),
    firstLine: from + 1,
    excerpt: lines.slice(from, index + AFTER + 1),
    cure: cureAround(lines, index),
  };
}

/** The most specific kind first: a compiler error explains the later error of make. */
const ERRORS: readonly RegExp[] = [
  /no space left on device|Cannot allocate memory|virtual memory exhausted|Illegal instruction/i,
  /: (fatal )?error: |^(fatal )?error: |internal compiler error|\(cannot be started: /i,
  /undefined reference to|cannot find -l|collect2: error|ld returned \d/,
  /^\S*configure: error: |^ERROR: |: not found$|: Permission denied$|\bKilled$/,
  /^make(\[\d+\])?: \*\*\*/,
];

/** Probes of configure that fail are its answers, not its errors; it says so itself at its end. */
function indexOfError(lines: readonly string[]): number | undefined {
  for (const pattern of ERRORS) {
    const index = lines.findIndex((line) => pattern.test(line));
    if (index >= 0) return index;
  }
  return undefined;
}

/** The hint belongs to this line, or to a line that follows from it. */
function cureAround(lines: readonly string[], index: number): string | undefined {
  for (const line of lines.slice(index)) {
    const cure = cureOf(line);
    if (cure) return textOf(cure);
  }
  return undefined;
}

function textOf(cure: Cure): string {
  return cure.kind === "hint" ? cure.text : installHint([cure.debian]);
}
