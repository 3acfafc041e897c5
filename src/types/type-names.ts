/** The names of types in their source. The names in Lua are derived from them. */
import type * as TypeScript from "typescript";
import type { CheckedModule } from "./compiler.js";

/** The name of a type, with the arguments of a generic type. */
export function ownNameOf(
  { ts, checker }: CheckedModule,
  type: TypeScript.Type,
): string | undefined {
  const alias = type.aliasSymbol;
  const name = alias?.name ?? type.symbol?.name;
  if (name === undefined || name.startsWith("__") || name === "default") return undefined;
  const given = alias
    ? type.aliasTypeArguments
    : (type as TypeScript.ObjectType).objectFlags & ts.ObjectFlags.Reference
      ? checker.getTypeArguments(type as TypeScript.TypeReference)
      : undefined;
  const ofType = (given ?? []).filter((one) => !(one as { isThisType?: boolean }).isThisType);
  const parts = ofType.map((one) => wordsOf(checker.typeToString(one)));
  return [name, ...parts].join("_");
}

/** The property that distinguishes the members of a union: `kind: "circle"` makes it `circle`. */
export function tagOf({ checker }: CheckedModule, type: TypeScript.Type): string | undefined {
  for (const property of checker.getPropertiesOfType(type)) {
    if (property.valueDeclaration === undefined) continue;
    const value = checker.getTypeOfSymbol(property);
    if (value.isStringLiteral() && /^[A-Za-z_]\w*$/.test(value.value)) return value.value;
  }
  return undefined;
}

function wordsOf(text: string): string {
  return text.match(/\w+/g)?.join("_").slice(0, 40) ?? "T";
}
