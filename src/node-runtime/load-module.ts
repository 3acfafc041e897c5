/**
 * Loads the user's module: JavaScript of either kind, or TypeScript, whose types are removed;
 * syntax that stripping cannot handle is bundled. The imports of the module are resolved relative
 * to its directory, as usual in Node.
 */

import { readFileSync, realpathSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { bundle, findEsbuild, runCommonJs, serveFromMemory } from "./bundle.js";
import { compileModule, errorOf, keep } from "./compilation.js";
import type { Compilation } from "./compiled-file.js";
import { isForBundler, withHint, withPlace } from "./load-errors.js";
import { checkFile, isJsx, isTypeScript } from "./module-file.js";
import { registerTypeScript } from "./typescript.js";

/** Wrapped in an object: a module that exports `then` would be mistaken for a promise. */
export interface Loaded {
  readonly namespace: Record<string, unknown>;
}

/** `compiled`: by another thread. */
export async function loadModule(path: string, compiled?: Compilation): Promise<Loaded> {
  checkFile(path);
  // Stacks of compiled code show its sources.
  process.setSourceMapsEnabled(true);
  if (isJsx(path)) return await loadBundled(path, jsxError(path));
  if (isTypeScript(path)) {
    const compilation = compiled === undefined ? await compileModule(path) : keep(compiled);
    registerTypeScript(compilation);
    const { problem } = compilation;
    if (problem !== undefined) return await loadBundled(path, errorOf(problem));
  }
  return await loadUnbundled(path);
}

/** For other threads that load the module; undefined: it is not TypeScript. */
export async function compileForThreads(path: string): Promise<Compilation | undefined> {
  checkFile(path);
  return isTypeScript(path) ? await compileModule(path) : undefined;
}

/** Makes `import` and `require` of this thread read TypeScript, for this entry of it. */
export async function prepareEntry(path: string): Promise<void> {
  const entry = realpathSync(path);
  const compilation = isJsx(entry) ? undefined : await compileModule(entry);
  const { files = [], problem } = compilation ?? {};
  if (compilation !== undefined && problem === undefined) return registerTypeScript(compilation);
  const reason = problem === undefined ? jsxError(entry) : errorOf(problem);
  const esbuild = findEsbuild(entry);
  if (esbuild === undefined) throw withHint(reason);
  const bundled = bundle(entry, esbuild, readFileSync(entry, "utf8"));
  registerTypeScript(keep({ files: [...files, bundled], problem: undefined }));
}

function jsxError(path: string): Error {
  return new SyntaxError(`${path}: JSX is not supported in strip-only mode`);
}

async function loadUnbundled(path: string): Promise<Loaded> {
  const progress = await newProgress();
  try {
    return await importFrom(pathToFileURL(path).href, [progress.linkedUrl]);
  } catch (error) {
    const reason = withPlace(error, path);
    // Code that has run must not run again, in a bundle.
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
  const { format, code } = bundle(path, esbuild, readFileSync(path, "utf8"));
  if (format === "commonjs") return { namespace: { default: runCommonJs(path, code) } };
  // Another URL: Node keeps what it has found out about the first.
  const url = `${pathToFileURL(path).href}?bundled`;
  serveFromMemory({ url, code });
  return await importFrom(url);
}
