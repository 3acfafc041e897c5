/** Settings of a project's tsconfig.json that esbuild reads but does not report. */

import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

interface Tsconfig {
  readonly extends?: string | readonly string[];
  readonly compilerOptions?: Readonly<Record<string, unknown>>;
}

/** The tsconfig.json that sets an option of the compiler to true, for a module; undefined: none. */
export function tsconfigWith(option: string, module: string): string | undefined {
  for (let folder = dirname(module); ; folder = dirname(folder)) {
    const file = join(folder, "tsconfig.json");
    if (existsSync(file)) {
      const found = lookUp(option, file, []);
      return found?.value === true ? found.file : undefined;
    }
    if (folder === dirname(folder)) return undefined;
  }
}

function lookUp(
  option: string,
  file: string,
  before: readonly string[],
): { file: string; value: unknown } | undefined {
  const config = before.includes(file) ? undefined : read(file);
  const value = config?.compilerOptions?.[option];
  if (value !== undefined) return { file, value };
  // of several, the last one wins
  for (const base of [config?.extends ?? []].flat().reverse()) {
    const found = lookUp(option, resolve(base, file), [...before, file]);
    if (found !== undefined) return found;
  }
  return undefined;
}

function resolve(base: string, from: string): string {
  const { resolve } = createRequire(from);
  for (const name of [base, `${base}.json`, `${base}/tsconfig.json`]) {
    try {
      return resolve(name);
    } catch {
      // the next way to write it
    }
  }
  return base;
}

/** JSON with comments and commas at the end; undefined: it cannot be read. */
function read(file: string): Tsconfig | undefined {
  try {
    const text = readFileSync(file, "utf8")
      .replace(/("(?:\\.|[^"\\])*")|\/\/[^\n]*|\/\*[\s\S]*?\*\//g, "$1")
      .replace(/("(?:\\.|[^"\\])*")|,(?=\s*[}\]])/g, "$1");
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
