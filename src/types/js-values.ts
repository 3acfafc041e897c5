/** The JavaScript kind of a type's values: bytes, functions, collections, iterators. */
import type * as TypeScript from "typescript";
import type { CheckedModule, Compiler } from "./compiler.js";

const BYTES = new Set([
  ...["Buffer", "Uint8Array", "Uint8ClampedArray", "Int8Array", "Uint16Array", "Int16Array"],
  ...["Uint32Array", "Int32Array", "Float16Array", "Float32Array", "Float64Array"],
  ...["BigInt64Array", "BigUint64Array", "DataView", "ArrayBuffer", "SharedArrayBuffer"],
]);

/** What JSON.stringify makes `{}` of. */
const COLLECTIONS = new Set([
  ...["Map", "Set", "WeakMap", "WeakSet", "ReadonlyMap", "ReadonlySet", "RegExp", "Promise"],
  ...["Error", "TypeError", "RangeError", "AggregateError", "AbortSignal", "Response", "Request"],
]);

export function isBytes(module: CheckedModule, type: TypeScript.Type): boolean {
  return BYTES.has(type.symbol?.name ?? "") && isOfLibrary(module, type.symbol);
}

/** The name of a type of JavaScript's own whose content JSON drops. */
export function kindOfLibraryType(
  module: CheckedModule,
  type: TypeScript.Type,
): string | undefined {
  const name = type.symbol?.name ?? "";
  return COLLECTIONS.has(name) && isOfLibrary(module, type.symbol) ? name : undefined;
}

/** Declared by JavaScript or Node, not by the user. */
function isOfLibrary({ program }: CheckedModule, symbol: TypeScript.Symbol): boolean {
  return (symbol.declarations ?? []).some((declaration) => {
    const file = declaration.getSourceFile();
    return program.isSourceFileDefaultLibrary(file) || file.fileName.includes("/@types/node/");
  });
}

export function isCallable(type: TypeScript.Type): boolean {
  return type.getCallSignatures().length > 0 || type.getConstructSignatures().length > 0;
}

/** A getter of a class is on its prototype, which JSON ignores. */
export function isAccessor(ts: Compiler, declaration: TypeScript.Declaration): boolean {
  return ts.isAccessor(declaration) && ts.isClassLike(declaration.parent);
}

/** A property by its name; `[Symbol.name]` for "@name". */
export function propertyNamed(
  checker: TypeScript.TypeChecker,
  type: TypeScript.Type,
  name: string,
): TypeScript.Symbol | undefined {
  if (!name.startsWith("@")) return checker.getPropertyOfType(type, name);
  const start = `__${name}`;
  return checker
    .getPropertiesOfType(type)
    .find(
      ({ escapedName }) => `${escapedName}` === start || `${escapedName}`.startsWith(`${start}@`),
    );
}

/** The type of the chunks of a value that is streamed; undefined: it is no stream. */
export function chunkOf(
  module: CheckedModule,
  type: TypeScript.Type,
): TypeScript.Type[] | undefined {
  const { checker } = module;
  const own = propertyNamed(checker, type, "@asyncIterator");
  if (own) return yieldedBy(module, returned(checker, own));
  // A generator; a list, a Map or a Set is a value.
  const isGenerator =
    propertyNamed(checker, type, "@iterator") && checker.getPropertyOfType(type, "next");
  return isGenerator ? yieldedBy(module, type) : undefined;
}

function yieldedBy(
  { ts, checker }: CheckedModule,
  iterator: TypeScript.Type | undefined,
): TypeScript.Type[] {
  const next = iterator && checker.getPropertyOfType(iterator, "next");
  const result = next && returned(checker, next);
  const awaited = result && (checker.getAwaitedType(result) ?? result);
  if (!awaited) return [];
  return (awaited.isUnion() ? awaited.types : [awaited]).flatMap((one) => {
    const done = checker.getPropertyOfType(one, "done");
    const isLast = done && checker.typeToString(checker.getTypeOfSymbol(done)) === "true";
    const value = checker.getPropertyOfType(one, "value");
    if (one.flags & ts.TypeFlags.Any) return [one];
    return isLast || !value ? [] : [checker.getTypeOfSymbol(value)];
  });
}

function returned(
  checker: TypeScript.TypeChecker,
  property: TypeScript.Symbol,
): TypeScript.Type | undefined {
  return checker.getTypeOfSymbol(property).getCallSignatures()[0]?.getReturnType();
}
