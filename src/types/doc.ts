/** JSDoc as lines of a comment in Lua. */
import type * as TypeScript from "typescript";
import type { CheckedModule } from "./compiler.js";

export function docOf({ ts, checker }: CheckedModule, symbol: TypeScript.Symbol): string[] {
  return linesOf(ts.displayPartsToString(symbol.getDocumentationComment(checker)));
}

/** The text of `@deprecated`, which may be empty; undefined: it is not. */
export function deprecationOf(
  { ts, checker }: CheckedModule,
  symbol: TypeScript.Symbol,
): string | undefined {
  const tag = symbol.getJsDocTags(checker).find(({ name }) => name === "deprecated");
  return tag && ts.displayPartsToString(tag.text);
}

/** A line that begins like an annotation would be read as one. */
function linesOf(text: string): string[] {
  if (text.trim() === "") return [];
  return text.split("\n").map((line) => line.trimEnd().replace(/^(\s*)([@|])/, "$1\\$2"));
}
