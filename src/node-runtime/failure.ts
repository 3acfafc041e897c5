/**
 * The error that Lua gets for a thrown value: the message, and the stack with its causes as detail;
 * of a NffiError its own detail or code.
 * Any value can be thrown and properties can throw, so nothing is assumed here.
 */

import { inspect } from "node:util";
import type { NffiError } from "./handler.js";

export interface Failure {
  readonly message: string;
  readonly detail: string;
  /** Of a NffiError; Lua gets it instead of the detail. */
  readonly code?: number;
}

// Both together, at three bytes a character, fit the memory shared with the addon.
const MESSAGE_LIMIT = 16_000;
const DETAIL_LIMIT = 48_000;

export function failureOf(thrown: unknown): Failure {
  const message = tryTo(() => messageOf(thrown), "something was thrown that cannot be described");
  const known = tryTo(() => (isNffiError(thrown) ? thrown : undefined), undefined);
  const detail = tryTo(() => (known ? ownDetailOf(known) : detailOf(thrown)), "");
  return {
    message: shorten(message, MESSAGE_LIMIT),
    detail: shorten(detail, DETAIL_LIMIT),
    ...(known && { code: tryTo(() => codeOf(known), 0) }),
  };
}

function tryTo<T>(read: () => T, otherwise: T): T {
  try {
    return read();
  } catch {
    return otherwise;
  }
}

/** By its name: a project may have another copy of the class, or none. */
function isNffiError(thrown: unknown): thrown is NffiError {
  return thrown instanceof Error && thrown.name === "NffiError";
}

/** The code as a 32-bit number; 0: none, or nothing that is a code. */
function codeOf({ code }: NffiError): number {
  const whole = typeof code === "number" ? Math.trunc(code) : 0;
  return whole === (whole | 0) ? whole : 0;
}

/** A code that is no 32-bit number is the detail, unless there is one. */
function ownDetailOf(thrown: NffiError): string {
  const detail: unknown = thrown.detail ?? ((codeOf(thrown) === 0 && thrown.code) || "");
  return typeof detail === "object" ? inspect(detail) : String(detail);
}

function messageOf(thrown: unknown): string {
  if (thrown instanceof Error) return String(thrown.message) || String(thrown.name);
  if (typeof thrown === "string") return thrown || "an empty string was thrown";
  if (hasMessage(thrown)) return thrown.message;
  return `${inspect(thrown, { depth: 1, breakLength: Number.POSITIVE_INFINITY })} was thrown`;
}

function detailOf(thrown: unknown): string {
  if (!(thrown instanceof Error)) return "";
  // inspect() also shows causes and the errors of an AggregateError, and costs ten times as much.
  const whole = thrown.cause !== undefined || thrown instanceof AggregateError;
  const text = whole ? inspect(thrown) : String(thrown.stack ?? "");
  // Its frames are behind a message that long, and do not fit.
  return text.length > 10 * DETAIL_LIMIT ? text : withoutOurFrames(text);
}

const OUR_FOLDER = new URL(".", import.meta.url).href;

/**
 * Removes frames of this runtime. They are always at the end and always the same; if only frames of
 * Node are left, the stack has no information.
 */
export function withoutOurFrames(stack: string): string {
  if (!stack.includes(OUR_FOLDER)) return stack;
  const lines = stack.split("\n").filter((line) => !isOurs(line));
  const frames = lines.filter((line) => FRAME.test(line));
  const others = frames.every((line) => /[ (]node:/.test(line)) ? frames : [];
  return lines.filter((line) => !others.includes(line)).join("\n");
}

const FRAME = /^\s+at /;

/** Through Node: from us to a handler, and from the main thread's messages to us. */
const WAY_TO_US =
  /AsyncResource\.runInAsyncScope \(node:|\[nodejs\.internal\.kHybridDispatch\]|MessagePort\.<anonymous> \(node:/;

function isOurs(line: string): boolean {
  if (!FRAME.test(line)) return false;
  return line.includes(OUR_FOLDER) || WAY_TO_US.test(line);
}

/** Errors of another realm (vm, some test runners) are no instances of our Error. */
function hasMessage(thrown: unknown): thrown is { message: string } {
  return (
    typeof thrown === "object" &&
    thrown !== null &&
    "message" in thrown &&
    typeof thrown.message === "string" &&
    thrown.message !== ""
  );
}

function shorten(text: string, limit: number): string {
  return text.length <= limit ? text : `${text.slice(0, limit)} ...`;
}
