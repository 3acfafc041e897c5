/**
 * console.* with its level: each line on stdout or stderr is marked, and the worker writes it to
 * error.log with that level. Lines without a mark (a write to process.stdout, what native code
 * prints) are logged as notice from stdout and as error from stderr.
 */

import { createHash } from "node:crypto";
import { writeSync } from "node:fs";
import { withoutOurFrames } from "./failure.js";

export type Level = "debug" | "info" | "notice" | "warn" | "error";

/** The rest of console (table, dir, group, time ...) goes to stdout unmarked: notice. */
const LEVELS = {
  trace: "debug",
  debug: "debug",
  info: "info",
  log: "notice",
  warn: "warn",
  error: "error",
} as const satisfies Record<string, Level>;

/** Marks every line of a text, which may end without a newline. */
export function markLines(level: Level, text: string): string {
  const mark = `\x01${level}\x02`;
  const body = text.endsWith("\n") ? text.slice(0, -1) : text;
  return `${mark}${body.replaceAll("\n", `\n${mark}`)}\n`;
}

/** The part of a stream that is replaced. */
export interface LineStream {
  // biome-ignore lint/suspicious/noExplicitAny: encoding and callback pass through as they are
  write(chunk: string | Uint8Array, ...rest: any[]): boolean;
  on(event: "error", listener: () => void): unknown;
}

// biome-ignore lint/suspicious/noExplicitAny: what console takes
export type ConsoleLike = { -readonly [name in keyof typeof LEVELS]: (...args: any[]) => void };

/**
 * The console's own methods stay in place below, since they also serve the inspector; only what
 * they write is marked on its way out.
 */
export function markConsole(target: ConsoleLike, streams: readonly LineStream[]): void {
  let level: Level | undefined;

  for (const name of Object.keys(LEVELS) as (keyof typeof LEVELS)[]) {
    const original = target[name];
    target[name] = (...args) => {
      const outer = level;
      // console.trace() calls console.error(): the outer one sets the level
      level ??= LEVELS[name];
      try {
        original.apply(target, args);
      } finally {
        level = outer;
      }
    };
  }

  for (const stream of streams) markStream(stream, () => level);
}

function markStream(stream: LineStream, levelNow: () => Level | undefined): void {
  const write = stream.write.bind(stream);
  let atLineStart = true;

  // The pipe closes with the worker, and then this process is about to exit as well.
  stream.on("error", () => {});

  stream.write = (chunk, ...rest) => {
    const level = levelNow();
    if (level === undefined || typeof chunk !== "string") {
      if (chunk.length > 0) atLineStart = chunk.at(-1) === "\n" || chunk.at(-1) === 10;
      return write(chunk, ...rest);
    }
    const before = atLineStart ? "" : "\n";
    atLineStart = true;
    return write(before + markLines(level, withoutOurFrames(chunk)), ...rest);
  };
}

/** What Node warns of is logged as warn, where it would be an error by coming from stderr. */
export function markWarnings(): void {
  // NODE_NO_WARNINGS and --no-warnings: Node then has no listener for warnings
  if (process.listenerCount("warning") === 0) return;
  process.removeAllListeners("warning");
  process.on("warning", (warning) => {
    if (isAboutTypeScript(warning)) return;
    console.warn(process.traceDeprecation ? warning : `${warning.name}: ${warning.message}`);
  });
}

/** The user has chosen a .ts file on purpose, perhaps without a package.json. */
function isAboutTypeScript(warning: Error & { code?: string }): boolean {
  return (
    warning.code === "MODULE_TYPELESS_PACKAGE_JSON" ||
    (warning.name === "ExperimentalWarning" && /type stripping/i.test(warning.message))
  );
}

/**
 * Writes to error.log synchronously, as the last lines of a process must be. The pipe may be full
 * and non-blocking: then this waits for the worker, for a limited time. `stack` contains more
 * lines, which the worker omits if the previous process logged the same ones: a process that fails
 * at each start would fill the log.
 */
export function logNow(level: Level, text: string, stack = ""): void {
  let bytes = Buffer.from(markLines(level, text) + markStack(stack));
  for (let attempt = 0; attempt < 100 && bytes.length > 0; attempt++) {
    try {
      bytes = bytes.subarray(writeSync(2, bytes));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EAGAIN") return;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
    }
  }
}

/**
 * The mark of each line: a hash of the whole stack, with which the worker recognises it, and the
 * source.
 */
export function markStack(stack: string, pid = process.pid): string {
  if (stack === "") return "";
  const hash = createHash("sha256").update(stack).digest("hex").slice(0, 8);
  const lines = stack.split("\n").map((line) => `\x01stack ${hash} ${pid}\x02${line}\n`);
  return lines.join("");
}
