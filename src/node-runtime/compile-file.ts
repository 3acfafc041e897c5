/** One TypeScript file as JavaScript, in this thread, which then keeps the type stripper. */

import { readFileSync } from "node:fs";
import { type CompiledFile, versionOf } from "./compiled-file.js";
import { formatOf } from "./module-format.js";
import { stripTypes } from "./strip-types.js";

/** Throws if the file cannot be read or has more than types to remove. */
export function compileFile(path: string): CompiledFile {
  const version = versionOf(path);
  const code = stripTypes(readFileSync(path, "utf8"), path);
  return { path, format: formatOf(path, code), code, version };
}
