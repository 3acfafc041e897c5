/** The only door to listr2: shows a build on a terminal. */
import { stripVTControlCharacters } from "node:util";
import type { ListrTaskWrapper } from "listr2";
import type { NffiError } from "../errors.js";
import { type Reporter, STEPS, type StepName } from "../pipeline/reporter.js";
import { duration } from "./duration.js";

type Task = ListrTaskWrapper<unknown, never, never>;

interface Row {
  readonly started: PromiseWithResolversOf<Task>;
  readonly done: PromiseWithResolversOf<void>;
}

export class TerminalReporter implements Reporter {
  readonly #rows = new Map<StepName, Row>();
  readonly #warnings: string[] = [];
  #shown: Promise<unknown> | undefined;

  constructor(private readonly print: (line: string) => void) {}

  stepStarted(step: StepName): void {
    this.#shown ??= this.#show();
    void step;
  }

  stepNote(step: StepName, note: string): void {
    const line = oneLine(note);
    this.#update(step, (task) => {
      task.output = line;
    });
  }

  stepOutput(step: StepName, text: string): void {
    const line = text
      .trimEnd()
      .split(/[\r\n]/)
      .at(-1)
      ?.trim();
    if (line) this.stepNote(step, line);
  }

  stepFinished(step: StepName, outcome: { note: string | undefined; durationMs: number }): void {
    const note = outcome.note ? `: ${oneLine(outcome.note)}` : "";
    this.#update(step, (task) => {
      task.title = `${STEPS[step]}${note} (${duration(outcome.durationMs)})`;
      this.#rows.get(step)?.done.resolve();
    });
  }

  stepFailed(step: StepName, error: NffiError): void {
    this.#update(step, () => this.#rows.get(step)?.done.reject(error));
  }

  /** Printed after the rows: redrawing them would overwrite it. */
  warning(message: string): void {
    this.#warnings.push(message);
  }

  async close(): Promise<void> {
    await this.#shown;
    for (const warning of this.#warnings) this.print(`warning: ${warning}`);
  }

  #update(step: StepName, change: (task: Task) => void): void {
    void this.#rows.get(step)?.started.promise.then(change);
  }

  async #show(): Promise<unknown> {
    const names = Object.keys(STEPS) as StepName[];
    const tasks = names.map((name) => {
      const row: Row = { started: withResolvers(), done: withResolvers() };
      row.done.promise.catch(() => {}); // a step may fail before listr2 is loaded
      this.#rows.set(name, row);
      return {
        title: STEPS[name],
        task: (_context: unknown, task: Task) => {
          row.started.resolve(task);
          return row.done.promise;
        },
      };
    });
    const { Listr } = await import("listr2");
    const list = new Listr(tasks as never, {
      registerSignalListeners: false, // the CLI has its own, which clean up first
      // Rows that wrap, or contain a tab, take more lines of the terminal than listr2 redraws.
      rendererOptions: { collapseErrors: false, showErrorMessage: false, formatOutput: "truncate" },
    });
    return list.run().catch(() => undefined); // the error is thrown by the build itself
  }
}

/** Removes all that moves the cursor: escape sequences, tabs and other control characters. */
function oneLine(text: string): string {
  return stripVTControlCharacters(text)
    .replace(/\p{Cc}+/gu, " ")
    .trim();
}

interface PromiseWithResolversOf<T> {
  readonly promise: Promise<T>;
  readonly resolve: (value: T) => void;
  readonly reject: (reason: unknown) => void;
}

/** Promise.withResolvers() comes with Node 22 only. */
function withResolvers<T>(): PromiseWithResolversOf<T> {
  let resolve!: (value: T) => void;
  let reject!: (reason: unknown) => void;
  const promise = new Promise<T>((res, rej) => {
    resolve = res;
    reject = rej;
  });
  return { promise, resolve, reject };
}
