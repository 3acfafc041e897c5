import { chmodSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { sha256OfTree } from "../../../src/io/tree-hash.js";
import { temporaryFolder } from "../../support/temporary.js";

function tree(): string {
  const dir = temporaryFolder();
  mkdirSync(join(dir, "a"));
  writeFileSync(join(dir, "a/one"), "1");
  writeFileSync(join(dir, "two"), "2");
  symlinkSync("two", join(dir, "link"));
  return dir;
}

test("is the same for the same tree in another place", async () => {
  expect(await sha256OfTree(tree())).toBe(await sha256OfTree(tree()));
});

test.each<[string, (dir: string) => void]>([
  ["a content", (dir) => writeFileSync(join(dir, "a/one"), "x")],
  ["a name", (dir) => writeFileSync(join(dir, "three"), "")],
  ["a missing file", (dir) => rmSync(join(dir, "two"))],
  ["the right to execute", (dir) => chmodSync(join(dir, "two"), 0o755)],
  [
    "the target of a link",
    (dir) => {
      rmSync(join(dir, "link"));
      symlinkSync("a/one", join(dir, "link"));
    },
  ],
  [
    "a link in the place of a file",
    (dir) => {
      rmSync(join(dir, "two"));
      symlinkSync("2", join(dir, "two"));
    },
  ],
])("differs by %s", async (_name, change) => {
  const dir = tree();
  const before = await sha256OfTree(dir);
  change(dir);
  expect(await sha256OfTree(dir)).not.toBe(before);
});

test("an omitted path and everything below it do not count", async () => {
  const dir = tree();
  const isLeftOut = (path: string) => path === "a";
  const before = await sha256OfTree(dir, isLeftOut);
  writeFileSync(join(dir, "a/one"), "x");
  expect(await sha256OfTree(dir, isLeftOut)).toBe(before);
});
