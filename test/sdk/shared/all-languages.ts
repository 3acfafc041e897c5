// One runtime in each language, with the same methods: echo, sleep and crash, config and run, which
// returns what a command prints, and fetch of an https address where the language's own library has
// it. A runtime that can be in the worker is there; NAME-process is the same one in a process.
import { chmodSync, cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { repository } from "../../support/cli.js";
import { nativeProgram } from "../../support/native-runtime.js";
import { buildGoRuntime } from "../go/go-runtime.js";
import { JavaClasses } from "../java/java-runtime.js";
import { systemPython } from "../python/python.js";
import { buildRustRuntime } from "../rust/rust-runtime.js";

export interface AllLanguages {
  /** One for each language. */
  readonly names: readonly string[];
  /** Those whose code runs in the worker. */
  readonly inWorker: readonly string[];
  readonly processes: readonly string[];
  readonly speaksTls: ReadonlySet<string>;
  /**
   * A Lua module: a function that loads the runtime of a language, perhaps with a configuration.
   */
  readonly lua: string;
  remove(): void;
}

export async function buildAllLanguages(prefix: string): Promise<AllLanguages> {
  const folder = mkdtempSync(join(tmpdir(), "nffi-languages-"));
  chmodSync(folder, 0o755);
  for (const language of ["node", "python"]) {
    const source = join(repository, "test/sdk", language, "fixtures/languages");
    cpSync(source, join(folder, language), { recursive: true });
  }
  const java = new JavaClasses("test/sdk/java/fixtures/languages", prefix);
  const javaOptions = `module = "languages.App", classpath = "${java.classes}", jvm_args = { "-Xmx64m", "-XX:+UseSerialGC", "-XX:ErrorFile=/dev/null" }`;
  const rust = buildRustRuntime("test/sdk/rust/fixtures/languages", prefix);
  const go = buildGoRuntime("test/sdk/go/fixtures/languages", prefix);
  const c = nativeProgram(prefix, "test/sdk/c/fixtures/languages/runtime.c");
  const loads = {
    c: `nffi.load("${c.library}", { codec = "json", config = config })`,
    "c-process": `nffi.load("process", { program = "${c.program}", codec = "json", config = config })`,
    go: `nffi.load("${go.library}", { codec = "json", config = config })`,
    "go-process": `nffi.load("process", { program = "${go.program}", codec = "json", config = config })`,
    rust: `nffi.load("${rust.library}", { codec = "json", config = config })`,
    "rust-process": `nffi.load("process", { program = "${rust.program}", codec = "json", config = config })`,
    java: `nffi.load("java", { ${javaOptions}, host = "worker", config = config, threads = threads })`,
    "java-process": `nffi.load("java", { ${javaOptions}, config = config, threads = threads })`,
    python: `nffi.load("python", { module = "${folder}/python/runtime.py", host = "worker", program = "${systemPython}", config = config })`,
    "python-process": `nffi.load("python", { module = "${folder}/python/runtime.py", program = "${systemPython}", config = config })`,
    "typescript-process": `nffi.load("node", { module = "${folder}/node/runtime.mjs", config = config })`,
  };
  const rows = Object.entries(loads).map(
    ([name, load]) => `["${name}"] = function(config, threads) return ${load} end,`,
  );
  const isProcess = (name: string) => name.endsWith("-process");
  const all = Object.keys(loads);
  const inWorker = all.filter((name) => !isProcess(name));
  return {
    names: [...inWorker, "typescript-process"],
    inWorker,
    processes: all.filter(isProcess),
    speaksTls: new Set(["go", "java", "python", "typescript-process"]),
    lua: `local nffi = require "resty.nffi"
local loads = {
  ${rows.join("\n  ")}
}
return function(name, config, threads) return assert(loads[name](config, threads)) end
`,
    remove: () => {
      go.remove();
      java.remove();
      rust.remove();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
