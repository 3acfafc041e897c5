import { expect, test } from "vitest";
import { codeBelow } from "../support/code.js";
import { closeModel } from "./close-model.js";
import { CLOSE_STEPS } from "./close-state.js";
import { explore } from "./explore.js";

test("a closed queue is freed once no thread uses it", () => {
  const { states, moves, fault } = explore(closeModel());
  expect(fault).toBeUndefined();
  expect(states).toBeGreaterThan(200);
  const code = codeBelow("c-src/lib");
  const names = [...moves].flatMap((move) => move.match(/\bnffi_\w+\b/g) ?? []);
  expect(names.length).toBeGreaterThan(5);
  expect(names.filter((name) => !code.includes(name))).toEqual([]);
});

test.each(CLOSE_STEPS)("a fault is found without: %s", (without) => {
  expect(explore(closeModel(without)).fault?.what).toMatch(
    /^a (queue is never freed|thread uses a queue that is freed)$/,
  );
});
