/**
 * The functions of a module that requests can name: its exports, and the properties (own and
 * inherited) of a default export that is an object, which is how `import()` presents CommonJS.
 */

import { types } from "node:util";

// biome-ignore lint/suspicious/noExplicitAny: functions of the user, whatever they take
export type Callable = (...args: any[]) => unknown;

export class Methods {
  readonly #path: string;
  readonly #named = new Map<string, Callable>();
  readonly #unnamed: Callable | undefined;
  /**
   * The default export, if it is an object: some of its methods may exist through accessors only.
   */
  readonly #service: object | undefined;

  /** Throws when there is nothing to call. */
  constructor(path: string, namespace: Record<string, unknown>) {
    this.#path = path;
    const main = defaultOf(namespace);
    if (types.isPromise(main)) {
      throw new TypeError(`the default export of ${path} is a promise: export default await ...`);
    }
    if (typeof main === "object" && main !== null) {
      this.#service = main;
      this.#addService(main);
    }
    this.#addExports(namespace);
    const handle = this.#named.get("handle");
    this.#unnamed = typeof main === "function" ? (main as Callable) : handle;
    if (isClass(main)) this.#unnamed = this.#refuseClass();
    else if (this.#named.size === 0 && this.#unnamed === undefined && !this.#hasAccessor()) {
      throw new TypeError(`${path} exports no function`);
    }
  }

  get names(): string[] {
    return [...this.#named.keys()].sort();
  }

  /** The function for a request; an empty name: the request has no method. */
  find(name: string): Callable {
    const found = name === "" ? this.#unnamed : (this.#named.get(name) ?? this.#read(name));
    if (found !== undefined) return found;
    const names = this.names.join(", ");
    if (name !== "") {
      throw new TypeError(`unknown method "${name}" in ${this.#path}; methods: ${names || "none"}`);
    }
    throw new TypeError(
      `a request without a method needs a default export, or an export "handle", in ` +
        `${this.#path}; its methods are: ${names}`,
    );
  }

  #addService(service: object): void {
    for (const owner of ownersOf(service)) {
      for (const name of Object.getOwnPropertyNames(owner)) {
        if (this.#named.has(name) || !isPublic(name, service)) continue;
        const { value } = Object.getOwnPropertyDescriptor(owner, name) ?? {};
        if (isFunction(value)) this.#named.set(name, value.bind(service));
      }
    }
  }

  #addExports(namespace: Record<string, unknown>): void {
    const service = this.#service as Record<string, unknown> | undefined;
    for (const name of Object.keys(namespace)) {
      const value = namespace[name];
      if (name === "default" || name === "module.exports" || !isFunction(value)) continue;
      // A name that Node has seen in CommonJS: it is the same function, and has its object already.
      const isOfService = this.#named.has(name) && service?.[name] === value;
      if (!isOfService) this.#named.set(name, value);
    }
  }

  /** Accessors are read at each call: the value may change, and reading may have side effects. */
  #read(name: string): Callable | undefined {
    const service = this.#service as Record<string, unknown> | undefined;
    if (service === undefined || !isPublic(name, service)) return undefined;
    if (!ownersOf(service).some((owner) => Object.hasOwn(owner, name))) return undefined;
    const value = service[name];
    return isFunction(value) ? value.bind(service) : undefined;
  }

  #hasAccessor(): boolean {
    return ownersOf(this.#service).some((owner) =>
      Object.values(Object.getOwnPropertyDescriptors(owner)).some(({ get }) => get !== undefined),
    );
  }

  #refuseClass(): Callable {
    const message =
      `the default export of ${this.#path} is a class: export an instance of it ` +
      "(export default new ...)";
    if (this.#named.size === 0) throw new TypeError(message);
    return () => {
      throw new TypeError(message);
    };
  }
}

/** An object and what it inherits from, but not what every object has. */
function ownersOf(service: object | undefined): object[] {
  const owners: object[] = [];
  let at = service ?? null;
  while (at !== null && Object.getPrototypeOf(at) !== null) {
    owners.push(at);
    at = Object.getPrototypeOf(at);
  }
  // one that inherits from nothing, not even from Object.prototype
  if (at === service && at !== null) owners.push(at);
  return owners;
}

/** Of an instance of a class, names with `_` in front are its own business. */
function isPublic(name: string, service: object): boolean {
  if (name === "constructor" || name === "__proto__" || name === "__esModule") return false;
  const parent = Object.getPrototypeOf(service);
  const isPlain = parent === null || Object.getPrototypeOf(parent) === null;
  return isPlain || !name.startsWith("_");
}

function isFunction(value: unknown): value is Callable {
  return typeof value === "function" && !isClass(value);
}

/** It would throw when it is called. */
function isClass(value: unknown): boolean {
  return typeof value === "function" && /^class\b/.test(Function.prototype.toString.call(value));
}

/** `exports.default` of a module that a compiler made CommonJS of. */
function defaultOf(namespace: Record<string, unknown>): unknown {
  const main = namespace.default;
  if (typeof main !== "object" || main === null || !("__esModule" in main)) return main;
  return "default" in main ? main.default : main;
}
