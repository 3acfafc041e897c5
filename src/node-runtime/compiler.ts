/**
 * The program of a short-lived process that compiles a TypeScript module and the files it imports
 * (`node compiler.js PATH`) and prints them as JSON. In the process that serves the module the type
 * stripper would stay: its WebAssembly costs 15 to 50 MB, and ending a thread frees little of it.
 */

import { readFileSync, realpathSync, statSync } from "node:fs";
import { createRequire, isBuiltin } from "node:module";
import { fileURLToPath, pathToFileURL } from "node:url";
import vm from "node:vm";
import { compileFile } from "./compile-file.js";
import type { Compilation, CompiledFile, Problem } from "./compiled-file.js";
import { isJavaScript, isJsx, isTypeScript, TYPESCRIPT } from "./module-file.js";

/** Node's parser of ES modules, behind a flag that this process is started with. */
const { SourceTextModule } = vm as unknown as {
  SourceTextModule: new (code: string, options: { identifier: string }) => ParsedModule;
};

interface ParsedModule {
  /** Newer Nodes. */
  readonly moduleRequests?: readonly { readonly specifier: string }[];
  /** Older ones. */
  readonly dependencySpecifiers?: readonly string[];
}

interface Dependency {
  readonly specifier: string;
  /** The module cannot be loaded without it; otherwise it may be imported later, or never. */
  readonly isNeeded: boolean;
}

const LITERAL = `\\s*["']([^"'\\n]+)["']`;
const REQUIRED = new RegExp(`\\brequire\\s*\\(${LITERAL}`, "g");
const DYNAMIC = new RegExp(`\\bimport\\s*\\(${LITERAL}`, "g");
const ANY_IMPORT = new RegExp(`(?:\\bfrom|\\bimport(?:\\s*\\()?|\\brequire\\s*\\()${LITERAL}`, "g");
const WRAPPER = ["exports", "require", "module", "__filename", "__dirname"];

/** Where Node finds nothing and a bundler may. */
const NOT_FOUND = ["ERR_MODULE_NOT_FOUND", "ERR_PACKAGE_IMPORT_NOT_DEFINED"];

class Compiler {
  readonly #files = new Map<string, CompiledFile>();
  /** Whether they are needed, by path. */
  readonly #seen = new Map<string, boolean>();
  readonly #queue: string[] = [];
  /** The first error of what is needed, as it was thrown. */
  thrown: Error | undefined;

  compile(entry: string): Compilation {
    this.#add(entry, true);
    for (let path = this.#queue.shift(); path !== undefined; path = this.#queue.shift()) {
      const isNeeded = this.#seen.get(path) === true;
      try {
        for (const dependency of isTypeScript(path) ? this.#typescript(path) : scan(path)) {
          this.#follow(path, { ...dependency, isNeeded: dependency.isNeeded && isNeeded });
        }
      } catch (thrown) {
        if (isNeeded) this.thrown ??= thrown as Error;
      }
    }
    return { files: [...this.#files.values()], problem: this.thrown && problemOf(this.thrown) };
  }

  /** Once more where it turns out to be needed. */
  #add(path: string, isNeeded: boolean): void {
    const before = this.#seen.get(path);
    if (before === true || before === isNeeded) return;
    this.#seen.set(path, isNeeded);
    this.#queue.push(path);
  }

  #typescript(path: string): Dependency[] {
    const file = this.#files.get(path) ?? compileFile(path);
    const dependencies = parse(file);
    this.#files.set(path, file);
    return dependencies;
  }

  #follow(from: string, { specifier, isNeeded }: Dependency): void {
    if (isBuiltin(specifier)) return;
    try {
      const path = resolve(specifier, from, this.#files.get(from)?.format === "module");
      if (path === undefined || path.includes("/node_modules/")) return;
      if (isTypeScript(path) || isJavaScript(path)) this.#add(path, isNeeded);
      if (isJsx(path) && isNeeded) {
        this.thrown ??= new SyntaxError(`${path}: JSX is not supported in strip-only mode`);
      }
    } catch (thrown) {
      // The others are for Node to report, when it comes to them.
      const { code = "" } = thrown as NodeJS.ErrnoException;
      if (isNeeded && NOT_FOUND.includes(code)) this.thrown ??= thrown as Error;
    }
  }
}

/** Returns the imports of a file. Throws its syntax errors. */
function parse({ path, code, format }: CompiledFile): Dependency[] {
  const dynamic = dependenciesIn(code, DYNAMIC, false);
  if (format === "commonjs") {
    vm.compileFunction(code, WRAPPER, { filename: path });
    return [...dependenciesIn(code, REQUIRED, true), ...dynamic];
  }
  const parsed = new SourceTextModule(code, { identifier: path });
  const imported =
    parsed.moduleRequests?.map(({ specifier }) => specifier) ?? parsed.dependencySpecifiers ?? [];
  return [...imported.map((specifier) => ({ specifier, isNeeded: true })), ...dynamic];
}

/** What JavaScript seems to import: whether it is right is for Node to judge. */
function scan(path: string): Dependency[] {
  return dependenciesIn(readFileSync(path, "utf8"), ANY_IMPORT, false);
}

function dependenciesIn(code: string, pattern: RegExp, isNeeded: boolean): Dependency[] {
  return [...code.matchAll(pattern)].map(([, specifier = ""]) => ({ specifier, isNeeded }));
}

/** The file; undefined: none. Throws as Node does when it loads it. */
function resolve(specifier: string, from: string, isModule: boolean): string | undefined {
  if (!isModule) return createRequire(from).resolve(specifier);
  const url = import.meta.resolve(specifier, pathToFileURL(from));
  if (!url.startsWith("file:")) return undefined;
  const path = fileURLToPath(url);
  if (statSync(path, { throwIfNoEntry: false })?.isFile()) return realpathSync(path);
  throw Object.assign(new Error(`Cannot find module '${path}' imported from ${from}`), {
    code: "ERR_MODULE_NOT_FOUND",
  });
}

function problemOf({ name, message, stack = message }: Error): Problem {
  return { isSyntaxError: name === "SyntaxError", message, stack };
}

/** So that require() finds them without an extension, as where they are loaded. */
function registerExtensions(): void {
  const { extensions } = createRequire(import.meta.url);
  for (const extension of TYPESCRIPT) extensions[extension] ??= () => {};
}

const [, , entry] = process.argv;
if (entry !== undefined) {
  registerExtensions();
  const compiler = new Compiler();
  process.stdout.write(JSON.stringify(compiler.compile(entry)), () => {
    // Node prints the place of a syntax error only if the error is not caught.
    if (compiler.thrown !== undefined) throw compiler.thrown;
  });
}
