import { expect, test } from "vitest";
import { codeBelow } from "../support/code.js";
import { creditModel } from "./credit-model.js";
import { CREDIT_STEPS, type CreditSetting } from "./credit-state.js";
import { explore } from "./explore.js";

const SETTINGS: readonly CreditSetting[] = [
  { chunks: 4, most: 1 },
  { chunks: 5, most: 2 },
  { chunks: 6, most: 4 },
];

test.each(SETTINGS)(
  "a stream of $chunks chunks, $most unread, is written and read to its end",
  (setting) => {
    const { states, moves, fault } = explore(creditModel(setting));
    expect(fault).toBeUndefined();
    expect(states).toBeGreaterThan(200);
    const code = codeBelow("c-src/lib");
    const names = [...moves].flatMap((move) => move.match(/\b\w+_\w+\b/g) ?? []);
    expect(names.length).toBeGreaterThan(15);
    expect(names.filter((name) => !code.includes(name))).toEqual([]);
  },
);

test.each(CREDIT_STEPS)("a writer that never wakes is found without: %s", (without) => {
  const faults = SETTINGS.map(
    (setting) => explore(creditModel({ ...setting, without })).fault?.what,
  );
  expect(faults).toContain("a writer waits for ever");
});
