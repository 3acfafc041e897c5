import { expect, test } from "vitest";
import { DEFAULT_RELEASE, findRelease, RELEASES } from "../../../src/catalog/releases.js";

test("each release has a different SHA-256, newest release first", () => {
  for (const { sha256 } of RELEASES) expect(sha256).toMatch(/^[0-9a-f]{64}$/);
  expect(new Set(RELEASES.map(({ sha256 }) => sha256)).size).toBe(RELEASES.length);
  const versions = RELEASES.map(({ version }) => version);
  const newestFirst = [...versions].sort((a, b) => b.localeCompare(a, "en", { numeric: true }));
  expect(versions).toEqual(newestFirst);
});

test("the default release is in the catalog", () => {
  expect(findRelease(DEFAULT_RELEASE)).toBeDefined();
});
