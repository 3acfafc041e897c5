/** The methods of a default export, as the Node runtime finds them (node-runtime/methods.ts). */
import type * as TypeScript from "typescript";
import type { CheckedModule } from "./compiler.js";
import { typeOf } from "./symbols.js";
import type { Translation } from "./translation.js";

/** The public members, own and inherited, of a default export that is an object. */
export function membersOf(module: CheckedModule, main: TypeScript.Symbol): TypeScript.Symbol[] {
  const { ts, checker } = module;
  const type = typeOf(module, main);
  if (type.getCallSignatures().length > 0 || type.getConstructSignatures().length > 0) return [];
  const isInstance = type.isClass() || type.symbol?.flags === ts.SymbolFlags.Class;
  const hidden = ts.ModifierFlags.Private | ts.ModifierFlags.Protected;
  return checker.getPropertiesOfType(type).filter(({ name, declarations = [] }) => {
    if (name === "constructor" || (isInstance && name.startsWith("_"))) return false;
    return !declarations.some((one) => {
      const { name: written } = one as TypeScript.NamedDeclaration;
      // #name and [Symbol.iterator] are no names for Lua
      if (written && (ts.isPrivateIdentifier(written) || isSymbol(module, written))) return true;
      return ts.getCombinedModifierFlags(one) & hidden;
    });
  });
}

function isSymbol({ ts, checker }: CheckedModule, name: TypeScript.DeclarationName): boolean {
  if (!ts.isComputedPropertyName(name)) return false;
  return (checker.getTypeAtLocation(name.expression).flags & ts.TypeFlags.ESSymbolLike) !== 0;
}

/** Refuses what a runtime refuses to load. */
export function requireInstance(
  module: CheckedModule,
  translation: Translation,
  main: TypeScript.Symbol,
  isAlone: boolean,
): void {
  const type = typeOf(module, main);
  if (isAlone && type.getConstructSignatures().length > 0) {
    const reason = "it is a class: export an instance of it (export default new ...)";
    translation.problems.push({ place: "default export", reason });
  }
  if (module.checker.getAwaitedType(type) !== type) {
    const reason = "it is a promise: export default await ...";
    translation.problems.push({ place: "default export", reason });
  }
}
