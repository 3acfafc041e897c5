// Test files of a project share processes (vitest.config.ts), so none may change what another one
// sees. Files of test/unit that mock modules get a process each.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";

const CHANGES = [
  /\bvi\.(mock|stub\w+|spyOn)\(/,
  /\bprocess\.env\.\w+ \??\??=[^=]/,
  /\bprocess\.chdir\(/,
];
const MAY_MOCK = /^test\/unit\//;

const files = readdirSync("test", { recursive: true, encoding: "utf8" })
  .map((name) => join("test", name))
  .filter((path) => path.endsWith(".ts") && !MAY_MOCK.test(path));

test("no test file outside of test/unit mocks, sets a variable or changes the directory", () => {
  expect(files.length).toBeGreaterThan(150);
  const changing = files.filter((path) => {
    const text = readFileSync(path, "utf8");
    return CHANGES.some((change) => change.test(text));
  });
  expect(changing).toEqual([]);
});
