/**
 * The API for the code of a runtime: types only, nothing here runs. A runtime is a module whose
 * exported functions are its methods:
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
  /** Aborts when the call is cancelled: client disconnected, Lua thread killed, deadline passed. */
  readonly signal: AbortSignal;
  /** When the call times out, in the time of `Date.now()`; undefined: never. */
  readonly deadline: number | undefined;
  /** The `config` that the runtime was loaded with; the same object for every call. */
  readonly config: Config;
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

/** A method of a runtime with the codec `json`: plain data comes in and goes out. */
export type Handler<Request = unknown, Reply = unknown, Config = unknown> = (
  request: Request,
  context: Context<Config>,
) => Reply | Promise<Reply>;

/**
 * A method of a runtime with the codec `raw`, or the default export (or an export named `handle`)
 * that serves requests without a method: bytes come in and go out.
 */
export type RawHandler<Config = unknown> = (
  request: Buffer,
  context: Context<Config>,
) => RawReply | Promise<RawReply>;

/**
 * A method that responds in chunks, with the codec `json`: each value that it yields is one. Its
 * next value is requested when the reader has room. It is ended (`return()`, and `context.signal`)
 * when the stream is cancelled.
 */
export type StreamHandler<Request = unknown, Chunk = unknown, Config = unknown> = (
  request: Request,
  context: Context<Config>,
) => Chunks<Chunk> | Promise<Chunks<Chunk>>;

/** The same with bytes, as in `RawHandler`. */
export type RawStreamHandler<Config = unknown> = (
  request: Buffer,
  context: Context<Config>,
) => Chunks<RawReply> | Promise<Chunks<RawReply>>;

/** An async generator, a `ReadableStream`, a `Readable`; or a generator. */
export type Chunks<Chunk> = AsyncIterable<Chunk> | Generator<Chunk, unknown, unknown>;

/** A result that is sent as bytes: a string as UTF-8, nothing as no bytes. */
// biome-ignore lint/suspicious/noConfusingVoidType: a handler without `return` is meant, too
export type RawReply = string | Uint8Array | undefined | void;
