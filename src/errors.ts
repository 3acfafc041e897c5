/**
 * The one home of errors: every failure that a user can meet is an NffiError with a code of the
 * table below. The exit codes are documented by `nffi --help` and stay what they are once released.
 * Only the CLI turns an error into an exit.
 */

export const EXIT_CODES = {
  internal: 1,
  usage: 2,
  "platform-unsupported": 3,
  "toolchain-missing": 4,
  "release-unknown": 5,
  "fetch-failed": 6,
  "verify-failed": 7,
  "extract-failed": 8,
  "patch-failed": 9,
  "input-missing": 10,
  "compile-failed": 11,
  "install-failed": 12,
  "proof-failed": 13,
  locked: 14,
  "product-missing": 15,
  "scaffold-failed": 16,
  "port-occupied": 17,
  "types-failed": 18,
  "types-stale": 19,
  "foreign-files": 20,
  "patches-missing": 21,
  "nginx-missing": 22,
  "lua-missing": 23,
  "nginx-unsuitable": 24,
  "bench-failed": 25,
  interrupted: 130,
  terminated: 143,
} as const;

export type ErrorCode = keyof typeof EXIT_CODES;

export interface ErrorContext {
  /** The next step for the user, in one or several lines. */
  readonly hint?: string | undefined;
  readonly cause?: unknown;
}

/** The diagnosis from the log of a failed program. */
export interface Diagnosis {
  /** The line with the first error, and its number in the log. */
  readonly error: string;
  readonly line: number;
  /** The lines around it, from `firstLine` on. */
  readonly excerpt: readonly string[];
  readonly firstLine: number;
  /** The usual solution. */
  readonly cure: string | undefined;
}

export class NffiError extends Error {
  override readonly name = "NffiError";
  readonly code: ErrorCode;
  readonly hint: string | undefined;
  /** The step of the build that failed, its log and the diagnosis; set by the pipeline. */
  step: string | undefined;
  logPath: string | undefined;
  diagnosis: Diagnosis | undefined;

  constructor(code: ErrorCode, message: string, context: ErrorContext = {}) {
    super(message, context.cause === undefined ? undefined : { cause: context.cause });
    this.code = code;
    this.hint = context.hint;
  }

  get exitCode(): number {
    return EXIT_CODES[this.code];
  }
}

/** Whatever was thrown, as an NffiError: unknown things are faults of nffi itself. */
export function toNffiError(thrown: unknown): NffiError {
  if (thrown instanceof NffiError) return thrown;
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return new NffiError("internal", message, { cause: thrown });
}

/** The errno name ("ENOENT") of a system error, if it is one. */
export function errnoOf(thrown: unknown): string | undefined {
  if (!(thrown instanceof Error) || !("code" in thrown)) return undefined;
  return typeof thrown.code === "string" ? thrown.code : undefined;
}

/** The message of whatever was thrown. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
