/**
 * Makes `import` and `require` read TypeScript in this thread, the same on every Node. Newer Nodes
 * remove types themselves, with a stripper that stays in their memory.
 */

import Module from "node:module";
import { extname } from "node:path";
import { fileURLToPath } from "node:url";
import { setEnvironmentData } from "node:worker_threads";
import { compiledFile, isKept } from "./compilation.js";
import type { Compilation } from "./compiled-file.js";
import { isTypeScript, TYPESCRIPT } from "./module-file.js";

/** What Node's types leave out. */
interface Loader {
  readonly _extensions: Record<string, (module: CommonJsModule, path: string) => void>;
  /** From 22.15 on: hooks that run in this thread. */
  registerHooks?(hooks: { load(url: string, context: unknown, next: NextLoad): unknown }): void;
}

interface CommonJsModule {
  _compile(code: string, path: string, format: string): void;
}

type NextLoad = (url: string, context: unknown) => unknown;

/** The data for the thread of hooks, where Node has one. */
export interface HookData {
  readonly compilation: Compilation;
}

let isRegistered = false;

export function registerTypeScript(compilation: Compilation): void {
  // for preload.ts in the threads of the module
  setEnvironmentData("nffi.typescript", true);
  if (isRegistered) return;
  isRegistered = true;
  const loader = Module as unknown as Loader;
  const extensions = compilation.files.map(({ path }) => extname(path));
  for (const extension of new Set([...TYPESCRIPT, ...extensions])) {
    loader._extensions[extension] = (module, path) => {
      const { code, format } = compiledFile(path);
      module._compile(code, path, format);
    };
  }
  if (loader.registerHooks === undefined) {
    const data: HookData = { compilation };
    Module.register(new URL("./strip-hook.js", import.meta.url), { data });
    return;
  }
  loader.registerHooks({
    load(url, context, next) {
      const path = typeScriptOf(url);
      if (path === undefined) return next(url, context);
      const { code, format } = compiledFile(path);
      return { format, source: code, shortCircuit: true };
    },
  });
}

/** The path of the file that a URL names, if it is TypeScript or was compiled. */
export function typeScriptOf(url: string): string | undefined {
  if (!url.startsWith("file:")) return undefined;
  const path = fileURLToPath(url);
  return isTypeScript(path) || isKept(path) ? path : undefined;
}
