/**
 * The functions of a module that requests can name: its exports, and the properties of a default
 * export that is an object, which is how `import()` presents a CommonJS module.
 */

// biome-ignore lint/suspicious/noExplicitAny: functions of the user, whatever they take
export type Callable = (...args: any[]) => unknown;

export class Methods {
  readonly #path: string;
  readonly #named = new Map<string, Callable>();
  readonly #unnamed: Callable | undefined;

  /** Throws when there is nothing to call. */
  constructor(path: string, namespace: Record<string, unknown>) {
    this.#path = path;
    const main = defaultOf(namespace);
    if (typeof main === "object" && main !== null) this.#add(main as Record<string, unknown>, main);
    this.#add(namespace, undefined);
    const handle = this.#named.get("handle");
    this.#unnamed = typeof main === "function" ? (main as Callable) : handle;
    if (this.#named.size === 0 && this.#unnamed === undefined) {
      throw new TypeError(`${path} exports no function`);
    }
  }

  get names(): string[] {
    return [...this.#named.keys()].sort();
  }

  /** The function for a request; an empty name: the request has no method. */
  find(name: string): Callable {
    const found = name === "" ? this.#unnamed : this.#named.get(name);
    if (found !== undefined) return found;
    const names = this.names.join(", ");
    if (name !== "") {
      throw new TypeError(`no method "${name}" in ${this.#path}; it has: ${names || "none"}`);
    }
    throw new TypeError(
      `a request without a method needs a default export, or an export "handle", in ` +
        `${this.#path}; its methods are: ${names}`,
    );
  }

  #add(from: Record<string, unknown>, owner: object | undefined): void {
    for (const name of Object.keys(from)) {
      if (name === "default" || name === "module.exports") continue;
      const value = from[name];
      if (typeof value !== "function") continue;
      this.#named.set(name, owner === undefined ? (value as Callable) : value.bind(owner));
    }
  }
}

/** `exports.default` of a module that a compiler made CommonJS of. */
function defaultOf(namespace: Record<string, unknown>): unknown {
  const main = namespace.default;
  if (typeof main !== "object" || main === null || !("__esModule" in main)) return main;
  return "default" in main ? main.default : main;
}
