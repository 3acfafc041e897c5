/**
 * The methods of a module, as the Node runtime finds them: exported functions, the properties of a
 * default export that is an object, and the function for calls without a method.
 */
import type * as TypeScript from "typescript";
import type { CheckedModule } from "./compiler.js";
import { membersOf, requireInstance } from "./default-export.js";
import { deprecationOf, docOf } from "./doc.js";
import { chunkOf, isBytes } from "./js-values.js";
import { ANY, type LuaType, NIL, NULL, unionOf, word } from "./lua-type.js";
import { aliasedOf, signaturesOf, typeOf } from "./symbols.js";
import type { Translation } from "./translation.js";

export interface Signature {
  /** What Lua sends; undefined: the handler takes nothing. */
  readonly request: LuaType | undefined;
  readonly mayOmit: boolean;
  /** The result of a call. */
  readonly response: LuaType;
  /** The type of each chunk of a stream; undefined: it is one value. */
  readonly chunk: LuaType | undefined;
}

export interface Method {
  readonly name: string;
  readonly doc: readonly string[];
  /** The reason for its deprecation, possibly empty; undefined: not deprecated. */
  readonly deprecation: string | undefined;
  readonly isRaw: boolean;
  /** At least one; more of an overloaded function. */
  readonly signatures: readonly [Signature, ...Signature[]];
}

export interface ModuleMethods {
  readonly named: readonly Method[];
  /** Asked by a call without a method, with bytes. */
  readonly unnamed: Method | undefined;
}

export function methodsOf(module: CheckedModule, translation: Translation): ModuleMethods {
  const { checker, source } = module;
  const symbol = checker.getSymbolAtLocation(source);
  const exported = symbol ? checker.getExportsOfModule(symbol) : [];
  const main = exported.find(({ name }) => name === "default" || name === "export=");
  const found = new Map<string, TypeScript.Symbol>();
  for (const one of main ? membersOf(module, main) : []) found.set(one.name, one);
  for (const one of exported) if (one !== main) found.set(one.name, one);

  const named: Method[] = [];
  for (const [name, one] of [...found].sort(bySource)) {
    const method = methodOf(module, translation, name, one);
    if (method) named.push(method);
  }
  if (main) requireInstance(module, translation, main, named.length === 0);
  const handle = named.find(({ name }) => name === "handle");
  const unnamed = main && methodOf(module, translation, "default", main);
  return {
    named: named.filter((one) => one !== handle || !one.isRaw),
    unnamed: requireBytes(translation, unnamed ?? handle),
  };
}

/** As they stand in the source, whatever order the compiler has. */
function bySource(
  [a, first]: [string, TypeScript.Symbol],
  [b, second]: [string, TypeScript.Symbol],
): number {
  const positionOf = ({ declarations }: TypeScript.Symbol) => declarations?.[0]?.pos ?? 0;
  return positionOf(first) - positionOf(second) || (a < b ? -1 : 1);
}

/** Calls without a method carry bytes, whatever the codec is. */
function requireBytes(translation: Translation, method: Method | undefined): Method | undefined {
  if (!method || method.isRaw) return method;
  const takesAny = method.signatures.every(({ request }) => !request || request === ANY);
  if (method.name !== "default") return undefined;
  if (!takesAny) {
    translation.problems.push({
      place: "default export",
      reason: "it is called with bytes: type it as RawHandler, or export it under a name",
    });
  }
  return method;
}

function methodOf(
  module: CheckedModule,
  translation: Translation,
  name: string,
  symbol: TypeScript.Symbol,
): Method | undefined {
  const found = signaturesOf(module, symbol);
  if (found.length === 0) return undefined;
  const isRaw =
    found.some((signature) => isOfBytes(module, signature)) || isRawHandler(module, symbol);
  const [first, ...more] = found.map((signature) =>
    isRaw ? rawSignature(module, signature) : jsonSignature(module, translation, name, signature),
  );
  if (!first) return undefined;
  const target = aliasedOf(module, symbol);
  return {
    name,
    doc: docOf(module, target),
    deprecation: deprecationOf(module, target),
    isRaw,
    signatures: [first, ...more],
  };
}

function jsonSignature(
  module: CheckedModule,
  translation: Translation,
  method: string,
  signature: TypeScript.Signature,
): Signature {
  const { ts } = module;
  const given = requestOf(module, signature);
  const members = given && (given.isUnion() ? given.types : [given]);
  const absent = ts.TypeFlags.Undefined | ts.TypeFlags.Null | ts.TypeFlags.Void;
  const anything = ts.TypeFlags.Any | ts.TypeFlags.Unknown;
  const request =
    given &&
    translation.translate(given, "request", `${method}, request`, nameOf(method, "Request"));
  const { values, chunks } = responsesOf(module, signature);
  const response = (types: readonly TypeScript.Type[], what: string) =>
    unionOf(
      types.map((one) =>
        translation.translate(one, "response", `${method}, ${what}`, nameOf(method, what)),
      ),
    );
  const chunk = chunks && (chunks.length > 0 ? response(chunks, "Chunk") : ANY);
  const value = values.length > 0 ? [response(values, "Response")] : [];
  return {
    request: request && withoutNothing(request),
    mayOmit: members?.some(({ flags }) => flags & (absent | anything)) ?? true,
    response: unionOf([...value, ...(chunk ? [{ kind: "list" as const, item: chunk }] : [])]),
    chunk,
  };

  function nameOf(name: string, what: string): string {
    return `${translation.prefix}.${name.replace(/\W/g, "_")}.${what}`;
  }
}

/** A call without a value sends null. */
function withoutNothing(type: LuaType): LuaType {
  if (type === NULL) return NIL;
  return type;
}

function rawSignature(module: CheckedModule, signature: TypeScript.Signature): Signature {
  const { chunks } = responsesOf(module, signature);
  return {
    request: word("string|number"),
    mayOmit: true,
    response: word("string"),
    chunk: chunks && word("string"),
  };
}

/** The results that the promise of a handler resolves to: values, and chunks of iterables. */
function responsesOf(
  module: CheckedModule,
  signature: TypeScript.Signature,
): { values: TypeScript.Type[]; chunks: TypeScript.Type[] | undefined } {
  const { checker } = module;
  const returned = signature.getReturnType();
  const awaited = checker.getAwaitedType(returned) ?? returned;
  const members = awaited.isUnion() ? awaited.types : [awaited];
  const streams = members.map((one) => chunkOf(module, one));
  const values = members.filter((_one, at) => streams[at] === undefined);
  const isWhole = values.length === members.length;
  const chunks = [...new Set(streams.flatMap((one) => one ?? []))];
  return { values: isWhole ? [awaited] : values, chunks: isWhole ? undefined : chunks };
}

function requestOf(
  { ts, checker }: CheckedModule,
  signature: TypeScript.Signature,
): TypeScript.Type | undefined {
  const [parameter] = signature.getParameters();
  if (!parameter) return undefined;
  const type = checker.getTypeOfSymbol(parameter);
  const declared = parameter.valueDeclaration as TypeScript.ParameterDeclaration | undefined;
  // (...values): the first of them
  if (declared?.dotDotDotToken) return checker.getIndexTypeOfType(type, ts.IndexKind.Number);
  return type;
}

function isOfBytes(module: CheckedModule, signature: TypeScript.Signature): boolean {
  const request = requestOf(module, signature);
  const { values, chunks = [] } = responsesOf(module, signature);
  const types = [...(request ? [request] : []), ...values, ...chunks];
  return types
    .flatMap((type) => (type.isUnion() ? type.types : [type]))
    .some((type) => isBytes(module, type));
}

/** By its declared type, which says it even where the types of Node are not installed. */
function isRawHandler(module: CheckedModule, symbol: TypeScript.Symbol): boolean {
  const name = typeOf(module, aliasedOf(module, symbol)).aliasSymbol?.name ?? "";
  return name === "RawHandler" || name === "RawStreamHandler";
}
