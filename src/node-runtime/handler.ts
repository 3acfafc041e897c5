/**
 * The API for the code of a runtime: types, the class of errors, and a context for tests. A runtime
 * is a module whose exported functions are its methods:
 *
 *     import type { Handler } from "@nffi/runtime";
 *     export const hello: Handler<{ name: string }, { greeting: string }> = ({ name }) => ({
 *       greeting: `hello ${name}`,
 *     });
 *
 * and `rt.methods:hello({ name = "Lua" })` calls it.
 */

/** The context of the call that a handler serves. */
export interface Context<Config = unknown> {
  /** The method that Lua called; empty for `runtime:call(bytes)`. */
  readonly method: string;
  /** The `config` that the runtime was loaded with; the same object for every call. */
  readonly config: Config;
  /** When the call times out, in the time of `Date.now()`; undefined: never. */
  readonly deadline: number | undefined;
  /** Milliseconds until the deadline, at least 0; undefined: there is none. */
  readonly timeLeft: number | undefined;
  /**
   * True if the call was cancelled (client disconnected, Lua thread killed, deadline passed) or has
   * its response.
   */
  readonly cancelled: boolean;
  /** Aborts when the call is cancelled. */
  readonly signal: AbortSignal;
  /**
   * Calls the function once when the call is cancelled, or now if it is already cancelled; not
   * after the response. The returned function unregisters it.
   */
  onCancel(action: () => void): () => void;
  /** Writes to nginx's error.log, with the client and the request that the call belongs to. */
  readonly log: Log;
}

/** Formats other values like `console.log`; nginx's `error_log` sets the minimum level. */
export interface Log {
  debug(...values: unknown[]): void;
  info(...values: unknown[]): void;
  notice(...values: unknown[]): void;
  warn(...values: unknown[]): void;
  error(...values: unknown[]): void;
}

/**
 * An error with a detail or a code: Lua gets `nil, message, "runtime_error", detail` or
 * `nil, message, "runtime_error", code`. Other errors arrive with their stack as detail. Without
 * this package, an error whose `name` is "NffiError" works as well.
 */
export class NffiError extends Error {
  override readonly name = "NffiError";
  readonly detail: string | undefined;
  /** A 32-bit number that is not 0; it replaces the detail. */
  readonly code: number | undefined;

  constructor(message: string, options: ErrorOptions & { detail?: string; code?: number } = {}) {
    super(message, options);
    this.detail = options.detail;
    this.code = options.code;
  }
}

/** A method of a runtime with the codec `json`: plain data comes in and goes out. */
export type Handler<Request = unknown, Response = unknown, Config = unknown> = (
  request: Request,
  context: Context<Config>,
) => Response | Promise<Response>;

/**
 * A method of a runtime with the codec `raw`, or the default export (or an export named `handle`)
 * that serves requests without a method: bytes come in and go out.
 */
export type RawHandler<Config = unknown> = (
  request: Buffer,
  context: Context<Config>,
) => RawResponse | Promise<RawResponse>;

/**
 * A method that responds in chunks, with the codec `json`: each value that it yields is one chunk,
 * sent as one line of JSON. The next value is requested when the reader has room. A cancelled
 * stream ends the generator by `return()`, and aborts `context.signal`.
 */
export type StreamHandler<Request = unknown, Chunk = unknown, Config = unknown> = (
  request: Request,
  context: Context<Config>,
) => Chunks<Chunk> | Promise<Chunks<Chunk>>;

/** The same with bytes, as in `RawHandler`. */
export type RawStreamHandler<Config = unknown> = (
  request: Buffer,
  context: Context<Config>,
) => Chunks<RawResponse> | Promise<Chunks<RawResponse>>;

/** An async generator, a `ReadableStream`, a `Readable`; or a generator. */
export type Chunks<Chunk> = AsyncIterable<Chunk> | Generator<Chunk, unknown, unknown>;

/** A result that is sent as bytes: a string as UTF-8, nothing as no bytes. */
// biome-ignore lint/suspicious/noConfusingVoidType: a handler without `return` is meant, too
export type RawResponse = string | Uint8Array | undefined | void;

/**
 * A context for unit tests of handlers: never cancelled unless `signal` aborts, without a deadline,
 * with the console as its log.
 */
export function testContext<Config = undefined>(
  given: Partial<Context<Config>> = {},
): Context<Config> {
  const signal = given.signal ?? new AbortController().signal;
  return {
    method: "",
    config: undefined as Config,
    deadline: undefined,
    timeLeft: undefined,
    get cancelled() {
      return signal.aborted;
    },
    signal,
    onCancel(action) {
      if (signal.aborted) action();
      else signal.addEventListener("abort", action, { once: true });
      return () => signal.removeEventListener("abort", action);
    },
    log: {
      debug: console.debug,
      info: console.info,
      notice: console.info,
      warn: console.warn,
      error: console.error,
    },
    ...given,
  };
}
