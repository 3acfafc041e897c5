/** Chooses how a build is shown. */

import type { Environment } from "../host/environment.js";
import type { Reporter } from "../pipeline/reporter.js";
import { GithubReporter } from "./github-reporter.js";
import { PlainReporter } from "./plain-reporter.js";
import { QuietReporter } from "./quiet-reporter.js";
import { TerminalReporter } from "./terminal-reporter.js";

export interface Output {
  readonly env: Environment;
  readonly isTerminal: boolean;
  print(line: string): void;
}

export interface Manner {
  readonly verbose: boolean;
  readonly quiet?: boolean;
}

export function reporterFor(output: Output, { verbose, quiet }: Manner): Reporter {
  const { env } = output;
  if (quiet) return new QuietReporter(output.print);
  if (output.isTerminal && !verbose) return new TerminalReporter(output.print);
  if (env.GITHUB_ACTIONS === "true") {
    return new GithubReporter(output.print, env.GITHUB_STEP_SUMMARY || undefined);
  }
  return new PlainReporter(output.print, verbose);
}
