/**
 * Hands each request to its function and the result to the answers. Whatever a function does, its
 * own call gets the failure and no other: a throw, a rejection, a result that cannot be sent.
 */

import { AsyncResource } from "node:async_hooks";
import type { Answers } from "./answers.js";
import type { Batch } from "./batch.js";
import { type Codec, raw } from "./codec.js";
import { CallContext, type Cancellations } from "./context.js";
import { failureOf } from "./failure.js";
import type { Logs } from "./log.js";
import type { Methods } from "./methods.js";
import { type Streams, sourceOf } from "./streams.js";

export interface Served {
  readonly methods: Methods;
  /** Of requests that name a method; those without one are raw. */
  readonly codec: Codec;
  readonly config: unknown;
}

/** Nobody gets it, but every task wants an answer. */
const NEVER_STARTED = { message: "cancelled before it was started", detail: "" };

/** What one process has once. */
export interface Parts {
  readonly batch: Batch;
  readonly answers: Answers;
  readonly cancellations: Cancellations;
  readonly streams: Streams;
  readonly logs: Logs;
}

export class Dispatcher {
  readonly #batch: Batch;
  readonly #answers: Answers;
  readonly #cancellations: Cancellations;
  readonly #streams: Streams;
  readonly #logs: Logs;
  readonly #served: Served;
  #running = 0;

  /** Called each time that no call is running any more. */
  onIdle: (() => void) | undefined;

  constructor(parts: Parts, served: Served) {
    this.#batch = parts.batch;
    this.#answers = parts.answers;
    this.#cancellations = parts.cancellations;
    this.#streams = parts.streams;
    this.#logs = parts.logs;
    this.#served = served;
  }

  get running(): number {
    return this.#running;
  }

  /**
   * Starts the calls of one batch. Where those before have taken their time, one that nobody waits
   * for any more is not started: it was only waiting, in the batch instead of in the queue.
   */
  start(count: number): void {
    const began = count > 1 ? Date.now() : 0;
    for (let index = 0; index < count; index++) {
      if (index > 0 && Date.now() !== began && this.#skip(index)) continue;
      this.#startCall(index);
    }
  }

  #skip(index: number): boolean {
    const low = this.#batch.low(index);
    const high = this.#batch.high(index);
    if (!this.#cancellations.isCancelled(low, high)) return false;
    this.#answers.fail(low, high, NEVER_STARTED);
    return true;
  }

  #startCall(index: number): void {
    const batch = this.#batch;
    const { methods, config } = this.#served;
    const low = batch.low(index);
    const high = batch.high(index);
    const deadline = batch.deadline(index);
    const context = new CallContext(low, high, deadline, config, this.#cancellations, this.#logs);
    const scope = new AsyncResource("nffi", { requireManualDestroy: true });
    let codec = this.#served.codec;
    this.#running++;

    const succeed = (encoded: string | Uint8Array) => {
      this.#answers.succeed(low, high, encoded);
      this.#ended(context);
    };
    const finish = (result: unknown) => {
      let encoded: string | Uint8Array;
      try {
        const source = sourceOf(result);
        if (source !== undefined) {
          const { signal } = context;
          this.#streams.serve(low, high, { source, codec, signal, scope }).then((collected) => {
            if (collected === undefined) this.#ended(context);
            else succeed(collected);
          }, fail);
          return;
        }
        encoded = codec.encode(result);
      } catch (error) {
        fail(error);
        return;
      }
      succeed(encoded);
    };
    const fail = (thrown: unknown) => {
      this.#answers.fail(low, high, failureOf(thrown));
      this.#ended(context);
    };

    let result: unknown;
    try {
      const name = batch.method(index);
      if (name === "") codec = raw;
      const handler = methods.find(name);
      // Without this, AsyncLocalStorage.enterWith() in one handler would reach the whole batch.
      result = scope.runInAsyncScope(handler, undefined, codec.decode(batch, index), context);
      if (isThenable(result)) {
        Promise.resolve(result).then(finish, fail);
        return;
      }
    } catch (error) {
      fail(error);
      return;
    }
    finish(result);
  }

  #ended(context: CallContext): void {
    context.answered();
    this.#running--;
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
