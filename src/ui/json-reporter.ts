/**
 * A build as events for programs: one JSON object a line on stdout. docs/json.md documents them; a
 * change that could break a reader raises `format`.
 */
import { join } from "node:path";
import type { NffiError } from "../errors.js";
import { manifestFile } from "../pipeline/manifest.js";
import { type Reporter, STEPS, type StepName } from "../pipeline/reporter.js";
import type { BuildOutcome } from "../pipeline/unchanged.js";

const FORMAT = 1;

export class JsonReporter implements Reporter {
  constructor(
    private readonly print: (line: string) => void,
    private readonly verbose: boolean,
  ) {}

  stepStarted(step: StepName): void {
    this.#emit("step-started", { step, title: STEPS[step] });
  }

  stepNote(step: StepName, note: string): void {
    this.#emit("step-note", { step, note });
  }

  stepOutput(step: StepName, text: string): void {
    if (this.verbose) this.#emit("step-output", { step, text });
  }

  stepFinished(step: StepName, outcome: { note: string | undefined; durationMs: number }): void {
    const durationMs = Math.round(outcome.durationMs);
    this.#emit("step-finished", { step, note: outcome.note, durationMs });
  }

  stepFailed(step: StepName, error: NffiError): void {
    this.#emit("step-failed", { step, code: error.code });
  }

  warning(message: string, details: readonly string[] = []): void {
    this.#emit("warning", { message, ...(details.length > 0 && { details }) });
  }

  async close(): Promise<void> {}

  /** The last event of a build that succeeded. */
  built({ prefix, manifest, unchanged }: BuildOutcome, workDir: string): void {
    this.#emit("built", {
      prefix,
      unchanged,
      source: manifest.source.name,
      nginx: manifest.nginx,
      manifest: manifestFile(prefix),
      logs: unchanged ? undefined : join(workDir, "logs"),
    });
  }

  /** The last event of a build that failed. */
  failed(error: NffiError): void {
    const { code, exitCode, message, hint, step, logPath: log, diagnosis } = error;
    this.#emit("failed", { code, exitCode, message, hint, step, log, diagnosis });
  }

  #emit(event: string, fields: Readonly<Record<string, unknown>>): void {
    const time = new Date().toISOString();
    this.print(JSON.stringify({ format: FORMAT, event, time, ...fields }));
  }
}
