/**
 * How this process, or this thread of its pool, exits: because the queue was closed, or because of
 * the module (an uncaught error, process.exit). In the second case the reason goes to error.log.
 * The worker then fails the running calls and restarts the process; for a thread, the main thread
 * does so.
 */

import { logNow } from "./console.js";
import { failureOf, withoutOurFrames } from "./failure.js";

/** The exit code after an uncaught error (EX_SOFTWARE). */
const EXIT_UNCAUGHT = 70;
const EXIT_LOAD_FAILED = 1;

export interface Lifeline {
  /** What ends: "process", "thread 2". */
  readonly where: string;
  /** Reports why it cannot serve: to the worker, or to the main thread, which then also logs it. */
  failed(message: string, detail: string): void;
  /** The module has ended it, for this reason in one line. */
  dying?(reason: string): void;
  /** Sends the responses that are not sent yet. */
  flush(): void;
  running(): number;
}

export class Ending {
  readonly #lifeline: Lifeline;
  #loading = true;
  #expected = false;

  /** Named in messages to the worker, once it is known. */
  module = "the runtime";

  constructor(lifeline: Lifeline) {
    this.#lifeline = lifeline;
  }

  install(): void {
    process.on("uncaughtException", (error, origin) => this.#onUncaught(error, origin));
    process.on("beforeExit", () => this.#onNothingLeft());
    process.on("exit", (code) => this.#onExit(code));
    // Meant for nginx, which lets this process end when it has drained.
    for (const signal of ["SIGINT", "SIGTERM", "SIGQUIT"] as const) process.on(signal, () => {});
  }

  loaded(): void {
    this.#loading = false;
  }

  /** The module could not be loaded. */
  loadFailed(thrown: unknown): never {
    const { message, detail } = failureOf(thrown);
    this.#lifeline.failed(this.#about(inOneLine(message)), detail);
    const [first, stack] = firstAndRest(detail || message);
    if (this.#lifeline.where === "process") logNow("error", first, stack);
    return this.#exit(EXIT_LOAD_FAILED);
  }

  /** The queue is closed and every call was answered. */
  finished(): never {
    this.#lifeline.flush();
    return this.#exit(0);
  }

  #exit(code: number): never {
    this.#expected = true;
    process.exit(code);
  }

  #onUncaught(thrown: unknown, origin: string): void {
    // A module that listens itself has taken over.
    if (process.listenerCount("uncaughtException") > 1) return;
    const { message, detail } = failureOf(thrown);
    const what = origin === "unhandledRejection" ? "unhandled promise rejection" : "uncaught";
    const reason = `${what}: ${inOneLine(message)}`;
    if (this.#loading) this.#lifeline.failed(`${this.module}: ${reason}`, detail);
    else this.#lifeline.dying?.(reason);
    this.#lifeline.flush();
    const [first, stack] = firstAndRest(detail || message);
    logNow("error", `${this.#who()}${what}: ${first}${this.#lost()}`, stack);
    this.#exit(this.#loading ? EXIT_LOAD_FAILED : EXIT_UNCAUGHT);
  }

  /** Node has nothing left to do: while serving, the queue is always something to do. */
  #onNothingLeft(): void {
    if (this.#loading) {
      this.loadFailed(new Error("its top-level await waits for something that can never happen"));
    }
    if (this.#lifeline.running() > 0) {
      logNow("warn", `${this.#who()}closed${this.#lost()}, since nothing is left to answer them`);
    }
    this.#exit(0);
  }

  #onExit(code: number): void {
    if (this.#expected) return;
    this.#lifeline.flush();
    const what = `ended its ${this.#lifeline.where} with exit code ${code}`;
    if (this.#loading) this.#lifeline.failed(`${this.module}: ${what} while it was loaded`, "");
    else this.#lifeline.dying?.(`process.exit(${code}) was called`);
    // Called inside process.exit(), so the stack shows its caller.
    const [, ...stack] = withoutOurFrames(new Error().stack ?? "").split("\n");
    const callers = stack.filter((line) => !line.includes("(node:") && !line.includes("at node:"));
    logNow("error", what + this.#lost(), callers.join("\n"));
  }

  /** In front of a line of the log, which names the module itself. */
  #who(): string {
    const { where } = this.#lifeline;
    return where === "process" ? "" : `${where}: `;
  }

  #about(text: string): string {
    return text.includes(this.module) ? text : `${this.module}: ${text}`;
  }

  #lost(): string {
    const running = this.#lifeline.running();
    return running === 0 ? "" : `; calls that fail with it: ${running}`;
  }
}

/** The worker logs and passes on the reason as one line. */
export function inOneLine(message: string): string {
  const lines = message.split("\n").map((line) => line.trim());
  return lines.filter((line) => line !== "").join(" | ");
}

function firstAndRest(text: string): [first: string, rest: string] {
  const [first = "", ...rest] = text.split("\n");
  return [first, rest.join("\n")];
}
