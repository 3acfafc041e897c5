import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { formatOf, isTypeScript, stripTypes } from "../../../src/node-runtime/strip-types.js";
import { temporaryFolder } from "../../support/temporary.js";

test("types become blanks: lines and columns stay", () => {
  const source = 'import type { A } from "./a.ts";\nexport const f = (a: A): number => a.b;\n';
  const javascript = stripTypes(source, "/m.ts");
  expect(javascript).toHaveLength(source.length);
  expect(javascript.indexOf("a.b")).toBe(source.indexOf("a.b"));
  expect(javascript).not.toContain("import");
});

test("syntax that wants code generated is refused with its place", () => {
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

test("only TypeScript's own extensions are meant", () => {
  expect(["/a.ts", "/a.mts", "/a.cts"].every(isTypeScript)).toBe(true);
  expect(["/a.js", "/a.tsx", "/a.d.ts.map", "/ts"].some(isTypeScript)).toBe(false);
});

test("the format is decided as Node does", () => {
  const folder = temporaryFolder();
  const inner = join(folder, "a/b");
  mkdirSync(inner, { recursive: true });
  expect(formatOf(join(inner, "m.mts"), "exports.a = 1")).toBe("module");
  expect(formatOf(join(inner, "m.cts"), "export {}")).toBe("commonjs");
  writeFileSync(join(folder, "package.json"), '{ "type": "commonjs" }');
  expect(formatOf(join(inner, "m.ts"), "export {}")).toBe("commonjs");
  writeFileSync(join(folder, "a/package.json"), '{ "type": "module" }');
  expect(formatOf(join(inner, "m.ts"), "exports.a = 1")).toBe("module");
  writeFileSync(join(inner, "package.json"), "{}");
  expect(formatOf(join(inner, "m.ts"), "exports.a = 1")).toBe("commonjs");
  expect(formatOf(join(inner, "m.ts"), "export const a = await 1")).toBe("module");
});
