/** Types as a Lua editor knows them (LuaLS annotations), and how they are written. */

export type LuaType =
  /** A word of the annotations: `string`, `"low"`, `nffi.Null`. */
  | { readonly kind: "word"; readonly text: string }
  | { readonly kind: "list"; readonly item: LuaType }
  | { readonly kind: "map"; readonly value: LuaType }
  | { readonly kind: "tuple"; readonly items: readonly LuaType[] }
  | { readonly kind: "union"; readonly members: readonly LuaType[] }
  | { readonly kind: "named"; readonly declaration: Declaration };

export interface Field {
  readonly name: string;
  readonly type: LuaType;
  readonly isOptional: boolean;
  readonly doc: readonly string[];
}

/** A class or an alias. Made with its name only, filled later: types may be recursive. */
export interface Declaration {
  name: string;
  readonly doc: readonly string[];
  body:
    | {
        readonly kind: "class";
        readonly fields: readonly Field[];
        readonly rest: LuaType | undefined;
      }
    | { readonly kind: "alias"; readonly members: readonly LuaType[] }
    | undefined;
}

export const word = (text: string): LuaType => ({ kind: "word", text });

export const ANY = word("any");
export const NIL = word("nil");
/** JSON's null in Lua, both ways: `ngx.null`. */
export const NULL = word("nffi.Null");

/** One of them; nothing twice, and what says nothing last. */
export function unionOf(types: readonly LuaType[]): LuaType {
  const flat = types.flatMap((type) => (type.kind === "union" ? type.members : [type]));
  const members = new Map(flat.map((type) => [textOf(type), type]));
  if (members.has("true") && members.has("false")) {
    const isBoolean = (text: string) => text === "true" || text === "false";
    const rest = [...members].filter(([text]) => !isBoolean(text)).map(([, type]) => type);
    return unionOf([...rest, word("boolean")]);
  }
  if (members.has("any")) return ANY;
  const ordered = [...members.values()].sort((a, b) => lastness(a) - lastness(b));
  const [only = NIL] = ordered;
  return ordered.length > 1 ? { kind: "union", members: ordered } : only;
}

function lastness(type: LuaType): number {
  return type === NIL ? 2 : type === NULL ? 1 : 0;
}

/** `nameOf`: what a declaration is called, where that is not yet settled. */
export function textOf(
  type: LuaType,
  nameOf: (declaration: Declaration) => string = ({ name }) => name,
): string {
  const text = (one: LuaType) => textOf(one, nameOf);
  switch (type.kind) {
    case "word":
      return type.text;
    case "named":
      return nameOf(type.declaration);
    case "list":
      return type.item.kind === "union" ? `(${text(type.item)})[]` : `${text(type.item)}[]`;
    case "map":
      return `table<string, ${text(type.value)}>`;
    case "tuple":
      return `{ ${type.items.map((item, at) => `[${at + 1}]: ${text(item)}`).join(", ")} }`;
    case "union":
      return type.members.map(text).join("|");
  }
}

/** A string as a literal of Lua and of its annotations. */
export function quoted(text: string): string {
  return `"${text.replace(/[\\"]/g, "\\$&").replaceAll("\n", "\\n")}"`;
}

export function isName(text: string): boolean {
  return /^[A-Za-z_]\w*$/.test(text) && !RESERVED.has(text);
}

const RESERVED = new Set(
  (
    "and break do else elseif end false for function goto if in local nil not or repeat return " +
    "then true until while"
  ).split(" "),
);
