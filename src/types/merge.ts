/**
 * One declaration for a type that looks the same in requests and in responses: it was translated
 * twice, since the two can differ. Types that differ keep two names.
 */
import { type Declaration, textOf } from "./lua-type.js";

/** The final declarations. `twins`: by a type's second translation its first one. */
export function mergeTwins(
  declarations: readonly Declaration[],
  twins: ReadonlyMap<Declaration, Declaration>,
): Declaration[] {
  // Twins are equal until something in them differs; then the types that refer to them differ as
  // well.
  const differing = new Set<Declaration>();
  const nameOf = (one: Declaration) =>
    differing.has(one) ? one.name : (twins.get(one)?.name ?? one.name);
  for (let before = -1; before !== differing.size; ) {
    before = differing.size;
    for (const [one, twin] of twins) {
      if (shapeOf(one, nameOf) !== shapeOf(twin, nameOf)) differing.add(one);
    }
  }
  for (const [one, twin] of twins) if (!differing.has(one)) one.name = twin.name;
  return declarations.filter((one) => !twins.has(one) || differing.has(one));
}

function shapeOf({ body }: Declaration, nameOf: (one: Declaration) => string): string {
  if (body?.kind === "alias") return body.members.map((one) => textOf(one, nameOf)).join("\n");
  const fields = (body?.fields ?? []).map(({ name, type, isOptional }) => [
    name,
    textOf(type, nameOf),
    isOptional,
  ]);
  return JSON.stringify([fields, body?.rest && textOf(body.rest, nameOf)]);
}
