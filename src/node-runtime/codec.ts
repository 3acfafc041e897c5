/**
 * How a request becomes a value and a result becomes bytes. A result that would lose something on
 * the way is refused with the reason rather than sent.
 */

import { types } from "node:util";
import type { Batch } from "./batch.js";
import { nameOf, requireLossless } from "./json-loss.js";

export interface Codec {
  decode(batch: Batch, index: number): unknown;
  encode(result: unknown): string | Uint8Array;
  /** How encoded values become chunks of a stream, or of the response of a plain call. */
  framing(isStream: boolean): Framing;
}

/** The framing of one response. */
export interface Framing {
  /** The next encoded value as a chunk. */
  chunk(encoded: string | Uint8Array): string | Uint8Array;
  /** The last chunk; undefined: none follows the values. */
  end(): string | undefined;
}

/** NDJSON. */
const lines: Framing = {
  chunk: (encoded) => `${encoded}\n`,
  end: () => undefined,
};

/** A list of the values. */
class List implements Framing {
  #separator = "[";

  chunk(encoded: string | Uint8Array): string {
    const chunk = `${this.#separator}${encoded}`;
    this.#separator = ",";
    return chunk;
  }

  end(): string {
    return this.#separator === "[" ? "[]" : "]";
  }
}

const bytes: Framing = {
  chunk: (encoded) => encoded,
  end: () => undefined,
};

/** JSON both ways. An empty request is undefined, an undefined result is null. */
export const json: Codec = {
  decode(batch, index) {
    const text = batch.text(index);
    if (text === "") return undefined;
    try {
      return JSON.parse(text);
    } catch (cause) {
      throw new SyntaxError(`the request is not JSON: ${(cause as Error).message}`, { cause });
    }
  },

  encode(result) {
    if (result === undefined) return "null";
    requireLossless(result);
    let text: string | undefined;
    try {
      text = JSON.stringify(result);
    } catch (cause) {
      throw new TypeError(`the result cannot become JSON: ${(cause as Error).message}`, { cause });
    }
    if (text === undefined) {
      throw new TypeError(`the result cannot become JSON: it is ${nameOf(result)}`);
    }
    return text;
  },

  framing(isStream) {
    return isStream ? lines : new List();
  },
};

/** A Buffer comes in; a string goes out as UTF-8, bytes as they are, undefined as no bytes. */
export const raw: Codec = {
  decode(batch, index) {
    return batch.bytes(index);
  },

  encode(result) {
    if (typeof result === "string") return result;
    if (result === undefined) return "";
    if (types.isUint8Array(result)) return attachedBytes(result);
    throw new TypeError(`the result must be a string or bytes, but is ${nameOf(result)}`);
  },

  framing() {
    return bytes;
  },
};

export function codecOf(name: "json" | "raw"): Codec {
  return name === "raw" ? raw : json;
}

/**
 * Bytes of shared memory are copied, since others may write while they are sent. A view whose
 * memory was transferred away looks empty: that is a mistake and no empty response.
 */
function attachedBytes(bytes: Uint8Array): Uint8Array {
  if (types.isSharedArrayBuffer(bytes.buffer)) return Uint8Array.from(bytes);
  if (bytes.byteLength === 0 && isDetached(bytes.buffer)) {
    throw new TypeError("the memory of the result was transferred to another owner");
  }
  return bytes;
}

function isDetached(buffer: ArrayBufferLike): boolean {
  if (buffer.byteLength > 0) return false;
  try {
    // Throws for a detached buffer only; the property `detached` came with Node 21.
    new Uint8Array(buffer);
    return false;
  } catch {
    return true;
  }
}
