import { expect, test } from "vitest";
import { nearestWord } from "../../../src/io/nearest-word.js";

const words = ["typescript", "go", "python", "rust", "c", "java"];

test.each([
  ["pyton", "python"],
  ["pyhton", "python"],
  ["Java", "java"],
  ["rsut", "rust"],
  ["typescrip", "typescript"],
  ["golang", undefined],
  ["x", undefined],
  ["cobol", undefined],
])("%s most likely means %s", (given, meant) => {
  expect(nearestWord(given, words)).toBe(meant);
});
