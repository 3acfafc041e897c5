import { expect, test } from "vitest";
import { Logs } from "../../../src/node-runtime/log.js";
import { FakeAddon } from "./fake-addon.js";

function logOf() {
  const addon = new FakeAddon();
  return { addon, log: new Logs(addon).of({ low: 7, high: 0 }) };
}

test("each level has its number, and values are shown as by console.log", () => {
  const { addon, log } = logOf();
  log.error("a", 1);
  log.warn("%s!", "b");
  log.notice({ c: [1] });
  log.info("");
  log.info("d");
  log.debug("e");
  expect(addon.logged).toEqual(["7 1 a 1", "7 2 b!", "7 3 { c: [ 1 ] }", "7 4 d", "7 5 e"]);
});

test("lines are separate messages, and so are the parts of a long one", () => {
  const { addon, log } = logOf();
  log.info("one\ntwo\n");
  log.info("\u20ac".repeat(1000));
  const texts = addon.logged.map((line) => line.slice(4));
  expect(texts.slice(0, 2)).toEqual(["one", "two"]);
  expect(texts.slice(2).join("")).toBe("\u20ac".repeat(1000));
  expect(Math.max(...texts.map((text) => Buffer.byteLength(text)))).toBeLessThanOrEqual(2048);
});
