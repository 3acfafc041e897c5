import { expect, test } from "vitest";
import { stripTypes } from "../../../src/node-runtime/strip-types.js";

test("types become blanks: lines and columns stay", () => {
  const source = 'import type { A } from "./a.ts";\nexport const f = (a: A): number => a.b;\n';
  const javascript = stripTypes(source, "/m.ts");
  expect(javascript).toHaveLength(source.length);
  expect(javascript.indexOf("a.b")).toBe(source.indexOf("a.b"));
  expect(javascript).not.toContain("import");
});

test("syntax that needs generated code is refused with its position", () => {
  expect(() => stripTypes("const a = 1;\nenum B { C }\n", "/m.ts")).toThrow(/^\/m\.ts:2: .*enum/);
  expect(() => stripTypes("const a: = 1;\n", "/m.ts")).toThrow(/^\/m\.ts:1: /);
});

test("the message is one line, and the stack shows the source", () => {
  try {
    stripTypes("export const a = () => {\n  const x = ;\n};\n", "/m.ts");
    expect.unreachable();
  } catch (thrown) {
    const { message, stack } = thrown as SyntaxError;
    expect(message).toBe("/m.ts:2: Expression expected");
    expect(stack?.split("\n").slice(0, 4)).toEqual([
      "SyntaxError: /m.ts:2: Expression expected",
      "    export const a = () => {",
      "      const x = ;",
      "                ^",
    ]);
  }
});

test("packages must be JavaScript", () => {
  expect(() => stripTypes("", "/p/node_modules/d/m.ts")).toThrow(/must be JavaScript/);
});
