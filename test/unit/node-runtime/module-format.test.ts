import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { isTypeScript } from "../../../src/node-runtime/module-file.js";
import { formatOf, formatOfSource } from "../../../src/node-runtime/module-format.js";
import { temporaryFolder } from "../../support/temporary.js";

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

test.each([
  ["import x from 'y';", "module"],
  ["export enum A { B }", "module"],
  ["import x = require('y');\nexport enum A { B }", "commonjs"],
  ["enum A { B }\nexport = { A };", "commonjs"],
  ["enum A { B }\nexports.a = A;", "commonjs"],
])("the format of what cannot be compiled is seen by its looks: %s", (source, format) => {
  expect(formatOfSource(join(temporaryFolder(), "m.ts"), source)).toBe(format);
});
