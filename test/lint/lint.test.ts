// Every linter of `npm run lint`, whatever the language.
import { expect, test } from "vitest";
import { longLinesOf } from "../../scripts/lint/line-length.mjs";
import { runProgram } from "../support/cli.js";

// test/e2e/glue.test.ts runs it where nginx is configured
const OF_GLUE = "clang-tidy glue";
const NAMES = [
  ...["biome", "line length", "types", "clang-tidy", OF_GLUE, "luacheck", "ruff", "shellcheck"],
  ...["javac", "go vet", "staticcheck", "clippy"],
];
const UNKNOWN = 2;
const MISSING_TOOL = 4;

function lint(...names: string[]) {
  const args = ["scripts/lint.mjs", ...names];
  return runProgram(process.execPath, args, { env: { NO_COLOR: "1" } });
}

test.for(NAMES.filter((name) => name !== OF_GLUE))("%s finds nothing", async (name, context) => {
  const { exitCode, stdout, stderr } = await lint(name);
  if (exitCode === MISSING_TOOL) return context.skip(stderr);
  expect(stdout + stderr).toBe(`${name}: ok\n`);
  expect(exitCode).toBe(0);
});

test("an unknown linter is an error that lists the known ones", async () => {
  const { exitCode, stderr } = await lint("luachek");
  expect(stderr).toBe(`unknown linter luachek\nchoose from: ${NAMES.join(", ")}\n`);
  expect(exitCode).toBe(UNKNOWN);
});

test("a line is too long by its kind: document, comment, C or Lua", () => {
  const of = (width: number, start = "") => start + "x".repeat(width - start.length);
  expect(longLinesOf("a.md", `${of(110)}\n${of(111)}\n${of(111, "| ")}`)).toEqual([
    "a.md:2: 111 characters, at most 110",
  ]);
  expect(longLinesOf("a.ts", `${of(101)}\n${of(100, "// ")}\n${of(101, "// ")}`)).toHaveLength(1);
  expect(longLinesOf("a.c", `${of(80)}\n${of(81)}`)).toHaveLength(1);
});
