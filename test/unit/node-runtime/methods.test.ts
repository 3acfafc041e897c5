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
  expect(() => methods.find("c")).toThrow('unknown method "c" in /m.ts; methods: a, b');
  expect(() => methods.find("constructor")).toThrow(/^unknown method/);
  expect(() => methods.find("")).toThrow(/needs a default export.*\/m\.ts; its methods are: a, b/);
});

test("a module without functions is refused", () => {
  expect(() => new Methods("/m.ts", { version: 1 })).toThrow("/m.ts exports no function");
});

class Base {
  protected readonly name = "service";
  inherited() {
    return `${this.name} inherited`;
  }
  same() {
    return "base";
  }
}

class Service extends Base {
  readonly #secret = "secret";
  property = () => `${this.name} property`;
  static not() {}
  get broken(): never {
    throw new Error("it was read");
  }
  get given() {
    return () => `${this.name} given`;
  }
  who() {
    return `${this.name} ${this.#hidden()}`;
  }
  override same() {
    return "derived";
  }
  async *count(to: number) {
    for (let at = 1; at <= to; at++) yield `${this.name} ${at}`;
  }
  #hidden() {
    return this.#secret;
  }
  _internal() {}
}

test("an instance of a class gives its methods, inherited ones too, with itself as this", async () => {
  const methods = new Methods("/m.ts", { default: new Service() });
  expect(methods.names).toEqual(["count", "inherited", "property", "same", "who"]);
  expect(methods.find("inherited")()).toBe("service inherited");
  expect(methods.find("property")()).toBe("service property");
  expect(methods.find("who")()).toBe("service secret");
  expect(methods.find("same")()).toBe("derived");
  const counted: unknown[] = [];
  for await (const one of methods.find("count")(2) as AsyncIterable<unknown>) counted.push(one);
  expect(counted).toEqual(["service 1", "service 2"]);
  for (const name of ["constructor", "toString", "hasOwnProperty", "_internal", "#hidden", "not"]) {
    expect(() => methods.find(name), name).toThrow(/^unknown method/);
  }
});

test("an accessor is read when its method is called, and not before", () => {
  const methods = new Methods("/m.ts", { default: new Service() });
  expect(methods.find("given")()).toBe("service given");
  expect(() => methods.find("broken")).toThrow("it was read");
  const own = {
    get broken() {
      throw new Error("it was read");
    },
    ok: a,
  };
  expect(new Methods("/m.ts", { default: own }).names).toEqual(["ok"]);
  expect(
    new Methods("/m.ts", {
      default: {
        get only() {
          return b;
        },
      },
    }).find("only")(),
  ).toBe("b");
});

test("functions of a CommonJS module that Node has seen by name keep their object", () => {
  const exported = {
    name: "exports",
    who() {
      return this.name;
    },
  };
  const methods = new Methods("/m.cjs", { default: exported, who: exported.who });
  expect(methods.find("who")()).toBe("exports");
});

test("an object that inherits from nothing has methods, with any name", () => {
  const bare = Object.assign(Object.create(null), { _a: a, toString: b });
  const methods = new Methods("/m.ts", { default: bare });
  expect(methods.names).toEqual(["_a", "toString"]);
});

test("a class is no method, and as the default export an error that says what to do", () => {
  expect(new Methods("/m.ts", { a, Service }).names).toEqual(["a"]);
  const message = "the default export of /m.ts is a class: export an instance of it";
  expect(() => new Methods("/m.ts", { default: Service })).toThrow(message);
  const methods = new Methods("/m.ts", { default: Service, a });
  expect(methods.find("a")()).toBe("a");
  expect(() => methods.find("")()).toThrow(message);
});

test("a promise as the default export is an error that says what to do", () => {
  const promise = Promise.resolve({ a });
  expect(() => new Methods("/m.ts", { default: promise })).toThrow(/is a promise.*default await/);
});
