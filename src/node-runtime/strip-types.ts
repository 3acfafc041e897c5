/**
 * TypeScript on a Node that does not strip types itself (before 22.18), with the library that Node
 * has inside from 22.18 on, so that a file means the same on every version: types become blanks,
 * lines and columns stay, and syntax that would need code generated (enum, namespace) is refused.
 *
 * Loaded twice: by load-module.ts for require(), and in the thread of module hooks for import.
 */

import { transformSync } from "@swc/wasm-typescript";

/** The JavaScript of a TypeScript file. */
export function stripTypes(source: string, path: string): string {
  if (path.includes("/node_modules/")) {
    throw new SyntaxError(
      `${path}: packages in node_modules must be JavaScript, as in Node itself`,
    );
  }
  try {
    return transformSync(source, { mode: "strip-only", filename: path }).code;
  } catch (error) {
    throw syntaxError(error, path);
  }
}

/**
 * The library throws plain objects. As with Node's own, the message is one line, which names the
 * place, and the lines of the source are in the stack.
 */
function syntaxError(thrown: unknown, path: string): SyntaxError {
  const { message, snippet, startLine } = thrown as Record<string, unknown>;
  if (typeof message !== "string") return new SyntaxError(`${path}: ${String(thrown)}`);
  const error = new SyntaxError(`${path}:${startLine}: ${message.split("\n", 1)[0]}`);
  const source = typeof snippet === "string" ? snippet.trimEnd().split("\n") : [];
  error.stack = [String(error), ...source.map((line) => `    ${line}`)].join("\n");
  return error;
}
