/**
 * TypeScript that is more than JavaScript with types (enum, decorators, JSX, paths of
 * tsconfig.json, imports without an extension): bundled by the esbuild of the user's project, in
 * memory. Packages are left out of the bundle, so that Node loads them as it loads any.
 */

import Module, { createRequire } from "node:module";
import { dirname } from "node:path";
import { pathToFileURL } from "node:url";
import type { Bundle } from "./bundle-hook.js";
import { type CompiledFile, versionOf } from "./compiled-file.js";
import { formatOfSource } from "./module-format.js";
import { tsconfigWith } from "./tsconfig.js";

/** The part of esbuild's API in use; a project need not have its types. */
interface Esbuild {
  buildSync(options: Record<string, unknown>): {
    readonly outputFiles: readonly { readonly text: string }[];
    readonly warnings: readonly Finding[];
  };
}

interface Finding {
  readonly text: string;
  readonly location: { readonly file: string; readonly line: number } | null;
}

/** The parts of Node's CommonJS that its types leave out. */
interface CommonJs {
  new (path: string): CommonJsModule;
  _nodeModulePaths(folder: string): string[];
}

interface CommonJsModule {
  exports: unknown;
  filename: string;
  paths: string[];
  _compile(code: string, path: string): void;
}

/** The hooks of newer Nodes, which run in this thread. */
interface SyncHooks {
  registerHooks?(hooks: { load(url: string, context: unknown, next: NextLoad): unknown }): void;
}

type NextLoad = (url: string, context: unknown) => unknown;

/** The esbuild that the module would import; undefined: it has none. */
export function findEsbuild(path: string): Esbuild | undefined {
  const require = createRequire(path);
  try {
    require.resolve("esbuild");
  } catch {
    return undefined;
  }
  return require("esbuild") as Esbuild;
}

/** The module and its own files as one. Throws a SyntaxError that names the place. */
export function bundle(path: string, esbuild: Esbuild, source: string): CompiledFile {
  const format = formatOfSource(path, source);
  const version = versionOf(path);
  return { path, format, code: build(path, esbuild, format === "module" ? "esm" : "cjs"), version };
}

/** esbuild's output for a `require` in an ES module, including `import x = require()`. */
const ASKS_FOR_REQUIRE = /^var __require = /m;
const GIVES_REQUIRE =
  'import { createRequire as nffiCreateRequire } from "node:module"; ' +
  "const require = nffiCreateRequire(import.meta.url);";
const HAS_REQUIRE = /^(?:const|let|var|function) require\b|^import .*\brequire\b/m;

function build(path: string, esbuild: Esbuild, format: "esm" | "cjs"): string {
  const code = run(path, esbuild, { format });
  requireNoMetadata(path, code);
  if (format === "cjs" || !ASKS_FOR_REQUIRE.test(code) || HAS_REQUIRE.test(code)) return code;
  return run(path, esbuild, { format, banner: { js: GIVES_REQUIRE } });
}

/** esbuild's output for decorators with `experimentalDecorators`. */
const DECORATES = /^var __decorateClass = /m;

/**
 * Libraries that read the metadata would find none, and fail in ways that do not name the cause.
 */
function requireNoMetadata(path: string, code: string): void {
  if (!DECORATES.test(code)) return;
  const tsconfig = tsconfigWith("emitDecoratorMetadata", path);
  if (tsconfig === undefined) return;
  throw new Error(
    `${path}: emitDecoratorMetadata is set in ${tsconfig}, and esbuild writes no metadata: compile ` +
      "the project with tsc and load its JavaScript, or remove the option where nothing reads it",
  );
}

function run(path: string, esbuild: Esbuild, options: Record<string, unknown>): string {
  try {
    const { outputFiles, warnings } = esbuild.buildSync({
      absWorkingDir: dirname(path),
      entryPoints: [path],
      // Never written: the sources of its map are named relative to it.
      outfile: `${path}.bundled.js`,
      write: false,
      bundle: true,
      packages: "external",
      external: ["*.node"],
      platform: "node",
      ...options,
      target: `node${process.versions.node}`,
      sourcemap: "inline",
      sourcesContent: false,
      keepNames: true,
      logLevel: "silent",
    });
    for (const warning of warnings) console.warn(inOneLine(warning, path));
    return outputFiles[0]?.text ?? "";
  } catch (error) {
    const [first] = (error as { errors?: readonly Finding[] }).errors ?? [];
    if (first === undefined) throw error;
    throw new SyntaxError(inOneLine(first, path), { cause: error });
  }
}

function inOneLine({ text, location }: Finding, path: string): string {
  if (location === null) return `${path}: ${text}`;
  const file = location.file.startsWith("/")
    ? location.file
    : new URL(location.file, pathToFileURL(path)).pathname;
  return `${file}:${location.line}: ${text}`;
}

export function runCommonJs(path: string, code: string): unknown {
  const Loader = Module as unknown as CommonJs;
  const module = new Loader(path);
  module.filename = path;
  module.paths = Loader._nodeModulePaths(dirname(path));
  module._compile(code, path);
  return module.exports;
}

export function serveFromMemory(made: Bundle): void {
  const { registerHooks } = Module as unknown as SyncHooks;
  if (registerHooks === undefined) {
    Module.register(new URL("./bundle-hook.js", import.meta.url), { data: made });
    return;
  }
  registerHooks({
    load: (url, context, next) =>
      url === made.url
        ? { format: "module", source: made.code, shortCircuit: true }
        : next(url, context),
  });
}
