/**
 * Hands each request to its function and its result to the responses. Whatever a function does, its
 * own call gets the failure and no other: a throw, a rejection, a result that cannot be sent.
 */

import { AsyncResource } from "node:async_hooks";
import type { Addon, Memory } from "./addon.js";
import { Batch } from "./batch.js";
import { type Codec, raw } from "./codec.js";
import { type Call, CallContext, Cancellations } from "./context.js";
import { failureOf } from "./failure.js";
import { Logs } from "./log.js";
import type { Methods } from "./methods.js";
import type { Responses } from "./responses.js";
import { type Source, Streams, sourceOf } from "./streams.js";
import type { Task } from "./task.js";

/** The functions of the addon in use. */
type DispatcherAddon = Pick<
  Addon,
  "large" | "largeText" | "isCancelled" | "isStream" | "mayWrite" | "write" | "end" | "log"
>;

export interface Served {
  readonly methods: Methods;
  /** Of requests that name a method; those without one are raw. */
  readonly codec: Codec;
  readonly config: unknown;
}

/** It reaches no caller, but every task needs a response. */
export const NEVER_STARTED = { message: "cancelled before it was started", detail: "" };

/** One object for all calls: it is passed for each. */
const NOT_DESTROYED = { requireManualDestroy: true };

/** A call whose handler runs, or has returned a promise or a stream. */
interface Run {
  readonly call: Call;
  readonly context: CallContext;
  readonly codec: Codec;
  readonly scope: AsyncResource;
}

/** Serves the calls that the addon takes: this thread, or a pool of worker threads. */
export interface Server {
  /** Calls that are not answered yet. */
  readonly running: number;
  /** Called each time that the last running call ends. */
  onIdle: (() => void) | undefined;
  /** The number of requests in the memory. */
  start(count: number): void;
  /** The call was cancelled. */
  cancelled(task: Task): void;
  /** A stream has credit again. */
  writable(task: Task): void;
}

export class Dispatcher implements Server {
  readonly #batch: Batch;
  readonly #responses: Responses;
  readonly #cancellations: Cancellations;
  readonly #streams: Streams;
  readonly #logs: Logs;
  readonly #served: Served;
  #running = 0;

  onIdle: (() => void) | undefined;
  /** Called for each call after its response, which may still be in the memory. */
  onEnded: ((task: Task) => void) | undefined;

  constructor(addon: DispatcherAddon, memory: Memory, responses: Responses, served: Served) {
    this.#batch = new Batch(memory, addon);
    this.#responses = responses;
    this.#cancellations = new Cancellations(addon);
    this.#streams = new Streams(addon);
    this.#logs = new Logs(addon);
    this.#served = served;
  }

  get running(): number {
    return this.#running;
  }

  /**
   * Starts the calls of one batch. If earlier calls have taken their time, a call that is cancelled
   * by then is not started: it was only waiting, in the batch instead of in the queue.
   */
  start(count: number): void {
    const began = count > 1 ? Date.now() : 0;
    for (let index = 0; index < count; index++) {
      if (index > 0 && Date.now() !== began && this.#skip(index)) continue;
      this.#startCall(index);
    }
  }

  cancelled(task: Task): void {
    this.#cancellations.cancel(task);
  }

  writable(task: Task): void {
    this.#streams.writable(task);
  }

  #skip(index: number): boolean {
    const task = this.#batch.task(index);
    if (!this.#cancellations.isCancelled(task)) return false;
    this.#responses.fail(task, NEVER_STARTED);
    this.onEnded?.(task);
    return true;
  }

  #startCall(index: number): void {
    const { methods, codec, config } = this.#served;
    const call = this.#batch.call(index);
    const run: Run = {
      call,
      context: new CallContext(call, config, this.#cancellations, this.#logs),
      codec: call.method === "" ? raw : codec,
      scope: new AsyncResource("nffi", NOT_DESTROYED),
    };
    this.#running++;
    let result: unknown;
    try {
      const handler = methods.find(call.method);
      const request = run.codec.decode(this.#batch, index);
      // Without this, AsyncLocalStorage.enterWith() in one handler would reach the whole batch.
      result = run.scope.runInAsyncScope(handler, undefined, request, run.context);
      if (isThenable(result)) {
        this.#await(run, result);
        return;
      }
    } catch (error) {
      this.#fail(run, error);
      return;
    }
    this.#finish(run, result);
  }

  /** Apart from the rest: most handlers return a value, and need no closures. */
  #await(run: Run, result: PromiseLike<unknown>): void {
    Promise.resolve(result).then(
      (value) => this.#finish(run, value),
      (error) => this.#fail(run, error),
    );
  }

  #finish(run: Run, result: unknown): void {
    try {
      const source = sourceOf(result);
      if (source !== undefined) {
        this.#stream(run, source);
        return;
      }
      this.#responses.succeed(run.call, run.codec.encode(result));
    } catch (error) {
      this.#fail(run, error);
      return;
    }
    this.#ended(run.context, run.call);
  }

  #stream(run: Run, source: Source): void {
    const { call, context, codec, scope } = run;
    this.#streams.serve(call, { source, codec, signal: context.signal, scope }).then(
      () => this.#ended(context, call),
      (error) => this.#fail(run, error),
    );
  }

  #fail({ call, context }: Run, thrown: unknown): void {
    this.#responses.fail(call, failureOf(thrown));
    this.#ended(context, call);
  }

  #ended(context: CallContext, task: Task): void {
    context.answered();
    this.#running--;
    this.onEnded?.(task);
    if (this.#running === 0) this.onIdle?.();
  }
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return (
    typeof value === "object" &&
    value !== null &&
    "then" in value &&
    typeof value.then === "function"
  );
}
