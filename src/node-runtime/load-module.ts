/**
 * Loads the user's module: JavaScript of either kind, or TypeScript. Node strips the types if it
 * can, otherwise hooks of this runtime do; syntax that stripping cannot handle is bundled. The
 * imports of the module are resolved relative to its directory, as usual in Node.
 */

import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import Module from "node:module";
import { pathToFileURL } from "node:url";
import { bundle, findEsbuild } from "./bundle.js";
import { checkFile, isJsx, isTypeScript, TYPESCRIPT } from "./module-file.js";
import { formatOf } from "./module-format.js";

/** Wrapped in an object: an export named `then` would be taken for that of a promise. */
export interface Loaded {
  readonly namespace: Record<string, unknown>;
}

const GENERATED =
  "syntax that needs more than its types removed. Either install esbuild in its project, which " +
  "then bundles it (npm install esbuild), or do without it (erasableSyntaxOnly in tsconfig.json)";
const UNRESOLVED =
  "name the file with its extension, or install esbuild in its project, which then bundles it";

export async function loadModule(path: string): Promise<Loaded> {
  checkFile(path);
  // Stacks of compiled code show its sources.
  process.setSourceMapsEnabled(true);
  if (isJsx(path)) return await loadBundled(path, new Error(`${path}: JSX is ${GENERATED}`));
  if (isTypeScript(path) && !nodeStripsTypes()) await registerStripping();
  const progress = await newProgress();
  try {
    return await importFrom(pathToFileURL(path).href, [progress.linkedUrl]);
  } catch (error) {
    const reason = withPlace(error, path);
    // What has run must not run again, in a bundle.
    const mayBundle = isTypeScript(path) && !progress.state.linked && isForBundler(error);
    if (mayBundle) return await loadBundled(path, reason);
    throw reason;
  }
}

/**
 * Imports through an intermediate module: `await import()` would call an export named `then`. The
 * modules `before` are evaluated before the one at `url`.
 */
async function importFrom(url: string, before: readonly string[] = []): Promise<Loaded> {
  const first = before.map((each) => `import ${JSON.stringify(each)};`).join("");
  const wrapper = await import(
    moduleUrl(
      `${first} import * as all from ${JSON.stringify(url)}; export const namespace = () => all;`,
    )
  );
  return { namespace: wrapper.namespace() };
}

interface Progress {
  /** All modules of the graph were found and understood, so that the first of them runs. */
  readonly state: { linked: boolean };
  /** Says so when it is imported before them: nothing is evaluated before all are linked. */
  readonly linkedUrl: string;
}

let loads = 0;

async function newProgress(): Promise<Progress> {
  const stateUrl = moduleUrl(`export const state = { linked: false }; // ${loads++}`);
  const { state } = await import(stateUrl);
  const linkedUrl = moduleUrl(
    `import { state } from ${JSON.stringify(stateUrl)}; state.linked = true;`,
  );
  return { state, linkedUrl };
}

function moduleUrl(code: string): string {
  return `data:text/javascript,${encodeURIComponent(code)}`;
}

/** `reason`: why it must be; thrown where there is no bundler. */
async function loadBundled(path: string, reason: Error): Promise<Loaded> {
  const esbuild = findEsbuild(path);
  if (esbuild === undefined) throw withHint(reason);
  const bundled = bundle(path, esbuild, readFileSync(path, "utf8"));
  if ("url" in bundled) return await importFrom(bundled.url);
  return { namespace: { default: bundled.exports } };
}

/** Whether a bundler may find what Node did not, or understand it. */
function isForBundler(error: unknown): boolean {
  return error instanceof SyntaxError || BUNDLER_MAY_HELP.has(codeOf(error));
}

/** Whether a syntax error is of a module's text, not thrown by code (JSON.parse, `new RegExp`). */
function isOfLoader(error: unknown): error is SyntaxError {
  if (!(error instanceof SyntaxError)) return false;
  const frame = /^ +at (.*)$/m.exec(error.stack ?? "")?.[1];
  return frame === undefined || /\bnode:internal\//.test(frame);
}

const BUNDLER_MAY_HELP = new Set([
  "ERR_MODULE_NOT_FOUND",
  "MODULE_NOT_FOUND",
  "ERR_UNSUPPORTED_DIR_IMPORT",
  // of a file that it imports: .tsx
  "ERR_UNKNOWN_FILE_EXTENSION",
  "ERR_PACKAGE_IMPORT_NOT_DEFINED",
  "ERR_UNSUPPORTED_NODE_MODULES_TYPE_STRIPPING",
]);

function codeOf(error: unknown): string {
  return error instanceof Error ? String((error as NodeJS.ErrnoException).code) : "";
}

/** Adds what to do, where it is certain that this is the trouble. */
function withHint(reason: Error): Error {
  const { message } = reason;
  const missing = /Cannot find module '(\/[^']*)'/.exec(message)?.[1];
  if (missing !== undefined && TYPESCRIPT.some((extension) => existsSync(missing + extension))) {
    reason.message = `${message}; ${UNRESOLVED}`;
  } else if (/not supported in strip-only mode|Unknown file extension/.test(message)) {
    reason.message = `${message}; it is ${GENERATED}`;
  } else if (/Invalid or unexpected token|does not provide an export named/.test(message)) {
    reason.message = `${message}; a decorator, or a type imported without "type", is ${GENERATED}`;
  }
  return reason;
}

/**
 * The position of a syntax error: Node hides it from code that catches an error of an ES module.
 */
function withPlace(error: unknown, path: string): Error {
  // What the type stripper throws names it already, what code throws has its stack.
  if (!isOfLoader(error) || error.message.startsWith("/")) return error as Error;
  return new SyntaxError(`${placeOf(error, path)}: ${error.message}`, { cause: error });
}

function placeOf(error: SyntaxError, path: string): string {
  const place = /^(?:file:\/\/)?(\/.*:\d+)\n/;
  const told = place.exec(error.stack ?? "");
  if (told?.[1] !== undefined) return told[1];
  // Another Node reports it; it only parses this one file and runs nothing.
  const { stderr } = spawnSync(process.execPath, ["--check", path], { encoding: "utf8" });
  return place.exec(stderr ?? "")?.[1] ?? `${path}, or a module that it imports`;
}

/** False, "strip" or "transform" from Node 22.10 on. */
function nodeStripsTypes(): boolean {
  return Boolean((process.features as { typescript?: string | false }).typescript);
}

/** The parts of Node's module system that its types leave out. */
interface CommonJsLoader {
  _extensions: Record<string, (module: CommonJsModule, path: string) => void>;
}

interface CommonJsModule {
  _compile(code: string, path: string, format: string): void;
}

let registered: Promise<void> | undefined;

function registerStripping(): Promise<void> {
  registered ??= (async () => {
    // Not a named import: the whole program could not start on a Node that lacks it.
    if (Module.register === undefined) {
      throw new Error(`TypeScript needs Node 20.6 or newer, this is ${process.version}`);
    }
    const { stripTypes } = await import("./strip-types.js");
    Module.register(new URL("./strip-hook.js", import.meta.url));
    const { _extensions } = Module as unknown as CommonJsLoader;

    for (const extension of TYPESCRIPT) {
      _extensions[extension] = (module, path) => {
        const code = stripTypes(readFileSync(path, "utf8"), path);
        module._compile(code, path, formatOf(path, code));
      };
    }
  })();
  return registered;
}
