/**
 * The requests of one batch, read out of the memory shared with the addon. They are valid only
 * until the next batch, so everything that leaves here is a copy.
 */

import { isUtf8 } from "node:buffer";
import type { Addon, Memory } from "./addon.js";
import { REQUEST, REQUEST_DEADLINE } from "./addon.js";
import type { Call } from "./context.js";
import type { Task } from "./task.js";

export class Batch {
  readonly #memory: Memory;
  readonly #addon: Pick<Addon, "large" | "largeText">;

  constructor(memory: Memory, addon: Pick<Addon, "large" | "largeText">) {
    this.#memory = memory;
    this.#addon = addon;
  }

  task(index: number): Task {
    return { low: this.#word(index, REQUEST.low), high: this.#word(index, REQUEST.high) };
  }

  call(index: number): Call {
    return {
      low: this.#word(index, REQUEST.low),
      high: this.#word(index, REQUEST.high),
      method: this.#method(index),
      deadline: this.#deadline(index),
    };
  }

  /** Empty when the request names no method. */
  #method(index: number): string {
    const size = this.#word(index, REQUEST.methodSize);
    if (size === 0) return "";
    const start = this.#word(index, REQUEST.method);
    return this.#memory.requestBytes.toString("utf8", start, start + size);
  }

  /**
   * In the time of Date.now(), rounded up: a handler that waits until then is not early, so Lua
   * reports a timeout.
   */
  #deadline(index: number): number | undefined {
    const at = index * REQUEST_DEADLINE.doubles + REQUEST_DEADLINE.deadline;
    const deadline = this.#memory.deadlines[at] as number;
    return deadline === 0 ? undefined : Math.ceil(deadline);
  }

  bytes(index: number): Buffer {
    const start = this.#word(index, REQUEST.offset);
    if (start < 0) return this.#addon.large(index);
    const size = this.#sizeOf(index);
    const copy = Buffer.allocUnsafe(size);
    this.#memory.requestBytes.copy(copy, 0, start, start + size);
    return copy;
  }

  /** Throws when the bytes are not UTF-8: replacing them silently would corrupt data. */
  text(index: number): string {
    const start = this.#word(index, REQUEST.offset);
    const text =
      start < 0
        ? this.#addon.largeText(index)
        : this.#memory.requestBytes.toString("utf8", start, start + this.#sizeOf(index));
    // Only a text with the replacement character can come from bytes that are not UTF-8.
    if (text.includes("\ufffd") && !isUtf8(this.bytes(index))) {
      throw new TypeError("the request is not UTF-8");
    }
    return text;
  }

  #sizeOf(index: number): number {
    return this.#word(index, REQUEST.size);
  }

  #word(index: number, word: number): number {
    return this.#memory.requests[index * REQUEST.words + word] as number;
  }
}
