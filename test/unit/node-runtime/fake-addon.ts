// The addon of a test: the same memory, small, filled in and read by the test.
import {
  type Addon,
  CANCELLED,
  type Memory,
  REQUEST,
  RESPONSE,
  viewMemory,
  WOULD_BLOCK,
} from "../../../src/node-runtime/addon.js";

const BATCH = 4;
const BYTES = 256;

export interface SentAnswer {
  readonly low: number;
  readonly text: string;
  readonly detail?: string;
}

type Faked =
  | ("flush" | "large" | "largeText" | "respondLarge" | "isCancelled")
  | ("isStream" | "mayWrite" | "write" | "end" | "log");

export class FakeAddon implements Pick<Addon, Faked> {
  readonly memory: Memory;
  readonly sent: SentAnswer[] = [];
  readonly largeRequests: Buffer[] = [];
  flushes = 0;
  cancelled = new Set<number>();
  /** Tasks whose answer is read in chunks. */
  streams = new Set<number>();
  /** Chunks and ends, in order: `1:text`, `1 end`. */
  readonly written: string[] = [];
  readonly logged: string[] = [];
  credit = 1_000_000;

  constructor() {
    const requests = 64;
    const responses = requests + BATCH * REQUEST.words * 4;
    const cancelled = responses + BATCH * RESPONSE.words * 4;
    const requestBytes = cancelled + BATCH * 8;
    this.memory = viewMemory({
      memory: new ArrayBuffer(requestBytes + 2 * BYTES),
      batch: BATCH,
      bytes: BYTES,
      responsesUsed: 0,
      inBatch: 4,
      requests,
      responses,
      noted: cancelled,
      requestBytes,
      responseBytes: requestBytes + BYTES,
    });
  }

  /** Stores requests as the addon would, and returns their number. */
  put(...requests: { method?: string; bytes: string | Uint8Array; deadline?: number }[]): number {
    let used = 0;
    requests.forEach(({ method = "", bytes, deadline = 0 }, index) => {
      const at = index * REQUEST.words;
      const words = this.memory.requests;
      const payload = Buffer.from(bytes);
      words[at + REQUEST.low] = index + 1;
      words[at + REQUEST.high] = 0;
      words[at + REQUEST.method] = used;
      words[at + REQUEST.methodSize] = this.memory.requestBytes.write(method, used);
      used += words[at + REQUEST.methodSize] as number;
      this.memory.deadlines[index * 4 + 3] = deadline;
      if (payload.length > BYTES - used) {
        this.largeRequests[index] = payload;
        words[at + REQUEST.offset] = -1;
        return;
      }
      words[at + REQUEST.offset] = used;
      words[at + REQUEST.size] = payload.length;
      used += payload.copy(this.memory.requestBytes, used);
    });
    return requests.length;
  }

  flush(): void {
    this.flushes++;
    const { responses, responsesUsed, responseBytes } = this.memory;
    for (let i = 0; i < (responsesUsed[0] as number); i++) {
      const word = (name: keyof typeof RESPONSE) =>
        responses[i * RESPONSE.words + RESPONSE[name]] as number;
      const middle = word("offset") + word("size");
      this.sent.push({
        low: word("low"),
        text: responseBytes.toString("utf8", word("offset"), middle),
        ...(word("failed") && {
          detail: responseBytes.toString("utf8", middle, middle + word("detailSize")),
        }),
      });
    }
    responsesUsed[0] = 0;
  }

  largeText(index: number): string {
    return (this.largeRequests[index] as Buffer).toString("utf8");
  }

  large(index: number): Buffer {
    return this.largeRequests[index] as Buffer;
  }

  respondLarge(low: number, _high: number, value: string | Uint8Array): void {
    this.sent.push({ low, text: Buffer.from(value as string).toString() });
  }

  isCancelled(low: number): boolean {
    return this.cancelled.has(low);
  }

  isStream(low: number): boolean {
    return this.streams.has(low);
  }

  mayWrite(low: number): number {
    if (this.cancelled.has(low)) return CANCELLED;
    return this.credit > 0 ? 0 : WOULD_BLOCK;
  }

  write(low: number, _high: number, chunk: string | Uint8Array): number {
    const code = this.mayWrite(low);
    if (code !== 0) return code;
    this.credit--;
    this.written.push(`${low}:${Buffer.from(chunk as string)}`);
    return 0;
  }

  end(low: number): number {
    this.written.push(`${low} end`);
    return 0;
  }

  log(low: number, _high: number, level: number, text: string): number {
    this.logged.push(`${low} ${level} ${text}`);
    return 0;
  }
}
