// No cycle among the modules of the Rust crate. A module needs another when a path in its code
// names it; a name that a parent re-exports counts as the parent.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { repository } from "../support/cli.js";
import { cycleIn } from "../support/cycles.js";

const src = join(repository, "c-src/sdk/rust/src");

/** Paths of modules, such as "ffi/task", with their code. The root is "lib"; tests are left out. */
const modules = new Map(
  readdirSync(src, { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".rs") && !file.endsWith("tests.rs"))
    .map((file) => [
      file.replace(/(\/mod)?\.rs$/, ""),
      codeOf(readFileSync(join(src, file), "utf8")),
    ]),
);

function codeOf(text: string): string {
  return text
    .replace(/\/\/.*$/gm, "")
    .replace(/^#\[cfg\(test\)\]\s*mod \w+ \{[\s\S]*?^\}/gm, "")
    .replace(/"(\\.|[^"\\])*"/g, '""');
}

/** The module that a path like crate::ffi::Task names, written in the module `from`. */
function moduleOf(path: readonly string[], from: string): string | undefined {
  const parents = from === "lib" ? [] : from.split("/");
  let at: string[];
  let rest = [...path];
  if (rest[0] === "crate") at = [];
  else if (rest[0] === "super") at = parents.slice(0, -1);
  else if (rest[0] === "self" || modules.has([...parents, rest[0]].join("/"))) at = parents;
  else return undefined;
  if (["crate", "super", "self"].includes(rest[0] ?? "")) rest = rest.slice(1);
  while (rest[0] !== undefined && modules.has([...at, rest[0]].join("/"))) {
    at.push(rest.shift() ?? "");
  }
  return at.length === 0 ? "lib" : at.join("/");
}

/** The paths in the code, with each name in braces as a path. */
function pathsIn(code: string): string[][] {
  const flat = [...code.matchAll(/\buse ((?:\w+::)*)\{([^}]*)\}/g)].flatMap(
    ([, prefix = "", names = ""]) => names.split(",").map((name) => `${prefix}${name.trim()}`),
  );
  const written = code.match(/(?<![\w:])\w+(?:::\w+)+/g) ?? [];
  return [...flat, ...written].map((path) => path.split("::"));
}

function graphOf(code: ReadonlyMap<string, string>): Map<string, string[]> {
  return new Map(
    [...code].map(([name, text]) => {
      const needs = pathsIn(text).map((path) => moduleOf(path, name));
      return [name, [...new Set(needs)].filter((one) => one !== undefined && one !== name)];
    }),
  ) as Map<string, string[]>;
}

test("no module of the Rust crate needs itself through others", () => {
  const graph = graphOf(modules);
  expect(graph.get("ffi")).toContain("ffi/task");
  expect(graph.get("call")).toContain("context");
  expect(cycleIn(graph)).toEqual([]);
});

test.each([
  ["a use", "error", "use crate::ffi::Answer;"],
  ["a list of names", "ffi/task", "use crate::{call, ffi::Queue};"],
  ["a path in the code", "panics", "fn f() { crate::runtime::begin(); }"],
  ["a name of the parent", "ffi/abi", "use super::Queue;"],
])("a cycle by %s is found", (_, name, line) => {
  const changed = new Map(modules).set(name, `${modules.get(name)}\n${line}`);
  expect(cycleIn(graphOf(changed))).not.toEqual([]);
});

test("each module is a file that lib.rs or its parent declares", () => {
  for (const name of modules.keys()) {
    if (name === "lib") continue;
    const parent = name.includes("/") ? name.slice(0, name.lastIndexOf("/")) : "lib";
    expect(modules.get(parent), name).toMatch(new RegExp(`\\bmod ${name.split("/").at(-1)};`));
  }
});
