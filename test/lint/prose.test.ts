// The budget of prose: how many hard turns of phrase (test/support/prose.ts) each kind of text may
// have per 10,000 words. A budget only goes down: one that is far above the text has to be lowered.
// The goal is 25 in what users read and 60 in the rest. docs/glossary.md has the words to use.
import { existsSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { repository } from "../support/cli.js";
import {
  comments,
  docstrings,
  filesBelow,
  hitsOf,
  markdown,
  type Prose,
  read,
  strings,
  titles,
  wordsOf,
} from "../support/prose.js";

/** How far below its budget a rate may be before the budget has to follow. */
const SLACK = 10;

const LISTED = 40;

type Extract = (file: string, text: string) => readonly string[];

const everything: Extract = (file, text) =>
  file.endsWith(".md")
    ? [markdown(text)]
    : file.endsWith("Test.java") || file.endsWith("_test.go")
      ? comments(file, text)
      : [...comments(file, text), ...strings(file, text)];

const sdk: Extract = (file, text) =>
  /_test\.go$|\/tests?\//.test(file) || /\.[ch]$/.test(file) ? [] : docstrings(file, text);

const native: Extract = (file, text) =>
  /\.(?:c|h)$/.test(file) && !file.startsWith("c-src/include/") ? comments(file, text) : [];

const GROUPS: readonly (readonly [
  name: string,
  budget: number,
  roots: readonly string[],
  extract: Extract,
])[] = [
  ["README and CONTRIBUTING", 20, ["README.md", "CONTRIBUTING.md", "SECURITY.md"], everything],
  ["CHANGELOG", 15, ["CHANGELOG.md"], everything],
  ["docs", 20, ["docs"], everything],
  ["messages and --help of the CLI", 8, ["src"], strings],
  [
    "messages in nginx",
    6,
    ["c-src", "lua"],
    (file, text) => (/test/i.test(file) ? [] : strings(file, text)),
  ],
  ["public headers", 5, ["c-src/include"], docstrings],
  ["docstrings of the SDKs", 12, ["c-src", "lua/types", "src/node-runtime/handler.ts"], sdk],
  ["templates", 12, ["templates"], everything],
  ["examples", 18, ["examples"], everything],
  ["comments of c-src, C", 17, ["c-src"], native],
  ["comments of src", 10, ["src"], comments],
  ["comments of lua", 12, ["lua/resty", "lua/resty_ffi.lua"], comments],
  ["comments of test", 8, ["test"], comments],
  ["comments of bench and scripts", 25, ["bench", "scripts", "bin"], comments],
  ["titles of tests", 23, ["test"], (_, text) => titles(text)],
];

function proseOf(roots: readonly string[], extract: Extract): Prose[] {
  return roots
    .filter((path) => existsSync(`${repository}/${path}`))
    .flatMap((path) => filesBelow(repository, path))
    .map((file) => ({ file, text: extract(file, read(repository, file)).join("\n") }))
    .filter(({ text }) => text !== "");
}

describe("prose", () => {
  test.each(GROUPS)("%s: at most %i per 10,000 words", (name, budget, roots, extract) => {
    const prose = proseOf(roots, extract);
    const hits = hitsOf(prose);
    const words = wordsOf(prose);
    expect(words, `no prose in ${name}`).toBeGreaterThan(100);
    const rate = Math.round((hits.length * 10_000) / words);
    const listed = hits.map(({ file, turn, excerpt }) => `${file} [${turn}] ...${excerpt}...`);
    const first = listed.slice(0, LISTED).join("\n");
    expect(rate, `${name}\n${first}\n${hits.length} in all\n`).toBeLessThanOrEqual(budget);
    expect(budget, `${name} has ${rate}: lower its budget`).toBeLessThanOrEqual(rate + SLACK);
  });
});

test("the count finds what it is meant to find", () => {
  const text = "/* Nobody waits any more,\n * and it gives up. */\nint a; // it lies in b\n";
  const prose = [{ file: "a.c", text: comments("a.c", text).join("\n") }];
  expect(hitsOf(prose).map(({ turn }) => turn)).toEqual([
    "nobody, who",
    "lies in",
    "gives",
    "any more",
  ]);
  expect(wordsOf(prose)).toBe(12);
  expect(strings("a.ts", 'f("too few words", "tell it to me")')).toEqual(["tell it to me"]);
  expect(titles('test("a b", () => {});\n  test.each(X)("%s c", f);')).toEqual(["a b", "%s c"]);
  expect(docstrings("a.go", "// F is public.\nfunc F() {}\n// g is not.\nfunc g() {}\n")).toEqual([
    " F is public. ",
  ]);
});
