import { expect, test } from "vitest";
import { type FilePatch, readPatch, tryPatch } from "../../../src/pipeline/patches.js";

const base = ["one", "two", "three", "four", "five", "six", "seven", "eight", ""].join("\n");
const diff = `Why this patch is there

--- a/src/file.c
+++ b/src/file.c
@@ -2,3 +2,4 @@
 two
 three
+and a half
 four
@@ -6,3 +7,3 @@
 six
-seven
+SEVEN
 eight
`;

const [patch] = readPatch("test.patch", diff) as [FilePatch];

test("reads the file's path without a/ and b/", () => {
  expect(patch.file).toBe("src/file.c");
});

test("applies all hunks", () => {
  expect(tryPatch(base, patch)).toEqual({
    kind: "fits",
    text: base.replace("three", "three\nand a half").replace("seven", "SEVEN"),
  });
});

test("finds a hunk whose lines have moved", () => {
  const moved = `zero\n`.repeat(40) + base;
  expect(tryPatch(moved, patch)).toMatchObject({ kind: "fits" });
});

test("allows no fuzz: one changed line of context is a misfit, and the hunk is named", () => {
  const outcome = tryPatch(base.replace("six", "SIX"), patch);
  expect(outcome).toMatchObject({ kind: "does not fit" });
  expect(outcome).toHaveProperty("hunk", expect.stringContaining("-seven\n+SEVEN"));
  expect(outcome).toHaveProperty("hunk", expect.not.stringContaining("and a half"));
});

test("recognises a patch that is already applied, although it could be applied again", () => {
  const [adding] = readPatch("add.patch", "--- a/f\n+++ b/f\n@@ -1,2 +1,3 @@\n \n+new\n \n") as [
    FilePatch,
  ];
  const once = tryPatch("\n\n\n\n", adding);
  expect(once).toMatchObject({ kind: "fits" });
  if (once.kind !== "fits") return;
  expect(tryPatch(once.text, adding)).toEqual({ kind: "already applied" });
});

test.each(["--- a/f\n+++ b/../f\n@@ -1 +1 @@\n-a\n+b\n", "--- a\n+++ f\n@@ -1 +1 @@\n-a\n+b\n"])(
  "refuses a path that is not below b/",
  (text) => {
    expect(() => readPatch("evil.patch", text)).toThrow(/is not a path like b\/FILE/);
  },
);
