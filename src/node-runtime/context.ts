/**
 * The context of a call, for its handler. The AbortSignal is created when it is first read: most
 * handlers never read it, and it costs more than the rest of a call.
 */

import type { Addon } from "./addon.js";
import { failureOf } from "./failure.js";
import type { Context, Log } from "./handler.js";
import type { Logs } from "./log.js";
import { keyOf, type Task } from "./task.js";

/** The calls with a listener for cancellation. */
export class Cancellations {
  readonly #addon: Pick<Addon, "isCancelled">;
  readonly #watched = new Map<string, AbortController>();

  constructor(addon: Pick<Addon, "isCancelled">) {
    this.#addon = addon;
  }

  watch(task: Task): AbortSignal {
    const controller = new AbortController();
    this.#watched.set(keyOf(task), controller);
    // It was cancelled before the first listener registered.
    if (this.isCancelled(task)) this.cancel(task);
    return controller.signal;
  }

  isCancelled({ low, high }: Task): boolean {
    return this.#addon.isCancelled(low, high);
  }

  cancel(task: Task): void {
    const controller = this.#watched.get(keyOf(task));
    if (controller === undefined) return;
    this.forget(task);
    controller.abort(new DOMException("the call was cancelled", "AbortError"));
  }

  forget(task: Task): void {
    this.#watched.delete(keyOf(task));
  }
}

/** The fields of a call that its request carries. */
export interface Call extends Task {
  readonly method: string;
  readonly deadline: number | undefined;
}

export class CallContext implements Context {
  readonly config: unknown;
  readonly method: string;
  readonly deadline: number | undefined;
  readonly #task: Task;
  readonly #cancellations: Cancellations;
  readonly #logs: Logs;
  #signal: AbortSignal | undefined;
  #log: Log | undefined;
  #answered = false;

  constructor(call: Call, config: unknown, cancellations: Cancellations, logs: Logs) {
    this.config = config;
    this.method = call.method;
    this.deadline = call.deadline;
    this.#task = call;
    this.#cancellations = cancellations;
    this.#logs = logs;
  }

  get timeLeft(): number | undefined {
    return this.deadline === undefined ? undefined : Math.max(0, this.deadline - Date.now());
  }

  get cancelled(): boolean {
    return this.#answered || this.#cancellations.isCancelled(this.#task);
  }

  onCancel(action: () => void): () => void {
    const { signal } = this;
    const run = () => {
      try {
        action();
      } catch (thrown) {
        // Thrown in a listener, it would end the process; and so would what cannot be formatted.
        const { message, detail } = failureOf(thrown);
        this.log.error("an action on cancellation failed:", detail || message);
      }
    };
    if (signal.aborted) run();
    else signal.addEventListener("abort", run, { once: true });
    return () => signal.removeEventListener("abort", run);
  }

  get log(): Log {
    this.#log ??= this.#logs.of(this.#task);
    return this.#log;
  }

  get signal(): AbortSignal {
    if (this.#signal === undefined) {
      this.#signal = this.#answered
        ? new AbortController().signal
        : this.#cancellations.watch(this.#task);
    }
    return this.#signal;
  }

  /** Stops reporting cancellations. */
  answered(): void {
    this.#answered = true;
    if (this.#signal !== undefined) this.#cancellations.forget(this.#task);
  }
}
