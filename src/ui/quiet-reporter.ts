/** Prints warnings only; the error itself reports a failure. */
import type { Reporter } from "../pipeline/reporter.js";

export class QuietReporter implements Reporter {
  constructor(private readonly print: (line: string) => void) {}

  stepStarted(): void {}
  stepNote(): void {}
  stepOutput(): void {}
  stepFinished(): void {}
  stepFailed(): void {}

  warning(message: string): void {
    this.print(`warning: ${message}`);
  }

  async close(): Promise<void> {}
}
