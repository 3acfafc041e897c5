/**
 * Downloads one file: hashed while it streams, resumed after an interruption, tried again where
 * that can help. The file appears under its name only when every byte is there and on the disk.
 */
import { open } from "node:fs/promises";
import { NffiError } from "../errors.js";
import { failureOfReply, failureOfThrown, truncated } from "./download-failures.js";
import { DIRECT, type HttpClient, type Network, openClient, type Reply } from "./http.js";
import { type Partial, partialOf } from "./partial.js";
import { type Failure, retrying } from "./retry.js";

export interface Download {
  readonly url: string;
  readonly file: string;
  readonly signal?: AbortSignal | undefined;
  readonly network?: Network | undefined;
  /** How often it is tried again. */
  readonly retries?: number | undefined;
  /** A connection that is silent for this time is aborted. */
  readonly stallMs?: number | undefined;
  /** The first wait before trying again. */
  readonly backoffMs?: number | undefined;
  /** More is refused: a server must not be able to fill the disk. */
  readonly maxBytes?: number | undefined;
  readonly onProgress?: ((received: number, total: number | undefined) => void) | undefined;
  readonly onRetry?: ((reason: string) => void) | undefined;
}

export interface Downloaded {
  readonly file: string;
  readonly sha256: string;
  readonly bytes: number;
}

export const RETRIES = 4;
export const STALL_MS = 30_000;
const BACKOFF_MS = 500;
/** More than any source of OpenResty has. */
const MAX_BYTES = 1e9;

export async function download(wanted: Download): Promise<Downloaded> {
  const client = openClient(wanted.network ?? DIRECT);
  const partial = partialOf(wanted.file, wanted.url);
  const policy = {
    retries: wanted.retries ?? RETRIES,
    backoffMs: wanted.backoffMs ?? BACKOFF_MS,
    signal: wanted.signal,
    onRetry: (failure: NffiError, waitMs: number) =>
      wanted.onRetry?.(`${failure.message}; next try in ${(waitMs / 1000).toFixed(1)} s`),
  };
  try {
    return await retrying(policy, () => attempt(wanted, client, partial));
  } finally {
    await partial.discardUnlessResumable();
    await client.close();
  }
}

async function attempt(
  wanted: Download,
  client: HttpClient,
  partial: Partial,
): Promise<{ value: Downloaded } | { failure: Failure }> {
  const watchdog = startWatchdog(wanted);
  try {
    const headers = { "accept-encoding": "identity", ...(await partial.rangeHeaders()) };
    const reply = await client.get(wanted.url, headers, watchdog.signal);
    watchdog.alive();
    const failure = failureOfReply(reply, wanted.url);
    if (failure) {
      reply.drop();
      if (reply.status === 416) await partial.discard();
      return { failure };
    }
    return await receive(wanted, reply, partial, watchdog);
  } catch (thrown) {
    wanted.signal?.throwIfAborted();
    return { failure: watchdog.stalled() ?? failureOfThrown(thrown, wanted) };
  } finally {
    watchdog.stop();
  }
}

async function receive(
  wanted: Download,
  reply: Reply,
  partial: Partial,
  watchdog: Watchdog,
): Promise<{ value: Downloaded } | { failure: Failure }> {
  const range = rangeOf(reply);
  const start = reply.status === 206 ? await partial.bytes() : 0;
  if (reply.status === 206 && range?.start !== start) {
    reply.drop();
    await partial.discard();
    return { failure: truncated(wanted.url, "answered with another part than was asked for") };
  }
  if (start === 0) await partial.begin(reply);
  const total = range?.total ?? (start === 0 ? lengthOf(reply) : undefined);
  const maxBytes = wanted.maxBytes ?? MAX_BYTES;
  if (Math.max(start, total ?? 0) > maxBytes) {
    reply.drop();
    await partial.discard();
    throw tooLarge(wanted.url, maxBytes);
  }
  const hash = await partial.hash();
  let bytes = start;
  let oversized = false;
  // Not a pipeline: after a failure no write may be under way that the next try could meet.
  const file = await open(partial.file, start === 0 ? "w" : "a");
  try {
    for await (const chunk of reply.body as AsyncIterable<Buffer>) {
      watchdog.alive();
      bytes += chunk.length;
      if (bytes > maxBytes) {
        oversized = true;
        break;
      }
      hash.update(chunk);
      await file.writeFile(chunk);
      wanted.onProgress?.(bytes, total);
    }
  } finally {
    await file.close();
  }
  if (oversized) {
    await partial.discard();
    throw tooLarge(wanted.url, maxBytes);
  }
  if (total !== undefined && bytes !== total) {
    if (bytes > total) await partial.discard();
    return { failure: truncated(wanted.url, `ended after ${bytes} of ${total} bytes`) };
  }
  await partial.place(wanted.file);
  return { value: { file: wanted.file, sha256: hash.digest("hex"), bytes } };
}

function rangeOf(reply: Reply): { start: number; total: number | undefined } | undefined {
  if (reply.status !== 206) return undefined;
  const match = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(reply.header("content-range") ?? "");
  if (!match) return undefined;
  return { start: Number(match[1]), total: match[2] === "*" ? undefined : Number(match[2]) };
}

function lengthOf(reply: Reply): number | undefined {
  const declared = reply.header("content-length");
  return declared !== undefined && /^\d+$/.test(declared) ? Number(declared) : undefined;
}

function tooLarge(url: string, maxBytes: number): NffiError {
  const host = new URL(url).host;
  return new NffiError("fetch-failed", `${host} sends more than ${maxBytes / 1e6} MB`, {
    hint: "no source of OpenResty is that large",
  });
}

interface Watchdog {
  readonly signal: AbortSignal;
  alive(): void;
  /** Set if it was the watchdog that ended the request. */
  stalled(): Failure | undefined;
  stop(): void;
}

/** undici's own timeouts leave out the time in a proxy; one clock for all is simpler. */
function startWatchdog(wanted: Download): Watchdog {
  const stallMs = wanted.stallMs ?? STALL_MS;
  const abort = new AbortController();
  let stalled: Failure | undefined;
  const timer = setTimeout(() => {
    stalled = truncated(wanted.url, `was silent for ${stallMs / 1000} s`);
    abort.abort(stalled.error);
  }, stallMs);
  const signals = wanted.signal ? [wanted.signal, abort.signal] : [abort.signal];
  return {
    signal: AbortSignal.any(signals),
    alive: () => timer.refresh(),
    stalled: () => stalled,
    stop: () => clearTimeout(timer),
  };
}
