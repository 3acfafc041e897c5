// The length of lines in documents and comments, and of all lines in C and Lua. No formatter wraps
// them. Tables, code blocks, links and annotations of types cannot be wrapped and may be longer.
import { readFileSync } from "node:fs";

const DOCUMENT = 110;
const COMMENT = 100;
const C_AND_LUA = 80;

const COMMENTED = /\.(?:ts|mjs|js|py|rs|go|java|sh|yml)$/;
const IS_COMMENT = /^\s*(?:\/\/|#|--|\*|\/\*)/;
const IS_ANNOTATION = /^\s*(?:---|.*--\[\[@|\/\/ (?:biome-ignore|@ts-)|\/\/!? #|#!?\[|\/\/go:)/;
const HAS_LINK = /https?:\/\/|\]\(|\]\[/;

/** The lines of `files` that are too long, one per line. */
export function longLines(files) {
  return files.flatMap((file) => longLinesOf(file, readFileSync(file, "utf8"))).join("\n");
}

/** Exported for its test. */
export function longLinesOf(file, text) {
  const [limit, isBound] = ruleOf(file);
  if (limit === undefined) return [];
  let isInBlock = false;
  return text.split("\n").flatMap((line, index) => {
    if (file.endsWith(".md") && line.trimStart().startsWith("```")) isInBlock = !isInBlock;
    if (isInBlock || line.length <= limit || !isBound(line)) return [];
    return [`${file}:${index + 1}: ${line.length} characters, at most ${limit}`];
  });
}

function ruleOf(file) {
  if (file.endsWith(".d.lua")) return [undefined]; // written by `nffi types`
  if (file.endsWith(".md"))
    return [DOCUMENT, (line) => !line.startsWith("|") && !HAS_LINK.test(line)];
  if (/\.(?:c|h|lua)$/.test(file))
    return [C_AND_LUA, (line) => !IS_ANNOTATION.test(line) && !HAS_LINK.test(line)];
  if (COMMENTED.test(file)) {
    return [
      COMMENT,
      (line) => IS_COMMENT.test(line) && !IS_ANNOTATION.test(line) && !HAS_LINK.test(line),
    ];
  }
  return [undefined];
}
