import { expect, test } from "vitest";
import { Batch } from "../../../src/node-runtime/batch.js";
import { json, raw } from "../../../src/node-runtime/codec.js";
import { FakeAddon } from "./fake-addon.js";

function batchOf(bytes: string | Uint8Array): Batch {
  const addon = new FakeAddon();
  addon.put({ bytes });
  return new Batch(addon.memory, addon);
}

test("an empty JSON request is undefined", () => {
  expect(json.decode(batchOf(""), 0)).toBeUndefined();
  expect(json.decode(batchOf("null"), 0)).toBeNull();
});

test("the replacement character itself may be sent", () => {
  expect(json.decode(batchOf('"\ufffd"'), 0)).toBe("\ufffd");
  expect(() => json.decode(batchOf(Buffer.from([0x22, 0xc3, 0x22])), 0)).toThrow("not UTF-8");
});

test.each([
  [undefined, "null"],
  [null, "null"],
  ["\ud800", '"\\ud800"'],
  [{ a: undefined, b: [undefined] }, '{"b":[null]}'],
  [new Date(0), '"1970-01-01T00:00:00.000Z"'],
])("%j becomes %s", (result, text) => {
  expect(json.encode(result)).toBe(text);
});

test.each([
  [1n, /BigInt/],
  [Symbol("s"), /it is a symbol/],
  [() => 1, /it is a function/],
  [new Uint8Array(1), /it is an object \(Uint8Array\)/],
  [{ toJSON: () => undefined }, /it is an object \(Object\)/],
  [Object.create(null, { toJSON: { value: () => undefined } }), /it is an object$/],
])("%s cannot become JSON", (result, message) => {
  expect(() => json.encode(result)).toThrow(message);
});

test("raw bytes are a copy of what the addon will write over", () => {
  const addon = new FakeAddon();
  addon.put({ bytes: "kept" });
  const bytes = raw.decode(new Batch(addon.memory, addon), 0) as Buffer;
  addon.put({ bytes: "next" });
  expect(bytes.toString()).toBe("kept");
});

test.each([[5], [null], [{}], [new DataView(new ArrayBuffer(1))], [[1, 2]]])(
  "raw refuses %s",
  (result) => {
    expect(() => raw.encode(result)).toThrow(/must be a string or bytes, but is/);
  },
);

test("raw tells empty bytes from bytes that were transferred away", () => {
  expect(raw.encode(new Uint8Array(0))).toEqual(new Uint8Array(0));
  const bytes = new Uint8Array(4);
  structuredClone(bytes.buffer, { transfer: [bytes.buffer] });
  expect(() => raw.encode(bytes)).toThrow(/transferred/);
});
