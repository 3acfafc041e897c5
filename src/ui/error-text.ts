/** How an error is shown: what failed, on which input, what to do, and where to read more. */

import type { Diagnosis, NffiError } from "../errors.js";
import { withOwnCommand } from "../host/own-command.js";
import { endOfLog } from "../pipeline/step.js";
import { red } from "./colour.js";

const LINES_OF_LOG = 25;

/** `command` stands for "nffi" where a hint names a command. */
export async function errorText(
  error: NffiError,
  { coloured = false, command = "nffi" } = {},
): Promise<string> {
  const own = (text: string) => withOwnCommand(text, command);
  const lines = [`${red(coloured)("nffi:")} ${own(error.message)}`];
  for (const [index, line] of (
    (error.hint ? own(error.hint) : undefined)?.split("\n") ?? []
  ).entries()) {
    lines.push(index === 0 ? `  hint: ${line}` : `        ${line}`);
  }
  if (error.step) lines.push(`  step: ${error.step}`);
  if (error.logPath) lines.push(`  log:  ${error.logPath}`);
  if (error.diagnosis) lines.push(...linesOf(error.diagnosis).map(own));
  else if (error.logPath && error.code === "compile-failed") {
    lines.push("  its end:");
    const end = await endOfLog(error.logPath, LINES_OF_LOG);
    for (const line of end) if (line !== error.message) lines.push(`  | ${line}`);
  }
  if (error.code === "internal") {
    lines.push("  this is a fault of nffi; please report it with the text above");
  }
  return `${lines.join("\n")}\n`;
}

function linesOf({ line, excerpt, cure }: Diagnosis): string[] {
  const lines = [`  its first error, in line ${line}:`, ...excerpt.map((text) => `  | ${text}`)];
  return cure === undefined ? lines : [...lines, `  likely cure: ${cure}`];
}
