import { expect, test } from "vitest";
import { LANGUAGES } from "../../../src/catalog/languages.js";
import { chosenBy } from "../../../src/ui/choose.js";

test.each(["2", "go", "Go", "GO"])("%s chooses Go", (answer) => {
  expect(chosenBy(answer, LANGUAGES)?.name).toBe("go");
});

test.each(["0", "99", "cobol", "-1"])("%s chooses nothing", (answer) => {
  expect(chosenBy(answer, LANGUAGES)).toBeUndefined();
});
