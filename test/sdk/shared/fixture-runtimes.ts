// One fixture in all six languages, test/sdk/<language>/fixtures/<name>, built and ready to load:
// as threads of the worker, and as NAME-process in a process. TypeScript has the process only.
import { chmodSync, cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { repository } from "../../support/cli.js";
import { nativeProgram } from "../../support/native-runtime.js";
import { buildGoRuntime } from "../go/go-runtime.js";
import { JavaClasses } from "../java/java-runtime.js";
import { systemPython } from "../python/python.js";
import { buildRustRuntime } from "../rust/rust-runtime.js";

/** All that have an SDK. */
export const SDK_RUNTIMES = [
  ...["go", "java", "python", "rust"].flatMap((name) => [name, `${name}-process`]),
  "typescript-process",
];

/** C has nffi.h instead, and no JSON library. */
export const ALL_RUNTIMES = ["c", "c-process", ...SDK_RUNTIMES];

export interface FixtureRuntimes {
  /** A Lua table: for each runtime a function that loads it with a configuration. */
  readonly lua: string;
  remove(): void;
}

/** `cSource`: a source of C below the repository. The class in Java is `<name>.App`. */
export function buildFixtureRuntimes(
  prefix: string,
  name: string,
  cSource: string,
): FixtureRuntimes {
  const folder = mkdtempSync(join(tmpdir(), `nffi-${name}-`));
  chmodSync(folder, 0o755);
  for (const language of ["node", "python"]) {
    const source = join(repository, "test/sdk", language, "fixtures", name);
    cpSync(source, join(folder, language), { recursive: true });
  }
  // as npm installs the package of the product
  mkdirSync(join(folder, "node/node_modules/@nffi"), { recursive: true });
  symlinkSync(join(prefix, "nffi/node"), join(folder, "node/node_modules/@nffi/runtime"));
  const java = new JavaClasses(`test/sdk/java/fixtures/${name}`, prefix);
  const rust = buildRustRuntime(`test/sdk/rust/fixtures/${name}`, prefix);
  const go = buildGoRuntime(`test/sdk/go/fixtures/${name}`, prefix);
  const c = nativeProgram(prefix, cSource);

  const native = (language: string, built: { library: string; program: string }) => [
    [language, `"${built.library}", { codec = "json", config = config or {} }`],
    [
      `${language}-process`,
      `"process", { program = "${built.program}", codec = "json", config = config or {} }`,
    ],
  ];
  const virtual = (language: string, options: string) => [
    [language, `"${language}", { ${options}, host = "worker", config = config or {} }`],
    [`${language}-process`, `"${language}", { ${options}, config = config or {} }`],
  ];
  const rows = [
    ...native("c", c),
    ...native("go", go),
    ...native("rust", rust),
    ...virtual(
      "java",
      `module = "${name}.App", classpath = "${java.classes}", jvm_args = { "-Xmx256m", "-XX:+UseSerialGC" }`,
    ),
    ...virtual("python", `module = "${folder}/python/runtime.py", program = "${systemPython}"`),
    [
      "typescript-process",
      `"node", { module = "${folder}/node/runtime.mjs", config = config or {} }`,
    ],
  ].map(([runtime, load]) => `["${runtime}"] = function(config) return nffi.load(${load}) end,`);
  return {
    lua: `{ ${rows.join("\n")} }`,
    remove: () => {
      for (const built of [java, rust, go]) built.remove();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
