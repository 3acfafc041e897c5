// The limits of CONTRIBUTING.md for the length of files and functions. clang-tidy checks functions
// in C as well, but neither tests nor benchmarks.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import ts from "typescript";
import { describe, expect, test } from "vitest";
import { repository } from "../support/cli.js";
import { filesBelow } from "../support/prose.js";

type Sizes = readonly (readonly [lines: number, name: string])[];

const sources = [
  "bench",
  "c-src",
  "examples",
  "lua",
  "scripts",
  "src",
  "templates",
  "test",
].flatMap((root) => filesBelow(repository, root));

const linesOf = (file: string) => readFileSync(join(repository, file), "utf8").split("\n");

/** From a line that `begins` matches to the next one that `ends` matches, with its indentation. */
function blocks(begins: RegExp, ends: (indentation: string) => RegExp) {
  return (file: string): Sizes => {
    const lines = linesOf(file);
    return lines.flatMap((line, from) => {
      const begin = begins.exec(line);
      if (begin === null) return [];
      const end = ends(begin[1] ?? "");
      const length = lines.slice(from).findIndex((one, index) => index > 0 && end.test(one));
      return [[length + 1, `${file}:${from + 1}`] as const];
    });
  };
}

const closing = (text: string) => (indentation: string) => new RegExp(`^${indentation}${text}`);

function functionsOfTypeScript(file: string): Sizes {
  const text = linesOf(file).join("\n");
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true);
  const found: [number, string][] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isFunctionLike(node) && "body" in node && node.body !== undefined) {
      const from = source.getLineAndCharacterOfPosition(node.getStart()).line;
      const to = source.getLineAndCharacterOfPosition(node.end).line;
      found.push([to - from + 1, `${file}:${from + 1}`]);
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}

/** Without the functions that are passed to test, describe and their like. */
function helpersOfTests(file: string): Sizes {
  const lines = linesOf(file);
  const isCase = /^\s*(?:describe|test|beforeAll|beforeEach|afterAll|afterEach)\b/;
  return functionsOfTypeScript(file).filter(([length, name]) => {
    const from = Number(name.split(":")[1]) - 1;
    const before = lines.slice(Math.max(0, from - 1), from + 1);
    return length <= 1 || !before.some((line) => isCase.test(line));
  });
}

/** The largest number of lines of a function and of a file; both only go down. */
const LIMITS: readonly {
  readonly name: string;
  readonly files: RegExp;
  readonly file: number;
  readonly function: number;
  readonly functionsOf: (file: string) => Sizes;
}[] = [
  {
    ...{ name: "TypeScript of src", files: /^src\/.*\.ts$/, file: 250, function: 60 },
    functionsOf: functionsOfTypeScript,
  },
  {
    ...{ name: "TypeScript of tests", files: /^test\/.*\.ts$/, file: 550, function: 150 },
    functionsOf: helpersOfTests,
  },
  {
    ...{ name: "scripts and benchmarks", files: /^(scripts|bench)\/.*\.mjs$/ },
    ...{ file: 250, function: 40, functionsOf: functionsOfTypeScript },
  },
  {
    ...{ name: "C of the product", files: /^c-src\/.*\.c$/, file: 600, function: 90 },
    functionsOf: blocks(/^()\{$/, closing("\\}")),
  },
  {
    ...{ name: "C of tests and benchmarks", files: /^(test|bench)\/.*\.c$/, file: 700 },
    ...{ function: 90, functionsOf: blocks(/^()\{$/, closing("\\}")) },
  },
  {
    ...{ name: "C of templates and examples", files: /^(templates|examples)\/.*\.c$/ },
    ...{ file: 550, function: 60, functionsOf: blocks(/^()\{$/, closing("\\}")) },
  },
  {
    ...{ name: "Lua", files: /^(lua\/resty|templates).*\.lua$/, file: 500, function: 75 },
    functionsOf: blocks(/^( *)(?!.*\bend\b)(?:local )?(?:[\w.]+ = )?function\b/, closing("end\\b")),
  },
  {
    ...{ name: "Python", files: /^(c-src|templates|examples)\/.*\.py$/, file: 300, function: 40 },
    functionsOf: blocks(/^( *)(?:async )?def /, (indentation) => {
      return new RegExp(`^ {0,${indentation.length}}\\S|^$(?![\\s\\S])`);
    }),
  },
  {
    ...{ name: "Go", files: /^(c-src|templates|examples)\/.*\.go$/, file: 300, function: 60 },
    functionsOf: blocks(/^()func\b.*[{(]$/, closing("\\}")),
  },
  {
    ...{ name: "Rust", files: /^(c-src|templates|examples)\/.*\.rs$/, file: 460, function: 60 },
    functionsOf: blocks(
      /^( *)(?:pub |pub\(.*\) |async |unsafe |const |extern "C" )*fn .*[^;]$/,
      closing("\\}"),
    ),
  },
  {
    ...{ name: "Java", files: /^(c-src|templates|examples)\/.*\.java$/, file: 310, function: 50 },
    functionsOf: blocks(/^( {4})(?! )[^=]*\)(?: throws [\w., ]+)? \{$/, closing("\\}")),
  },
];

const over = (sizes: Sizes, limit: number) =>
  sizes.filter(([lines]) => lines > limit).map(([lines, name]) => `${name}: ${lines} lines`);

describe.each(LIMITS)("$name", (kind) => {
  const files = sources.filter((file) => kind.files.test(file));

  test(`a file has at most ${kind.file} lines`, () => {
    const sizes = files.map((file) => [linesOf(file).length - 1, file] as const);
    expect(sizes.length).toBeGreaterThan(3);
    expect(over(sizes, kind.file)).toEqual([]);
  });

  test(`a function has at most ${kind.function} lines`, () => {
    const sizes = files.flatMap(kind.functionsOf);
    const largest = Math.max(...sizes.map(([lines]) => lines));
    expect(sizes.length).toBeGreaterThan(10);
    expect(over(sizes, kind.function)).toEqual([]);
    expect(largest, "lower the limit").toBeGreaterThan(kind.function - 20);
  });
});
