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
  try {
    return {
      message: shorten(messageOf(thrown), MESSAGE_LIMIT),
      ...(isNffiError(thrown)
        ? { detail: shorten(String(thrown.detail ?? ""), DETAIL_LIMIT), code: codeOf(thrown) }
        : { detail: shorten(detailOf(thrown), DETAIL_LIMIT) }),
    };
  } catch {
    return { message: "something was thrown that cannot be described", detail: "" };
  }
}

/** By its name: a project may have another copy of the class, or none. */
function isNffiError(thrown: unknown): thrown is NffiError {
  return thrown instanceof Error && thrown.name === "NffiError";
}

/** The code as a 32-bit number; 0: none. */
function codeOf({ code }: NffiError): number {
  return typeof code === "number" ? Math.trunc(code) | 0 : 0;
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
  return withoutOurFrames(whole ? inspect(thrown) : String(thrown.stack ?? ""));
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
