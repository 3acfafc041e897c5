// The cases of libnffi that arm64 under qemu skips, by their titles: a title that was changed would
// skip nothing, and only `npm run test:full` would show it.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { SKIPPED } from "../full/arm64/skipped.js";
import { repository } from "../support/cli.js";

test("each case that arm64 skips has a test of that title", () => {
  const folder = join(repository, "test/c");
  const sources = readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".c"))
    .map((name) => readFileSync(join(folder, name), "utf8").replace(/"\s*\n\s*"/g, ""));
  const missing = SKIPPED.filter((title) => !sources.some((text) => text.includes(`"${title}`)));
  expect(SKIPPED.length).toBeGreaterThan(30);
  expect(missing).toEqual([]);
});
