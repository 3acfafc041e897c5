/**
 * The responses of calls: collected in the memory shared with the addon and sent with one crossing,
 * after the microtasks. The addon itself flushes the responses of a batch when the batch returns.
 */

import type { Addon, Memory } from "./addon.js";
import { RESPONSE } from "./addon.js";
import type { Failure } from "./failure.js";
import type { Task } from "./task.js";

/** From this size on, a separate crossing is cheaper than a second copy. */
const LARGE = 16 * 1024;

/** The largest number of bytes of a JavaScript character in UTF-8. */
const BYTES_A_CHARACTER = 3;

/** Written to the memory: bytes, or a message and its detail. */
interface Response {
  readonly start: number;
  readonly size: number;
  readonly detailSize: number;
  readonly failed: 0 | 1;
  readonly rc: number;
}

export class Responses {
  readonly #memory: Memory;
  readonly #addon: Pick<Addon, "flush" | "respondLarge">;
  readonly #flushSoon = () => {
    this.#flushDue = false;
    this.flush();
  };
  #flushDue = false;
  #bytesUsed = 0;

  constructor(memory: Memory, addon: Pick<Addon, "flush" | "respondLarge">) {
    this.#memory = memory;
    this.#addon = addon;
  }

  succeed(task: Task, value: string | Uint8Array): void {
    const most = typeof value === "string" ? value.length * BYTES_A_CHARACTER : value.byteLength;
    if (value.length > LARGE || most > this.#memory.responseBytes.length) {
      this.#addon.respondLarge(task.low, task.high, value);
      return;
    }
    const start = this.#makeRoom(most);
    if (typeof value === "string") {
      this.#bytesUsed += this.#memory.responseBytes.write(value, start, "utf8");
    } else {
      this.#memory.responseBytes.set(value, start);
      this.#bytesUsed += value.byteLength;
    }
    this.#add(task, { start, size: this.#bytesUsed - start, detailSize: 0, failed: 0, rc: 0 });
  }

  fail(task: Task, { message, detail, code = 0 }: Failure): void {
    const start = this.#makeRoom((message.length + detail.length) * BYTES_A_CHARACTER);
    const size = this.#memory.responseBytes.write(message, start, "utf8");
    const detailSize = this.#memory.responseBytes.write(detail, start + size, "utf8");
    this.#bytesUsed += size + detailSize;
    // A code takes the place of the detail.
    this.#add(task, { start, size, detailSize, failed: code === 0 ? 1 : 0, rc: code });
  }

  flush(): void {
    if (this.#used() > 0) this.#addon.flush();
  }

  /** The offset of a gap of this size; sends the collected responses first if there is none. */
  #makeRoom(bytes: number): number {
    const used = this.#used();
    if (used === 0) {
      this.#bytesUsed = 0;
    } else if (
      used === this.#memory.batch ||
      bytes > this.#memory.responseBytes.length - this.#bytesUsed
    ) {
      this.#addon.flush();
      this.#bytesUsed = 0;
    }
    return this.#bytesUsed;
  }

  /** The addon sets it to 0 whenever it has flushed. */
  #used(): number {
    return this.#memory.responsesUsed[0] as number;
  }

  #add({ low, high }: Task, { start, size, detailSize, failed, rc }: Response): void {
    const { responses, responsesUsed, inBatch } = this.#memory;
    const used = this.#used();
    const at = used * RESPONSE.words;
    responses[at + RESPONSE.low] = low;
    responses[at + RESPONSE.high] = high;
    responses[at + RESPONSE.offset] = start;
    responses[at + RESPONSE.size] = size;
    responses[at + RESPONSE.detailSize] = detailSize;
    responses[at + RESPONSE.failed] = failed;
    responses[at + RESPONSE.rc] = rc;
    responsesUsed[0] = used + 1;

    if (inBatch[0] === 0 && !this.#flushDue) {
      this.#flushDue = true;
      // Runs when the microtasks are through, so that all their responses go with one crossing.
      process.nextTick(this.#flushSoon);
    }
  }
}
