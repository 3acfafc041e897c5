// docs/sdk.md names what every SDK has: each name in its table is one that the sources export, and
// each member of a Context is in the page.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { repository } from "../support/cli.js";

const read = (path: string) => readFileSync(join(repository, path), "utf8");

/** The text of all files of a directory with this ending. */
const readAll = (folder: string, ending: string) =>
  readdirSync(join(repository, folder))
    .filter((name) => name.endsWith(ending))
    .map((name) => read(join(folder, name)))
    .join("\n");

/** From `start` to the first line that is `end`. */
function bodyOf(text: string, start: string, end = "}"): string {
  const from = text.indexOf(start);
  expect(from, start).toBeGreaterThanOrEqual(0);
  return text.slice(from, text.indexOf(`\n${end}`, from));
}

const found = (text: string, pattern: RegExp) =>
  [...text.matchAll(pattern)].map((match) => match[1] ?? "");

const java = "c-src/sdk/java";
const typescript = read("src/node-runtime/handler.ts");
const python = read("c-src/sdk/python/nffi/context.py");
const go = readAll("c-src/sdk/go", ".go");
const rust = read("c-src/sdk/rust/src/lib.rs");
const rustContext = read("c-src/sdk/rust/src/context.rs");
const header = read("c-src/include/nffi.h");

/** The context of a handler: the names in the class or interface of its context. */
const CONTEXT = {
  TypeScript: found(
    bodyOf(typescript, "export interface Context"),
    /^ {2}(?:readonly )?(\w+)[(:]/gm,
  ),
  Go: found(go, /^func \(c \*callContext\) ([A-Z]\w+)\(/gm),
  Rust: found(bodyOf(rustContext, "impl Context {"), /^ {4}pub fn (\w+)\(/gm),
  Python: found(python.slice(python.indexOf("class Context")), /^ {4}def ([a-z]\w+)\(self/gm),
  Java: found(read(`${java}/nffi/Context.java`), /^ {4}[\w<>]+ (\w+)\([^)]*\);/gm),
  C: found(bodyOf(header, "typedef struct nffi_request {"), /^ {4}.*?(\w+);/gm),
};

/** Everything else that a program may name, with what stands before the name in the table. */
const EXPORTS: Readonly<Record<string, readonly string[]>> = {
  TypeScript: [
    ...found(typescript, /^export (?:class|function|type|interface) (\w+)/gm),
    ...found(bodyOf(typescript, "export interface Log"), /^ {2}(\w+)\(/gm).map(
      (level) => `context.log.${level}`,
    ),
    "yield",
  ],
  Go: [
    ...found(go, /^func ([A-Z]\w*)[[(]/gm).map((name) => `nffi.${name}`),
    ...found(go, /^type ([A-Z]\w*) /gm).map((name) => `nffi.${name}`),
    ...found(go, /^\t(Level\w+)\s+Level =/gm).map((name) => `nffi.${name}`),
    ...found(readAll("c-src/sdk/go/nffitest", ".go"), /^func ([A-Z]\w*)[[(]/gm).map(
      (name) => `nffitest.${name}`,
    ),
    ...found(bodyOf(go, "func JSONStream[", ") Handler {"), /\b(send) func/g),
  ],
  Rust: [
    ...found(rust, /^pub (?:use|mod) (.*);/gm)
      .flatMap((names) => names.match(/\w+/g) ?? [])
      .flatMap((name) => [name, `nffi::${name}`]),
    ...found(read("c-src/sdk/rust/src/log.rs"), /^ {4}(\w+)(?: = 1)?,/gm).map(
      (level) => `Level::${level}`,
    ),
    ...found(bodyOf(read("c-src/sdk/rust/src/json.rs"), "> Values<T> {"), /pub fn (\w+)\(/g).map(
      (name) => `values.${name}`,
    ),
  ],
  Python: [
    ...found(bodyOf(read("c-src/sdk/python/nffi/__init__.py"), "__all__", ""), /"(\w+)"/g).map(
      (name) => `nffi.${name}`,
    ),
    ...found(bodyOf(python, "class Log", "class"), /^ {4}def ([a-z]\w+)\(/gm).map(
      (level) => `context.log.${level}`,
    ),
    ...(existsSync(join(repository, "c-src/sdk/python/nffi/testing.py")) ? ["nffi.testing"] : []),
    "yield",
  ],
  Java: [
    ...found(readAll(`${java}/nffi`, ".java"), /^public .*(?:class|interface|enum) (\w+)/gm),
    ...found(readAll(`${java}/testing/nffi/testing`, ".java"), /^public .*class (\w+)/gm),
    ...found(read(`${java}/nffi/Level.java`), /^ {4}([A-Z]+)[,;]/gm).map((name) => `Level.${name}`),
    ...found(read(`${java}/nffi/Methods.java`), /^ {4}public .*?(\w+)\(/gm).map(
      (name) => `Methods.${name}`,
    ),
    ...found(
      bodyOf(read(`${java}/nffi/Methods.java`), "interface Sender", "    }"),
      /void (\w+)\(/g,
    ).map((name) => `out.${name}`),
  ],
  C: [
    ...found(header, /^NFFI_API [^;(]*?\b(nffi_[a-z_]+)\(/gm),
    ...(readdirSync(join(repository, "c-src/testhost")).length > 0 ? ["libnffi_testhost"] : []),
  ],
};

const page = read("docs/sdk.md");

const table = page
  .split("\n")
  .filter((line) => line.startsWith("| "))
  .map((line) => line.slice(2, -2).split(" | "));
const languages = (table[0] ?? []).slice(1);
const words = table.slice(
  1,
  table.findIndex((cells) => cells.length < 7),
);

/** `context.log(Level::Warn, text)` names `context.log` and `Level::Warn`. */
function namesIn(cell: string): string[] {
  const code = /^`(.*)`$/.exec(cell)?.[1] ?? "";
  return (code.match(/[A-Za-z_][\w.:]*/g) ?? []).filter(
    (name) => !["f", "ctx", "text", "value"].includes(name),
  );
}

function isThere(language: string, name: string): boolean {
  if (EXPORTS[language]?.includes(name)) return true;
  const member = /^(?:context|ctx|request)\.(\w+)$/.exec(name)?.[1];
  return member !== undefined && CONTEXT[language as keyof typeof CONTEXT].includes(member);
}

test("the table has a column for each language and a row for each word", () => {
  expect([...languages].sort()).toEqual(Object.keys(EXPORTS).sort());
  expect(words.map(([word]) => word)).toEqual([
    ...["config", "method", "deadline", "time left", "cancelled", "on cancel", "log"],
    ...["send a chunk", "error", "stream of JSON", "test host"],
  ]);
});

describe.each(Object.keys(EXPORTS))("%s", (language) => {
  const column = (table[0] ?? []).indexOf(language);

  test("has each name of the table", () => {
    const names = words.flatMap((cells) => namesIn(cells[column] ?? ""));
    expect(names.length).toBeGreaterThan(8);
    expect(names.filter((name) => !isThere(language, name))).toEqual([]);
  });
});

test.each(["TypeScript", "Rust", "Python", "Java"] as const)(
  "each member of the Context of %s is in the page of the language or in docs/sdk.md",
  (language) => {
    const members = CONTEXT[language];
    expect(members.length).toBeGreaterThan(6);
    const text = page + read(`docs/${language.toLowerCase()}.md`);
    expect(members.filter((name) => !new RegExp(`\\b${name}\\b`).test(text))).toEqual([]);
  },
);

test.each(languages)(
  "the page of %s has the sections of the others, in their order",
  (language) => {
    const manual = read(`docs/${language.toLowerCase()}.md`);
    const sections = found(manual, /^## (.*)$/gm);
    const common = [
      ...["Handlers", "Streams", "The context", "Errors", "The log", "Configuration"],
      ...["Testing", "Examples"],
    ];
    expect(sections.filter((name) => common.includes(name))).toEqual(common);
  },
);
