/** Chooses how a build is shown. */
import type { Reporter } from "../build/reporter.js";
import { PlainReporter } from "./plain-reporter.js";
import { TerminalReporter } from "./terminal-reporter.js";

export function reporterFor(
  output: { readonly isTerminal: boolean; print(line: string): void },
  options: { readonly verbose: boolean },
): Reporter {
  if (output.isTerminal && !options.verbose) return new TerminalReporter(output.print);
  return new PlainReporter(output.print, options.verbose);
}
