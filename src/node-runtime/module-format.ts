/**
 * Whether a file is an ES module or CommonJS: by extension, then by package.json, then by looks.
 */

import { readFileSync } from "node:fs";
import { dirname, extname, join } from "node:path";
import { compileFunction } from "node:vm";

export type Format = "module" | "commonjs";

/** As Node decides. */
export function formatOf(path: string, javascript: string): Format {
  return formatByName(path) ?? detectFormat(javascript);
}

/** The same for a source that is no JavaScript and cannot be compiled to find out. */
export function formatOfSource(path: string, source: string): Format {
  const named = formatByName(path);
  if (named !== undefined) return named;
  if (/^\s*export\s*=|^\s*import\s+\w+\s*=\s*require\(/m.test(source)) return "commonjs";
  return /^\s*(?:import|export)\b/m.test(source) ? "module" : "commonjs";
}

function formatByName(path: string): Format | undefined {
  const extension = extname(path);
  if (extension === ".mts") return "module";
  if (extension === ".cts") return "commonjs";
  return packageType(dirname(path));
}

function packageType(folder: string): Format | undefined {
  for (let at = folder; ; at = dirname(at)) {
    try {
      const { type } = JSON.parse(readFileSync(join(at, "package.json"), "utf8"));
      return type === "module" || type === "commonjs" ? type : undefined;
    } catch (error) {
      if (error instanceof SyntaxError) return undefined;
    }
    if (at === dirname(at)) return undefined;
  }
}

/** True if it compiles as the body of a CommonJS module; the ES loader judges all other files. */
function detectFormat(javascript: string): Format {
  try {
    compileFunction(javascript, ["exports", "require", "module", "__filename", "__dirname"]);
    return "commonjs";
  } catch {
    return "module";
  }
}
