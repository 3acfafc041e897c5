/**
 * Loaded before the main file of each process and worker thread (`node --import`), which inherit it
 * from the process that serves a module: makes a thread or a forked process that the module starts
 * from TypeScript read it.
 */

import Module from "node:module";
import { getEnvironmentData, isMainThread } from "node:worker_threads";

const [, entry = ""] = process.argv;
// An older Node would start a thread for its hooks, which costs 9 MB.
const isCheap = "registerHooks" in Module;
const isOurs = entry.startsWith(import.meta.dirname);

if (/\.(?:[cm]?ts|tsx|jsx)$/.test(entry)) {
  const { prepareEntry } = await import("./load-module.js");
  await prepareEntry(entry);
} else if (isCheap && !isMainThread && !isOurs && getEnvironmentData("nffi.typescript")) {
  // JavaScript, of a package say, that may import TypeScript of the module.
  const { registerTypeScript } = await import("./typescript.js");
  registerTypeScript({ files: [], problem: undefined });
}
