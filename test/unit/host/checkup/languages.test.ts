import { expect, test } from "vitest";
import { remarkOnCargo } from "../../../../src/host/checkup/languages.js";

test.each([
  ["cargo 1.65.0", ", which is too old for projects of `nffi new-runtime` (1.85)"],
  ["cargo 1.85.0 (d73d2caf9 2024-12-31)", ""],
  ["cargo 1.95.0 (f2d3ce0bd 2026-03-21)", ""],
  ["unknown", ""],
])("%s is told to be too old or not", (version, remark) => {
  expect(remarkOnCargo(version)).toBe(remark);
});
