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
  [1n, /it is a BigInt/],
  [Symbol("s"), /it is a symbol/],
  [() => 1, /it is a function/],
  [new Uint8Array(1), /it is an object \(Uint8Array\)/],
  [{ toJSON: () => undefined }, /it is an object \(Object\)/],
  [Object.create(null, { toJSON: { value: () => undefined } }), /it is an object$/],
])("%s cannot become JSON", (result, message) => {
  expect(() => json.encode(result)).toThrow(message);
});

class Kept {
  readonly #secret = 1;
  read() {
    return this.#secret;
  }
}

const circular: Record<string, unknown> = {};
circular.self = circular;

test.each<[string, unknown, RegExp]>([
  ["a Map", new Map([["a", 1]]), /is an object \(Map\): use Object\.fromEntries\(\)$/],
  ["a Set", new Set(["x"]), /is an object \(Set\): use Array\.from\(\)$/],
  ["a WeakMap", new WeakMap(), /is an object \(WeakMap\)$/],
  [
    "an Error",
    Object.assign(new Error("disk full"), { code: 5 }),
    /is an object \(Error\): throw it, or return its message$/,
  ],
  ["an ArrayBuffer", new ArrayBuffer(4), /is an object \(ArrayBuffer\): use codec/],
  ["a typed array", new Uint8Array([1, 2]), /is an object \(Uint8Array\): use codec/],
  ["a Buffer", Buffer.from("x"), /is an object \(Buffer\): use codec = "raw" for bytes$/],
  ["a DataView", new DataView(new ArrayBuffer(1)), /is an object \(DataView\)/],
  ["Headers", new Headers({ a: "b" }), /is an object \(Headers\)$/],
  ["FormData", new FormData(), /is an object \(FormData\)$/],
  ["URLSearchParams", new URLSearchParams("a=b"), /is an object \(URLSearchParams\)$/],
  ["a Promise", Promise.resolve(1), /is an object \(Promise\): await it$/],
  ["a RegExp", /x/, /is an object \(RegExp\)$/],
  ["an async iterator", (async function* () {})(), /is an object/],
  ["NaN", 0 / 0, /is NaN$/],
  ["infinity", -1 / 0, /is -Infinity$/],
  ["a boxed NaN", new Number(Number.NaN), /is NaN$/],
  ["an invalid Date", new Date("no date"), /is an invalid Date$/],
  ["a bigint", 1n, /is a BigInt: use Number\(\) or String\(\)$/],
  ["a function", () => 1, /is a function$/],
  ["a symbol", Symbol("s"), /is a symbol$/],
  ["private fields", new Kept(), /is an object \(Kept\)$/],
  [
    "what toJSON returns",
    { toJSON: () => new Map() },
    /is an object \(Map\): use Object\.fromEntries\(\)$/,
  ],
  ["a Date of toJSON", { toJSON: () => new Date(0) }, /is an object \(Date\)$/],
  ["a cycle", circular, /is nested deeper than 1000 levels, or circular$/],
])("%s is refused at any depth", (_, value, message) => {
  expect(() => json.encode(value)).toThrow(message);
  const nested = { items: [1, { value }] };
  expect(() => json.encode(nested)).toThrow(message);
  expect(() => json.encode(nested)).toThrow("the result cannot become JSON: result.items[1].value");
});

class Point {
  constructor(
    readonly x: number,
    readonly label: string | undefined = undefined,
  ) {}
}

test.each<[string, unknown, string]>([
  ["an instance of a class", { at: new Point(1) }, '{"at":{"x":1}}'],
  ["an object without a prototype", Object.assign(Object.create(null), { a: 1 }), '{"a":1}'],
  ["an empty object", { a: {}, b: [] }, '{"a":{},"b":[]}'],
  [
    "toJSON()",
    { a: { toJSON: () => ({ b: 1 }) }, u: new URL("http://a/") },
    '{"a":{"b":1},"u":"http://a/"}',
  ],
  ["a Map with toJSON()", Object.assign(new Map(), { toJSON: () => 1 }), "1"],
  ["a field named toJSON", { toJSON: 5 }, '{"toJSON":5}'],
  ["boxed values", [new Number(1), new String("a"), new Boolean(true)], '[1,"a",true]'],
  ["the same object twice", ((one) => [one, one])({ a: 1 }), '[{"a":1},{"a":1}]'],
])("%s is sent", (_, value, text) => {
  expect(json.encode(value)).toBe(text);
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

test("raw distinguishes empty bytes from transferred bytes", () => {
  expect(raw.encode(new Uint8Array(0))).toEqual(new Uint8Array(0));
  const bytes = new Uint8Array(4);
  structuredClone(bytes.buffer, { transfer: [bytes.buffer] });
  expect(() => raw.encode(bytes)).toThrow(/transferred/);
});
