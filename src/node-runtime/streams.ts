/**
 * Responses in chunks: what a handler yields is written one by one, and the next is not requested
 * before the reader has room for it. For a plain call, libnffi collects the chunks.
 */

import type { AsyncResource } from "node:async_hooks";
import { type Addon, WOULD_BLOCK } from "./addon.js";
import type { Codec } from "./codec.js";
import { keyOf, type Task } from "./task.js";

/** Chunks after which timers and I/O get their turn: a fast reader always has room. */
const CHUNKS_A_TURN = 16;

/** An iterator that makes its values when it is asked: of a generator, a stream, a Readable. */
export type Source = AsyncIterator<unknown> | Iterator<unknown>;

/** A source, how each of its values becomes a chunk, and where its code runs. */
export interface Chunks {
  readonly source: Source;
  readonly codec: Codec;
  readonly signal: AbortSignal;
  readonly scope: AsyncResource;
}

/** The result of a handler as an iterator; undefined: it is a plain value. */
export function sourceOf(result: unknown): Source | undefined {
  if (typeof result !== "object" || result === null) return undefined;
  if (Symbol.asyncIterator in result) {
    return (result as AsyncIterable<unknown>)[Symbol.asyncIterator]();
  }
  // A generator, not an array, a Map or bytes: those are values.
  if (Symbol.iterator in result && "next" in result && typeof result.next === "function") {
    return (result as Iterable<unknown>)[Symbol.iterator]();
  }
  return undefined;
}

export class Streams {
  readonly #addon: Pick<Addon, "isStream" | "mayWrite" | "write" | "end">;
  readonly #blocked = new Map<string, () => void>();
  #stay: NodeJS.Timeout | undefined;

  constructor(addon: Pick<Addon, "isStream" | "mayWrite" | "write" | "end">) {
    this.#addon = addon;
  }

  /** There is credit again, or the stream is cancelled. */
  writable(task: Task): void {
    const key = keyOf(task);
    const goOn = this.#blocked.get(key);
    this.#blocked.delete(key);
    if (this.#blocked.size === 0) {
      clearInterval(this.#stay);
      this.#stay = undefined;
    }
    goOn?.();
  }

  /**
   * Writes the values of the source and ends the response. Rejects with an error of the source, or
   * if a chunk cannot be sent: the call then still needs a response.
   */
  async serve({ low, high }: Task, chunks: Chunks): Promise<void> {
    const { codec } = chunks;
    const framing = codec.framing(this.#addon.isStream(low, high));
    for await (const value of valuesOf(chunks, () => this.#room({ low, high }))) {
      const chunk = framing.chunk(codec.encode(value));
      if (this.#addon.write(low, high, chunk) !== 0) break;
    }
    const last = framing.end();
    if (last !== undefined) this.#addon.write(low, high, last);
    this.#addon.end(low, high);
  }

  /** Waits until a chunk may be written; false: the stream is cancelled. */
  async #room(task: Task): Promise<boolean> {
    for (;;) {
      const code = this.#addon.mayWrite(task.low, task.high);
      if (code === 0) return true;
      if (code !== WOULD_BLOCK) return false;
      await new Promise<void>((resolve) => {
        this.#blocked.set(keyOf(task), resolve);
        // Once the queue is closed, waiting for a reader is all that keeps Node.
        this.#stay ??= setInterval(() => {}, 1_000_000);
      });
    }
  }
}

/**
 * Yields values one by one; the source is ended when the reader disconnects or this loop is left.
 */
async function* valuesOf(
  { source, signal, scope }: Chunks,
  room: () => Promise<boolean>,
): AsyncGenerator<unknown, void> {
  let over = false;
  let stopped: Promise<unknown> | undefined;
  const stop = () => {
    stopped ??= scope
      .runInAsyncScope(async () => source.return?.())
      // It ends because its reader ended, so the error has no recipient.
      .catch(() => {});
    return stopped;
  };
  signal.addEventListener("abort", stop, { once: true });
  if (signal.aborted) stop();

  try {
    for (let count = 1; await room(); count++) {
      const next = await scope.runInAsyncScope(() => source.next());
      if (next.done) {
        over = true;
        return;
      }
      yield next.value;
      if (count % CHUNKS_A_TURN === 0) await new Promise(setImmediate);
    }
  } finally {
    signal.removeEventListener("abort", stop);
    if (!over) await stop();
  }
}
