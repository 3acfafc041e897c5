import { expect, test } from "vitest";
import { failureOf, withoutOurFrames } from "../../../src/node-runtime/failure.js";
import { NffiError } from "../../../src/node-runtime/handler.js";

test.each([
  [new Error("why"), "why"],
  [new RangeError(), "RangeError"],
  ["text", "text"],
  ["", "an empty string was thrown"],
  [undefined, "undefined was thrown"],
  [null, "null was thrown"],
  [42, "42 was thrown"],
  [{ a: { b: 1 } }, "{ a: { b: 1 } } was thrown"],
  [{ message: "like an error" }, "like an error"],
])("%s has the message %s", (thrown, message) => {
  expect(failureOf(thrown).message).toBe(message);
});

test("the detail contains the causes", () => {
  const { detail } = failureOf(new Error("outer", { cause: new TypeError("inner") }));
  expect(detail).toMatch(/^Error: outer\n[\s\S]*\[cause\]: TypeError: inner/);
  const several = new AggregateError([new Error("first"), new Error("second")], "all failed");
  expect(failureOf(several).detail).toMatch(/first[\s\S]*second/);
});

test("a message of any length is cut to what can be sent", () => {
  const { message, detail } = failureOf(new Error("x".repeat(1_000_000)));
  expect(message).toHaveLength(16_004);
  expect(detail.length).toBeLessThan(50_000);
});

test("something that throws when it is looked at is no second failure", () => {
  const hostile = {
    get message() {
      throw new Error("no");
    },
  };
  expect(failureOf(hostile).message).toBe("something was thrown that cannot be described");
});

test("our own frames are left out of a stack", () => {
  const ours = new URL("../../../src/node-runtime/dispatch.js", import.meta.url).href;
  const stack = `Error: x\n    at user (file:///u.ts:1:1)\n    at start (${ours}:1:1)\n{ code: 1 }`;
  expect(withoutOurFrames(stack)).toBe("Error: x\n    at user (file:///u.ts:1:1)\n{ code: 1 }");
  const ofNode = `Error: x\n    at start (${ours}:1:1)\n    at async node:internal/x:1:1`;
  expect(withoutOurFrames(ofNode)).toBe("Error: x");
});

test("a NffiError, or an error of that name, has its own detail or code", () => {
  expect(failureOf(new NffiError("sold out"))).toEqual({
    message: "sold out",
    detail: "",
    code: 0,
  });
  expect(failureOf(new NffiError("sold out", { detail: "shelf 3" }))).toMatchObject({
    detail: "shelf 3",
    code: 0,
  });
  const named = Object.assign(new Error("sold out"), { name: "NffiError", code: -7.5 });
  expect(failureOf(named)).toMatchObject({ message: "sold out", detail: "", code: -7 });
  // the number of another library is no code
  expect(failureOf(Object.assign(new Error("busy"), { code: 7 })).code).toBeUndefined();
});

test.each([
  [2 ** 31, "2147483648"],
  [-(2 ** 31) - 1, "-2147483649"],
  [2 ** 40 + 5, "1099511627781"],
  [Number.POSITIVE_INFINITY, "Infinity"],
  ["E42", "E42"],
])("a code that is no 32-bit number, %s, is the detail", (code, detail) => {
  const named = Object.assign(new Error("sold out"), { name: "NffiError", code });
  expect(failureOf(named)).toEqual({ message: "sold out", detail, code: 0 });
  const both = Object.assign(named, { detail: { shelf: 3 } });
  expect(failureOf(both)).toMatchObject({ detail: "{ shelf: 3 }", code: 0 });
});

test("attributes that throw leave the rest of an error", () => {
  const odd = Object.defineProperties(new Error("odd"), {
    name: { value: "NffiError" },
    detail: { get: () => expect.fail("detail") },
    code: { get: () => expect.fail("code") },
  });
  expect(failureOf(odd)).toEqual({ message: "odd", detail: "", code: 0 });
});

test("a message of 100 MB of lines is shortened, as is the stack that it is part of", () => {
  const { message, detail } = failureOf(new Error("x\n".repeat(50_000_000)));
  expect([message.length, detail.length]).toEqual([16_004, 48_004]);
});
