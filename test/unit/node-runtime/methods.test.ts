import { expect, test } from "vitest";
import { Methods } from "../../../src/node-runtime/methods.js";

const a = () => "a";
const b = () => "b";

test("exported functions are methods, other exports are not", () => {
  const methods = new Methods("/m.ts", { a, version: 1, default: b });
  expect(methods.names).toEqual(["a"]);
  expect(methods.find("a")()).toBe("a");
  expect(methods.find("")()).toBe("b");
});

test("an export named handle serves requests without a method, unless there is a default", () => {
  expect(new Methods("/m.ts", { handle: a }).find("")()).toBe("a");
  expect(new Methods("/m.ts", { handle: a, default: b }).find("")()).toBe("b");
});

test("a default export that is an object exports its functions, with itself as this", () => {
  const service = {
    name: "service",
    who() {
      return this.name;
    },
  };
  expect(new Methods("/m.cjs", { default: service }).find("who")()).toBe("service");
});

test("what a compiler made CommonJS of is seen through", () => {
  const compiled = { __esModule: true, default: a, b };
  const methods = new Methods("/m.cjs", { default: compiled, "module.exports": compiled, b });
  expect(methods.find("")()).toBe("a");
  expect(methods.names).toEqual(["b"]);
});

test("an unknown method is refused with the list of existing ones", () => {
  const methods = new Methods("/m.ts", { b, a });
  expect(() => methods.find("c")).toThrow('no method "c" in /m.ts; it has: a, b');
  expect(() => methods.find("constructor")).toThrow(/^no method/);
  expect(() => methods.find("")).toThrow(/needs a default export.*\/m\.ts; its methods are: a, b/);
});

test("a module without functions is refused", () => {
  expect(() => new Methods("/m.ts", { version: 1 })).toThrow("/m.ts exports no function");
});
