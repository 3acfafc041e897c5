/** One plain line a step: for pipes, files and CI; with `verbose` also what the programs print. */

import type { NffiError } from "../errors.js";
import { type Reporter, STEPS, type StepName } from "../pipeline/reporter.js";
import { duration } from "./duration.js";

export class PlainReporter implements Reporter {
  #rest = "";

  constructor(
    private readonly print: (line: string) => void,
    private readonly verbose: boolean,
  ) {}

  stepStarted(step: StepName): void {
    if (this.verbose) this.print(`${position(step)} ${STEPS[step]} ...`);
  }

  stepNote(): void {}

  stepOutput(_step: StepName, text: string): void {
    if (!this.verbose) return;
    const lines = (this.#rest + text).split("\n");
    this.#rest = lines.pop() ?? "";
    for (const line of lines) this.print(`    ${line}`);
  }

  stepFinished(step: StepName, outcome: { note: string | undefined; durationMs: number }): void {
    const note = outcome.note ? `: ${outcome.note}` : "";
    this.print(`${position(step)} ${STEPS[step]}${note} (${duration(outcome.durationMs)})`);
  }

  stepFailed(step: StepName, _error: NffiError): void {
    this.print(`${position(step)} ${STEPS[step]}: FAILED`);
  }

  warning(message: string, details: readonly string[] = []): void {
    this.print(`warning: ${message}`);
    if (this.verbose) for (const line of details) this.print(`    ${line}`);
  }

  async close(): Promise<void> {}
}

function position(step: StepName): string {
  const names = Object.keys(STEPS);
  return `[${String(names.indexOf(step) + 1).padStart(2)}/${names.length}]`;
}
