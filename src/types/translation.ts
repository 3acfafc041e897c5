/**
 * The Lua view of a TypeScript type after JSON. Requests and responses differ: a Date becomes a
 * string in a response, but no request contains one. A type that JSON cannot represent is an error
 * with its position, rather than `any`.
 */
import type * as TypeScript from "typescript";
import type { CheckedModule } from "./compiler.js";
import { docOf } from "./doc.js";
import { isAccessor, isBytes, isCallable, kindOfLibraryType, propertyNamed } from "./js-values.js";
import {
  ANY,
  type Declaration,
  type Field,
  type LuaType,
  NULL,
  quoted,
  unionOf,
  word,
} from "./lua-type.js";
import { ownNameOf, tagOf } from "./type-names.js";

/** Deeper than any type that is meant: a generic that grows with each step has no end. */
const MAX_DEPTH = 50;

export type Way = "request" | "response";

/** Something that does not travel, and where it is: `hello, request.when`. */
export interface Problem {
  readonly place: string;
  readonly reason: string;
}

export class Translation {
  readonly declarations: Declaration[] = [];
  /** By the second translation of a type, the other way, its first one. */
  readonly twins = new Map<Declaration, Declaration>();
  readonly problems: Problem[] = [];
  readonly #module: CheckedModule;
  readonly prefix: string;
  readonly #known: Record<Way, Map<TypeScript.Type, Declaration>> = {
    request: new Map(),
    response: new Map(),
  };
  readonly #taken = new Set<string>();
  #depth = 0;

  /** `prefix`: the class that all names begin with. */
  constructor(module: CheckedModule, prefix: string) {
    this.#module = module;
    this.prefix = prefix;
    for (const own of ["Methods", "Streams"]) this.#taken.add(`${prefix}.${own}`);
  }

  /** `place`: its position for messages; `name`: its name if the type has none. */
  translate(type: TypeScript.Type, way: Way, place: string, name: string): LuaType {
    if (this.#depth > MAX_DEPTH) {
      return this.#problem(place.replace(/[.[].*/, ""), "its type has no end");
    }
    this.#depth += 1;
    try {
      return this.#translate(type, way, place, name);
    } finally {
      this.#depth -= 1;
    }
  }

  #translate(type: TypeScript.Type, way: Way, place: string, name: string): LuaType {
    const { ts, checker } = this.#module;
    const { TypeFlags } = ts;
    const flags = type.flags;
    if (flags & (TypeFlags.Any | TypeFlags.Unknown)) return ANY;
    if (flags & (TypeFlags.Null | TypeFlags.Undefined | TypeFlags.Void)) return NULL;
    if (flags & TypeFlags.Never) return word("nil");
    if (flags & TypeFlags.EnumLike && type.isUnion()) return this.#alias(type, way, place, name);
    if (flags & TypeFlags.Boolean) return word("boolean");
    if (type.isStringLiteral()) return word(quoted(type.value));
    if (type.isNumberLiteral()) {
      return word(Number.isInteger(type.value) && type.value >= 0 ? `${type.value}` : "number");
    }
    if (flags & TypeFlags.BooleanLiteral) return word(checker.typeToString(type));
    if (flags & TypeFlags.StringLike) return word("string");
    if (flags & TypeFlags.NumberLike) return word("number");
    if (flags & TypeFlags.BigIntLike) return this.#problem(place, "JSON has no bigint");
    if (flags & TypeFlags.ESSymbolLike) return this.#problem(place, "a symbol does not travel");
    if (flags & TypeFlags.TypeParameter) {
      const constraint = checker.getBaseConstraintOfType(type);
      return constraint ? this.translate(constraint, way, place, name) : ANY;
    }
    if (type.isUnion()) {
      return type.aliasSymbol === undefined
        ? this.#oneOf(type.types, way, place, name)
        : this.#alias(type, way, place, name);
    }
    if (type.isIntersection()) {
      // string & { brand }: a name for a string
      const basic = type.types.find(
        (one) => one.flags & (TypeFlags.StringLike | TypeFlags.NumberLike),
      );
      if (basic) return this.translate(basic, way, place, name);
    }
    return this.#object(type, way, place, name);
  }

  #alias(type: TypeScript.UnionType, way: Way, place: string, name: string): LuaType {
    return this.#declare(type, way, name, (declaration) => {
      const named = this.#oneOf(type.types, way, place, declaration.name);
      return { kind: "alias", members: named.kind === "union" ? named.members : [named] };
    });
  }

  #object(type: TypeScript.Type, way: Way, place: string, name: string): LuaType {
    const { ts, checker } = this.#module;
    if (checker.isArrayType(type)) {
      const [item] = checker.getTypeArguments(type as TypeScript.TypeReference);
      return { kind: "list", item: item ? this.#item(item, way, place, name) : ANY };
    }
    if (checker.isTupleType(type)) return this.#tuple(type, way, place, name);
    if (isBytes(this.#module, type)) {
      return this.#problem(place, 'bytes do not travel as JSON (codec = "raw" carries them)');
    }
    const special = kindOfLibraryType(this.#module, type);
    if (special) return this.#problem(place, `a ${special} does not travel as JSON`);
    const toJson = propertyNamed(checker, type, "toJSON");
    const encoded = toJson && checker.getTypeOfSymbol(toJson).getCallSignatures()[0];
    if (encoded) {
      if (way === "response") return this.translate(encoded.getReturnType(), way, place, name);
      const what = checker.typeToString(type);
      return this.#problem(place, `JSON never makes a ${what}: take what it is made of`);
    }
    if (isCallable(type)) return this.#problem(place, "a function does not travel");
    const properties = checker.getPropertiesOfType(type);
    const rest = checker.getIndexInfoOfType(type, ts.IndexKind.String)?.type;
    const byNumber = checker.getIndexInfoOfType(type, ts.IndexKind.Number)?.type;
    const others = rest ?? byNumber;
    const isNamed =
      type.aliasSymbol?.name !== "Record" && ownNameOf(this.#module, type) !== undefined;
    if (properties.length === 0 && others && !isNamed) {
      return { kind: "map", value: this.#item(others, way, place, `${name}.value`) };
    }
    if (properties.length === 0 && !others) return word("table");
    return this.#declare(type, way, name, (declaration) => ({
      kind: "class",
      fields: properties.flatMap((one) => this.#field(one, way, place, declaration.name)),
      rest: others && this.#item(others, way, place, `${declaration.name}.value`),
    }));
  }

  /** Within a list or a map, undefined becomes null. */
  #item(type: TypeScript.Type, way: Way, place: string, name: string): LuaType {
    return this.translate(type, way, `${place}[]`, name);
  }

  #tuple(type: TypeScript.Type, way: Way, place: string, name: string): LuaType {
    const { ts, checker } = this.#module;
    const reference = type as TypeScript.TupleTypeReference;
    const items = checker
      .getTypeArguments(reference)
      .map((one, at) => this.translate(one, way, `${place}[${at}]`, `${name}.${at + 1}`));
    const isFixed = reference.target.elementFlags.every(
      (flag) => flag === ts.ElementFlags.Required,
    );
    if (isFixed && items.length > 0) return { kind: "tuple", items };
    return { kind: "list", item: items.length > 0 ? unionOf(items) : ANY };
  }

  /** A field that Lua may leave out, or miss, is optional; what JSON leaves out is none. */
  #field(property: TypeScript.Symbol, way: Way, place: string, owner: string): Field[] {
    const { ts, checker } = this.#module;
    const declared = property.valueDeclaration ?? property.declarations?.[0];
    if (property.name.startsWith("__@") || property.name.startsWith("#")) return [];
    if (
      declared &&
      ts.getCombinedModifierFlags(declared) & ts.ModifierFlags.NonPublicAccessibilityModifier
    ) {
      return [];
    }
    if (way === "response" && declared && isAccessor(ts, declared)) return [];
    const type = checker.getTypeOfSymbol(property);
    const members = type.isUnion() ? type.types : [type];
    const present = members.filter((one) => !(one.flags & ts.TypeFlags.Undefined));
    const mayMiss = present.length < members.length;
    const isOptional = mayMiss || (property.flags & ts.SymbolFlags.Optional) !== 0;
    const isFunction = present.length > 0 && present.every(isCallable);
    if (isFunction && (way === "response" || isOptional)) return [];
    const types = mayMiss ? this.#present(type, present) : [type];
    return [
      {
        name: property.name,
        type: this.#oneOf(types, way, `${place}.${property.name}`, `${owner}.${property.name}`),
        isOptional,
        doc: docOf(this.#module, property),
      },
    ];
  }

  /** A union without undefined, under its own name where it has one. */
  #present(type: TypeScript.Type, present: readonly TypeScript.Type[]): readonly TypeScript.Type[] {
    const { ts, checker } = this.#module;
    const hasNull = present.some((one) => one.flags & ts.TypeFlags.Null);
    return hasNull ? present : [checker.getNonNullableType(type)];
  }

  #oneOf(types: readonly TypeScript.Type[], way: Way, place: string, name: string): LuaType {
    return unionOf(
      types.map((one, at) => {
        const own = types.length > 1 ? `${name}.${tagOf(this.#module, one) ?? at + 1}` : name;
        return this.translate(one, way, place, own);
      }),
    );
  }

  #declare(
    type: TypeScript.Type,
    way: Way,
    name: string,
    fill: (declaration: Declaration) => Declaration["body"],
  ): LuaType {
    const known = this.#known[way].get(type);
    if (known) return { kind: "named", declaration: known };
    const twin = this.#known[way === "response" ? "request" : "response"].get(type);
    const own = ownNameOf(this.#module, type);
    const symbol = type.aliasSymbol ?? type.symbol;
    const chosen = own === undefined ? name : `${this.prefix}.${own}`;
    const declaration: Declaration = {
      name: twin ? `${twin.name}.${way}` : this.#freeName(chosen),
      doc: own === undefined || symbol === undefined ? [] : docOf(this.#module, symbol),
      body: undefined,
    };
    if (twin) this.twins.set(declaration, twin);
    this.#known[way].set(type, declaration);
    this.declarations.push(declaration);
    declaration.body = fill(declaration);
    return { kind: "named", declaration };
  }

  #freeName(name: string): string {
    let free = name;
    for (let count = 2; this.#taken.has(free); count++) free = `${name}${count}`;
    this.#taken.add(free);
    return free;
  }

  #problem(place: string, reason: string): LuaType {
    this.problems.push({ place, reason });
    return ANY;
  }
}
