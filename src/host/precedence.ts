/** The only place that knows which value of an option applies. docs/cli.md describes the order. */

/** Where a user can set an option, the strongest first. */
const PLACES = ["option", "variable", "file"] as const;

export type Place = (typeof PLACES)[number];

/**
 * Returns the place whose value applies, or undefined for the default. `variable`: of the
 * environment, where an empty one is not set; `file`: nffi.config.json.
 */
export function placeOf(values: Readonly<Partial<Record<Place, unknown>>>): Place | undefined {
  return PLACES.find(
    (place) => values[place] !== undefined && !(place === "variable" && values[place] === ""),
  );
}
