// Takes the prose out of source files and documents, and counts turns of phrase that make it hard
// to read. The rate is hits per 10,000 words.
import { readdirSync, readFileSync, statSync } from "node:fs";
import { extname, join } from "node:path";

export interface Prose {
  readonly file: string;
  readonly text: string;
}

export interface Hit {
  readonly file: string;
  readonly turn: string;
  readonly excerpt: string;
}

const TURNS: Readonly<Record<string, RegExp>> = {
  tell: /\b(?:un)?told\b|\btell(?:s|ing)?\b/gi,
  "nobody, who": new RegExp(
    "\\b(?:no|some|any)body\\b|\\bwhoever\\b|\\bwho (?:is|are|has|waits?|polls?|reads?|takes?|" +
      "answers?|comes?|gets?|calls?|ends?|starts?|goes)\\b",
    "gi",
  ),
  "lies in":
    /\b(?:lies?|lay) (?:in|on|at|beside|below|outside|beyond|there|here|behind|within)\b/gi,
  wants: /\bwant(?:s|ed)?\b/gi,
  gives: /\b(?:gives?|gave|given back)\b/gi,
  ", too": /,? too[.,;:)]/gi,
  "any more": /\bany ?more\b/gi,
  "anew, at once": /\b(?:anew|again and again|at once|meanwhile)\b/gi,
  "of its own": /\bof (?:its|their|our|your|one's) own\b|\bof (?:ours|yours|theirs)\b/gi,
  "by which, those that":
    /\b(?:by|in|from|for|through) which\b|\bthat of\b|\bthose (?:that|of|which|who|with)\b/gi,
  "has gone": /\b(?:has|have|had|is|are|was) gone\b|\bgoes away\b/gi,
  "for ever": /\bfor ever\b|\bfor good\b|\bin earnest\b/gi,
  "so many, as told": /\bso (?:many|long|much|few)\b|\bas told\b/gi,
  "opens with What, Who": /(?:^|[.:;] )(?:What|Whoever|Whichever|Who) [a-z]+ [^.?]*[.;]/gm,
};

const SKIPPED = new Set([".git", ".nffi", "build", "dist", "fixtures", "node_modules", "target"]);
const C_LIKE = new Set([".c", ".go", ".h", ".java", ".js", ".mjs", ".rs", ".ts"]);
const HASH = new Set([".py", ".sh", ".yml", ".toml", ".conf", ""]);

/** The files below `path`, or `path` itself, relative to `root` and sorted. */
export function filesBelow(root: string, path: string): string[] {
  if (!statSync(join(root, path)).isDirectory()) return [path];
  return readdirSync(join(root, path), { withFileTypes: true })
    .filter((entry) => !SKIPPED.has(entry.name))
    .flatMap((entry) => (entry.isFile() || entry.isDirectory() ? [`${path}/${entry.name}`] : []))
    .flatMap((below) => filesBelow(root, below))
    .sort();
}

export function read(root: string, file: string): string {
  return readFileSync(join(root, file), "utf8");
}

/** Markdown without its code. */
export function markdown(text: string): string {
  return text.replace(/^```[\s\S]*?^```$/gm, "").replace(/`[^`\n]*`/g, "CODE");
}

interface Token {
  readonly kind: "comment" | "string";
  readonly text: string;
  readonly start: number;
  readonly end: number;
}

function tokensOf(file: string, text: string): Token[] {
  const string = /"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`(?:[^`\\]|\\.)*`/;
  const comment = C_LIKE.has(extname(file))
    ? /\/\*[\s\S]*?\*\/|\/\/[^\n]*/
    : extname(file) === ".lua"
      ? /--\[\[[\s\S]*?\]\]|--[^\n]*/
      : /"""[\s\S]*?"""|#[^\n]*/;
  const both = new RegExp(`(${comment.source})|(${string.source})`, "g");
  return [...text.matchAll(both)].map((match) => ({
    kind: match[1] === undefined ? "string" : "comment",
    text: match[0],
    start: match.index,
    end: match.index + match[0].length,
  }));
}

function isSource(file: string): boolean {
  return C_LIKE.has(extname(file)) || extname(file) === ".lua" || HASH.has(extname(file));
}

function plain(comment: string): string {
  return comment
    .replace(/^\s*(?:\/\*+|\/\/[/!]?|--\[\[|---?|#+!?|""")|(?:\*\/|\]\]|""")$/g, "")
    .replace(/\n\s*\*? ?/g, " ")
    .replace(/`[^`]*`/g, "CODE");
}

/** The comments of a source file; lines that follow each other are one. */
export function comments(file: string, text: string): string[] {
  if (!isSource(file)) return [];
  const found: string[] = [];
  let end = -1;
  for (const token of tokensOf(file, text)) {
    if (token.kind === "string") continue;
    const follows = end >= 0 && /^\n?[ \t]*$/.test(text.slice(end, token.start));
    const words = plain(token.text);
    if (follows) found[found.length - 1] += ` ${words.trim()}`;
    else found.push(words);
    end = token.end;
  }
  return found.map((one) => one.replace(/\s+/g, " ").trim());
}

/** Text in string literals: four words and more. */
export function strings(file: string, text: string): string[] {
  if (!isSource(file)) return [];
  return tokensOf(file, text)
    .filter((token) => token.kind === "string")
    .map((token) => token.text.slice(1, -1).replace(/\$\{[^}]*\}/g, "CODE"))
    .filter((one) => one.trim().split(/\s+/).length >= 4);
}

const DOCSTRINGS: Readonly<Record<string, RegExp>> = {
  ".java": /\/\*\*[\s\S]*?\*\//g,
  ".py": /"""[\s\S]*?"""/g,
  ".rs": /(?:^[ \t]*\/\/[/!].*\n)+/gm,
  ".go": /(?:^\/\/ .*\n|^\/\/\n)+(?=func (?:\([^)]*\) )?[A-Z]|(?:type|const|var) [A-Z]|package )/gm,
  ".h": /\/\*[\s\S]*?\*\//g,
  ".lua": /(?:^---.*\n)+/gm,
  ".ts": /\/\*\*[\s\S]*?\*\//g,
};

/** The comments that a tool shows to users of a package. */
export function docstrings(file: string, text: string): string[] {
  const pattern = DOCSTRINGS[extname(file)];
  if (pattern === undefined) return [];
  return [...text.matchAll(pattern)].map(([one]) =>
    one
      .replace(/^\s*(?:\/\/[/!]?|---+@?|\/?\*+\/?)/gm, " ")
      .replace(/`[^`]*`/g, "CODE")
      .replace(/\s+/g, " "),
  );
}

/** The titles of tests. */
export function titles(text: string): string[] {
  const pattern = /\b(?:describe|test|it)(?:\.[a-zA-Z]+(?:\([^)]*\))?)*\(\s*(["'`])(.*?)\1/g;
  return [...text.matchAll(pattern)].map((match) => match[2] ?? "");
}

export function hitsOf(prose: readonly Prose[]): Hit[] {
  return prose.flatMap(({ file, text }) =>
    Object.entries(TURNS).flatMap(([turn, pattern]) =>
      [...text.matchAll(pattern)].map((match) => ({
        file,
        turn,
        excerpt: text.slice(Math.max(0, match.index - 40), match.index + 60).replace(/\s+/g, " "),
      })),
    ),
  );
}

export function wordsOf(prose: readonly Prose[]): number {
  return prose.reduce((sum, { text }) => sum + (text.match(/[A-Za-z']+/g) ?? []).length, 0);
}
