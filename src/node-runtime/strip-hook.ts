/**
 * The module hook that makes `import` read TypeScript, on a Node that runs it in a separate thread.
 */

import type { InitializeHook, LoadHook } from "node:module";
import { compiledFile, keep } from "./compilation.js";
import { type HookData, typeScriptOf } from "./typescript.js";

export const initialize: InitializeHook<HookData> = ({ compilation }) => {
  keep(compilation);
};

export const load: LoadHook = (url, context, nextLoad) => {
  const path = typeScriptOf(url);
  if (path === undefined) return nextLoad(url, context);
  const { format, code } = compiledFile(path);
  // Without a source, require() loads a CommonJS module, and typescript.ts handles that: with a
  // source, require() inside it would not be the real one.
  return format === "module"
    ? { format, source: code, shortCircuit: true }
    : { format, source: null as unknown as string, shortCircuit: true };
};
