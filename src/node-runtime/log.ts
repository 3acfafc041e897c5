/**
 * context.log: lines for error.log that carry the request of the call. They go through the queue,
 * which has room for some hundreds on their way; what finds none is dropped, and the log says so.
 */

import { format } from "node:util";
import type { Addon } from "./addon.js";
import type { Log } from "./handler.js";
import type { Task } from "./task.js";

/** enum nffi_log_level */
const LEVELS = { error: 1, warn: 2, notice: 3, info: 4, debug: 5 } as const;

/** Bytes of one message, as in nffi.h; a longer one is several. */
const MAX_BYTES = 2048;

export class Logs {
  readonly #addon: Pick<Addon, "log">;

  constructor(addon: Pick<Addon, "log">) {
    this.#addon = addon;
  }

  /** The log of one call. */
  of(task: Task): Log {
    const at =
      (level: number) =>
      (...values: unknown[]) => {
        for (const line of format(...values).split("\n")) {
          if (line !== "") this.#write(task, level, line);
        }
      };
    return {
      error: at(LEVELS.error),
      warn: at(LEVELS.warn),
      notice: at(LEVELS.notice),
      info: at(LEVELS.info),
      debug: at(LEVELS.debug),
    };
  }

  #write({ low, high }: Task, level: number, line: string): void {
    // Few characters need more than one byte, and no character is cut.
    const step = Buffer.byteLength(line) <= MAX_BYTES ? line.length : Math.floor(MAX_BYTES / 3);
    for (let start = 0; start < line.length; start += step) {
      this.#addon.log(low, high, level, line.slice(start, start + step));
    }
  }
}
