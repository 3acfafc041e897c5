/**
 * The only import of nffi.node (c-src/sdk/node), which is installed beside this program: its
 * functions and the memory that passes batches. c-src/sdk/node/addon.h defines the structures;
 * the addon reports the offset of each part.
 */

import { createRequire } from "node:module";

/** Called by the addon in Node's loop. */
export interface QueueEvents {
  /** The number of requests in the memory. */
  onBatch(count: number): void;
  /** The number of handles of cancelled running tasks in the memory. */
  onCancelled(count: number): void;
  /** The number of handles of streams in the memory that have credit again, or were cancelled. */
  onWritable(count: number): void;
  /** No more requests will come. */
  onClosed(): void;
}

/** Codes of nffi.h that `mayWrite` and `write` return. */
export const WOULD_BLOCK = -10;
export const CANCELLED = -11;

/** `low` and `high` are a Task (task.ts): two numbers cost less than an object. */
export interface Addon {
  attach(events: QueueEvents): Offsets;
  /** The configuration that the worker passed to this process, as JSON; undefined: none. */
  config(): string | undefined;
  /** In a worker thread, instead of attaching: the main thread passes it its tasks. */
  join(): Offsets;
  /** Puts the request of such a task into the memory, as a batch of one; 0 or a code. */
  take(low: number, high: number): number;
  /** From now on requests come, and the worker knows it. */
  serve(): void;
  /** Reports to the worker why this process cannot serve. */
  failed(message: string): void;
  /** Sends the responses that are in the memory. */
  flush(): void;
  /** The payload of a request of the running batch that found no room in the memory. */
  large(index: number): Buffer;
  /** The same as a string, with U+FFFD for what is not UTF-8. */
  largeText(index: number): string;
  respondLarge(low: number, high: number, value: string | Uint8Array): void;
  isCancelled(low: number, high: number): boolean;
  /** Calls onCancelled if there are cancellations. */
  reportCancelled(): void;
  /** Whether Lua reads the response in chunks. */
  isStream(low: number, high: number): boolean;
  /**
   * 0 when a chunk may be written, else a code of nffi.h; after WOULD_BLOCK, onWritable reports
   * credit.
   */
  mayWrite(low: number, high: number): number;
  /**
   * Writes a chunk, which a plain call collects. Returns 0, or a code: there is no credit, or the
   * call needs no response any longer. Throws if the chunk cannot be sent.
   */
  write(low: number, high: number, chunk: string | Uint8Array): number;
  /** Ends a stream, or responds with the collected chunks. Throws if they cannot be sent. */
  end(low: number, high: number): number;
  /** A line for error.log with the request of the task; 0 or a code. */
  log(low: number, high: number, level: number, text: string): number;
}

/** Byte offsets of the parts of `memory`, and two sizes. */
export interface Offsets {
  readonly memory: ArrayBuffer;
  readonly batch: number;
  readonly bytes: number;
  readonly responsesUsed: number;
  readonly inBatch: number;
  readonly requests: number;
  readonly responses: number;
  readonly noted: number;
  readonly requestBytes: number;
  readonly responseBytes: number;
}

/** struct addon_request, counted in 32-bit words. */
export const REQUEST = { low: 0, high: 1, offset: 2, size: 3, method: 4, methodSize: 5, words: 8 };
/** The deadline is a double: the last of the four that the eight words make. */
export const REQUEST_DEADLINE = { deadline: 3, doubles: 4 };
/** struct addon_response, counted in 32-bit words. */
export const RESPONSE = {
  low: 0,
  high: 1,
  offset: 2,
  size: 3,
  detailSize: 4,
  failed: 5,
  rc: 6,
  words: 7,
};

/** The parts of the memory as views. */
export interface Memory {
  /** How many responses fit. */
  readonly batch: number;
  readonly responsesUsed: Int32Array;
  /** 1 while the addon will flush by itself, after the microtasks. */
  readonly inBatch: Int32Array;
  readonly requests: Int32Array;
  readonly deadlines: Float64Array;
  readonly responses: Int32Array;
  /** Handles for onCancelled and onWritable. */
  readonly noted: Int32Array;
  readonly requestBytes: Buffer;
  readonly responseBytes: Buffer;
}

export function viewMemory(offsets: Offsets): Memory {
  const { memory, batch, bytes } = offsets;
  return {
    batch,
    responsesUsed: new Int32Array(memory, offsets.responsesUsed, 1),
    inBatch: new Int32Array(memory, offsets.inBatch, 1),
    requests: new Int32Array(memory, offsets.requests, batch * REQUEST.words),
    deadlines: new Float64Array(memory, offsets.requests, batch * REQUEST_DEADLINE.doubles),
    responses: new Int32Array(memory, offsets.responses, batch * RESPONSE.words),
    noted: new Int32Array(memory, offsets.noted, batch * 2),
    requestBytes: Buffer.from(memory, offsets.requestBytes, bytes),
    responseBytes: Buffer.from(memory, offsets.responseBytes, bytes),
  };
}

export function loadAddon(): Addon {
  return createRequire(import.meta.url)("./nffi.node") as Addon;
}
