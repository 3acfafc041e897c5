// The languages with a package for native runtimes: their fixtures in
// test/sdk/<language>/fixtures/native have the same methods, and this is in what they differ.
import { buildGoRuntime } from "../go/go-runtime.js";
import { buildRustRuntime } from "../rust/rust-runtime.js";

export interface NativeBuild {
  readonly library: string;
  readonly program: string;
  remove(): void;
}

export interface NativeLanguage {
  readonly language: string;
  readonly build: (prefix: string) => NativeBuild;
  /** Methods that return their request. */
  readonly echoes: readonly string[];
  /** Methods that wait for a number of milliseconds, or until their call is cancelled. */
  readonly waits: readonly string[];
  /** Methods that stream numbers, and bytes without an end. */
  readonly counts: readonly string[];
  readonly floods: readonly string[];
  /** Methods that panic, and the location and stack that the detail must contain. */
  readonly panics: readonly string[];
  readonly place: readonly RegExp[];
  /** The errors for a request that is no JSON, and for an unknown field of the configuration. */
  readonly noJson: RegExp;
  readonly unknownField: string;
  /** How the language's own library formats an exit status. */
  readonly exited: string;
  /** What `spin` takes for twenty threads in a minute. */
  readonly spin: string;
  /** The greeting without a configuration. */
  readonly greeting: string;
  /** Whether the fixture has `log`. */
  readonly logs: boolean;
}

export const NATIVE_LANGUAGES: readonly NativeLanguage[] = [
  {
    language: "Go",
    build: (prefix) => buildGoRuntime("test/sdk/go/fixtures/native", prefix),
    echoes: ["echo", "inline"],
    waits: ["wait"],
    counts: ["count"],
    floods: ["flood"],
    panics: ["panic"],
    place: [/main\.go:\d+/],
    noJson: /^request: invalid character/,
    unknownField: 'configuration: json: unknown field "nmae"',
    exited: "exit status",
    spin: "{ Threads = 20, MS = 60000 }",
    greeting: "",
    logs: false,
  },
  {
    language: "Rust",
    build: (prefix) => buildRustRuntime("test/sdk/rust/fixtures/native", prefix),
    echoes: ["echo", "inline", "async", "fill"],
    waits: ["wait", "block"],
    counts: ["count", "async_count"],
    floods: ["flood", "async_flood"],
    panics: ["panic", "async_panic"],
    place: [/^at src\/lib\.rs:\d+/, /catch/],
    noJson: /^request: expected ident/,
    unknownField: "configuration: unknown field `nmae`",
    exited: "exit status:",
    spin: "{ threads = 20, ms = 60000 }",
    greeting: "hello",
    logs: true,
  },
];
