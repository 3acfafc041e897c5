/** The module hook that makes `import` read TypeScript; it runs in a separate thread. */

import { readFileSync } from "node:fs";
import type { LoadHook } from "node:module";
import { fileURLToPath } from "node:url";
import { isTypeScript } from "./module-file.js";
import { formatOf } from "./module-format.js";
import { stripTypes } from "./strip-types.js";

export const load: LoadHook = (url, context, nextLoad) => {
  if (!url.startsWith("file:")) return nextLoad(url, context);
  const path = fileURLToPath(url);
  if (!isTypeScript(path)) return nextLoad(url, context);
  const source = stripTypes(readFileSync(path, "utf8"), path);
  const format = formatOf(path, source);
  // Without a source, require() loads a CommonJS module, and load-module.ts handles that: with a
  // source, require() inside it would not be the real one.
  return format === "module"
    ? { format, source, shortCircuit: true }
    : { format, source: null as unknown as string, shortCircuit: true };
};
