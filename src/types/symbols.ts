/** The types of what a module exports, whatever it is imported from. */
import type * as TypeScript from "typescript";
import type { CheckedModule } from "./compiler.js";

export function signaturesOf(
  module: CheckedModule,
  symbol: TypeScript.Symbol,
): readonly TypeScript.Signature[] {
  const target = aliasedOf(module, symbol);
  if (!(target.flags & module.ts.SymbolFlags.Value)) return [];
  return typeOf(module, target).getCallSignatures();
}

export function typeOf(module: CheckedModule, symbol: TypeScript.Symbol): TypeScript.Type {
  const target = aliasedOf(module, symbol);
  return module.checker.getTypeOfSymbolAtLocation(target, module.source);
}

export function aliasedOf(
  { ts, checker }: CheckedModule,
  symbol: TypeScript.Symbol,
): TypeScript.Symbol {
  return symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol;
}
