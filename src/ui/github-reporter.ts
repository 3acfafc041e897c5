/**
 * In GitHub Actions: a fold of output for each step, the error as an annotation, and a summary of
 * the job.
 */
import { appendFile } from "node:fs/promises";
import type { NffiError } from "../errors.js";
import { type Reporter, STEPS, type StepName } from "../pipeline/reporter.js";
import { duration } from "./duration.js";

export class GithubReporter implements Reporter {
  readonly #rows: string[] = [];
  #failure: NffiError | undefined;
  #inGroup = false;
  #rest = "";

  constructor(
    private readonly print: (line: string) => void,
    private readonly summaryFile: string | undefined,
  ) {}

  stepStarted(step: StepName): void {
    this.print(`::group::${data(STEPS[step])}`);
    this.#inGroup = true;
  }

  stepNote(): void {}

  stepOutput(_step: StepName, text: string): void {
    const lines = (this.#rest + text).split("\n");
    this.#rest = lines.pop() ?? "";
    for (const line of lines) this.print(plain(line));
  }

  stepFinished(step: StepName, outcome: { note: string | undefined; durationMs: number }): void {
    this.#endGroup();
    const note = outcome.note ? `: ${outcome.note}` : "";
    this.print(plain(`${STEPS[step]}${note} (${duration(outcome.durationMs)})`));
    this.#rows.push(row(STEPS[step], outcome.note ?? "", duration(outcome.durationMs)));
  }

  stepFailed(step: StepName, error: NffiError): void {
    this.#endGroup();
    this.#failure = error;
    const { diagnosis } = error;
    const message = [error.message, diagnosis?.error, diagnosis?.cure].filter(Boolean).join("\n");
    this.print(`::error title=${property(`nffi: ${STEPS[step]}`)}::${data(message)}`);
    this.#rows.push(row(STEPS[step], `**failed**: ${error.message}`, ""));
  }

  warning(message: string, details: readonly string[] = []): void {
    this.print(`::warning title=nffi::${data(message)}`);
    for (const line of details) this.print(plain(line));
  }

  async close(): Promise<void> {
    this.#endGroup();
    if (this.summaryFile === undefined || this.#rows.length === 0) return;
    const outcome = this.#failure ? "failed" : "succeeded";
    const table = ["| step | outcome | time |", "|---|---|---|", ...this.#rows];
    const text = [`### nffi build ${outcome}`, "", ...table, "", ...this.#details()].join("\n");
    // That there is no summary is no reason for a build to fail.
    await appendFile(this.summaryFile, `${text}\n`).catch(() => {});
  }

  #details(): string[] {
    const diagnosis = this.#failure?.diagnosis;
    if (!diagnosis) return [];
    const cure = diagnosis.cure ? [`Likely cure: ${diagnosis.cure}`, ""] : [];
    return [...cure, "```text", ...diagnosis.excerpt, "```", ""];
  }

  #endGroup(): void {
    if (this.#rest !== "") this.print(plain(this.#rest));
    this.#rest = "";
    if (this.#inGroup) this.print("::endgroup::");
    this.#inGroup = false;
  }
}

/** A program's output must not be taken for a command of the workflow. */
function plain(line: string): string {
  return line.replace(/^(\s*)::/, "$1: :");
}

function data(text: string): string {
  return text.replaceAll("%", "%25").replaceAll("\r", "%0D").replaceAll("\n", "%0A");
}

function property(text: string): string {
  return data(text).replaceAll(":", "%3A").replaceAll(",", "%2C");
}

function row(...cells: string[]): string {
  const escaped = cells.map((cell) => cell.replaceAll("|", "\\|").replaceAll("\n", " "));
  return `| ${escaped.join(" | ")} |`;
}
