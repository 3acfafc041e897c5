/**
 * The text of errors when loading a module: the place, and a hint for TypeScript syntax that type
 * stripping alone cannot remove.
 */

import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { TYPESCRIPT } from "./module-file.js";

const INSTALL = "install esbuild in its project, which then bundles it (npm install esbuild)";
const GENERATED =
  "syntax that needs more than its types removed. Either install esbuild in its project, which " +
  "then bundles it (npm install esbuild), or do without it (erasableSyntaxOnly in tsconfig.json)";

/** Whether a bundler may find what Node did not, or understand it. */
export function isForBundler(error: unknown): boolean {
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
  // JSON that is imported as TypeScript allows it
  "ERR_IMPORT_ATTRIBUTE_MISSING",
  "ERR_IMPORT_ASSERTION_TYPE_MISSING",
]);

function codeOf(error: unknown): string {
  return error instanceof Error ? String((error as NodeJS.ErrnoException).code) : "";
}

/** Adds what to do, where the cause is certain. */
export function withHint(reason: Error): Error {
  const hint = hintOf(reason);
  if (hint !== undefined) reason.message = `${reason.message}; ${hint}`;
  return reason;
}

function hintOf(reason: Error): string | undefined {
  const { message } = reason;
  const missing = /Cannot find module '(\/[^']*)'/.exec(message)?.[1];
  if (missing !== undefined && TYPESCRIPT.some((extension) => existsSync(missing + extension))) {
    return `name the file with its extension, or ${INSTALL}`;
  }
  const [, name, importer] =
    /Cannot find package '([^']+)' imported from (\S+)/.exec(message) ?? [];
  if (name === "@nffi/runtime") {
    const here = dirname(fileURLToPath(import.meta.url));
    return `for types alone write \`import type\`, else run \`npm install ${here}\` in its project`;
  }
  // an alias such as "@/x" is no name of a package
  if (importer !== undefined && /^(?:@\w[\w.-]*\/)?\w[\w.-]*$/.test(name ?? ""))
    return `run \`npm install ${name}\` in its project`;
  if (/not supported in strip-only mode|Unknown file extension/.test(message)) {
    return `it is ${GENERATED}`;
  }
  if (/Invalid or unexpected token|does not provide an export named/.test(message)) {
    return `a decorator, or a type imported without "type", is ${GENERATED}`;
  }
  if (/Cannot use import statement outside|Unexpected token 'export'/.test(message)) {
    return (
      `the file is CommonJS, where Node has no import and export: set "type": "module" in ` +
      `package.json, or ${INSTALL}`
    );
  }
  if (/import attribute .*json|import assertion of type "json"/.test(message)) {
    return `write \`with { type: "json" }\` after the import, or ${INSTALL}`;
  }
  return undefined;
}

/**
 * The position of a syntax error: Node hides it from code that catches an error of an ES module.
 */
export function withPlace(error: unknown, path: string): Error {
  // Errors of the type stripper name it already, errors thrown by code have a stack.
  if (!isOfLoader(error) || error.message.startsWith("/")) return error as Error;
  return new SyntaxError(`${placeOf(error, path)}: ${error.message}`, { cause: error });
}

function placeOf(error: SyntaxError, path: string): string {
  const place = /^(?:file:\/\/)?(\/.*:\d+)\n/;
  const match = place.exec(error.stack ?? "");
  if (match?.[1] !== undefined) return match[1];
  // Another Node reports it; it only parses this one file and runs nothing.
  const { stderr } = spawnSync(process.execPath, ["--check", path], { encoding: "utf8" });
  return place.exec(stderr ?? "")?.[1] ?? `${path}, or a module that it imports`;
}
