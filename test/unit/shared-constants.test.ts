// Constants that several languages must agree on: shared-constants.json has each value once. Each
// source defines it under the name in the table, and each text quotes it.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { repository } from "../support/cli.js";

interface Constant {
  readonly constant: string;
  /** A number, and its unit unless it is a count. */
  readonly value: string;
  /** Its name in each file. */
  readonly names: Readonly<Record<string, string | readonly string[]>>;
  /** Text of each file that quotes it. */
  readonly texts?: Readonly<Record<string, string | readonly string[]>>;
}

const read = (path: string) => readFileSync(join(repository, path), "utf8");
const table: readonly Constant[] = JSON.parse(read("test/unit/shared-constants.json"));

/** Names of the table that stand for something else in these files. */
const OTHER_MEANINGS: Readonly<Record<string, readonly string[]>> = {
  DEFAULT_MAX_QUEUE: ["lua/resty/nffi/child.lua"],
  MAX_DEPTH: ["lua/resty/nffi/loaded.lua"],
};

const NS: Readonly<Record<string, number>> = {
  ns: 1,
  us: 1e3,
  ms: 1e6,
  s: 1e9,
  Nanosecond: 1,
  Microsecond: 1e3,
  Millisecond: 1e6,
  Second: 1e9,
  micros: 1e3,
  millis: 1e6,
  secs: 1e9,
};
const BYTES: Readonly<Record<string, number>> = { B: 1, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30 };

/** In nanoseconds, bytes or as a count. */
function expectedOf({ value }: Constant): number {
  const [number, unit] = value.split(" ");
  return Number(number) * (unit === undefined ? 1 : (NS[unit] ?? BYTES[unit] ?? Number.NaN));
}

/** The text of what `name` is defined as: in C, Lua, TypeScript, Go, Python, Java or Rust. */
function definitionsOf(source: string, name: string): string[] {
  const pattern = new RegExp(
    `^(?:#define ${name}[ \\t]+|(?:[^\\n(/#*"'=-]*[^\\w\\n(/#*"'=-])?${name}(?:: \\w+)?\\s+= )([^\\n]*)`,
    "gm",
  );
  return [...source.matchAll(pattern)]
    .map((match) => (match[1] ?? "").replace(/\s*(?:\/\*|\/\/|--|#).*$/, "").replace(/;$/, ""))
    .filter((expression) => /\d/.test(expression)); // not the export of a Lua module
}

/** A number, a product or a shift of numbers, in the way of any of the languages. */
function numberOf(expression: string): number {
  const plain = expression
    .replace(/UINT64_C|\([a-z_]\w*\)/g, "")
    .replace(/[()]/g, "")
    .replace(/_/g, "")
    .replace(/(\d)u(?:ll|l)?\b/gi, "$1")
    .trim();
  const shift = plain.split(" << ");
  if (shift.length === 2) return numberOf(shift[0] ?? "") * 2 ** numberOf(shift[1] ?? "");
  return plain.split(" * ").reduce((product, factor) => product * Number(factor), 1);
}

/** Times in nanoseconds: a name ends with its unit, the type has it, or they are seconds. */
function amountOf(name: string, expression: string, isTime: boolean): number {
  if (!isTime) return numberOf(expression);
  const go = /^(\d+) \* time\.(\w+)$/.exec(expression);
  const rust = /^Duration::from_(\w+)\((\d+)\)$/.exec(expression);
  if (go) return Number(go[1]) * (NS[go[2] ?? ""] ?? Number.NaN);
  if (rust) return Number(rust[2]) * (NS[rust[1] ?? ""] ?? Number.NaN);
  const unit = /_(NS|US|MS)$/.exec(name)?.[1]?.toLowerCase() ?? "s";
  return Math.round(numberOf(expression) * (NS[unit] ?? Number.NaN));
}

const listed = (entries: Constant["texts"]) =>
  Object.entries(entries ?? {}).flatMap(([file, values]) =>
    [values].flat().map((value) => [file, value] as const),
  );

describe.each(table)("$constant: $value", (constant) => {
  const isTime = /s$/.test(constant.value);

  test.each(listed(constant.names))("%s: %s", (file, name) => {
    const definitions = definitionsOf(read(file), name);
    expect(definitions, `${name} is defined once`).toHaveLength(1);
    expect(amountOf(name, definitions[0] ?? "", isTime), definitions[0]).toBe(expectedOf(constant));
  });

  test.each(listed(constant.texts))("%s: %s", (file, text) => {
    expect(read(file)).toContain(text);
    expect(text.replaceAll(",", "")).toMatch(new RegExp(`\\b${constant.value.split(" ")[0]}\\b`));
  });
});

test("no file defines one of these names without being in the table", () => {
  const sources = ["c-src", "lua", "src/node-runtime"].flatMap((folder) =>
    readdirSync(join(repository, folder), { recursive: true, encoding: "utf8" })
      .filter((path) => /\.(?:c|h|go|java|py|rs|ts|lua)$/.test(path))
      .filter((path) => !/(?:^|\/)(?:build|target|tests?)\//.test(path))
      .map((path) => join(folder, path)),
  );
  expect(sources.length).toBeGreaterThan(200);
  const known = new Set(table.flatMap((one) => listed(one.names)).map((pair) => pair.join(" ")));
  const names = new Set(table.flatMap((one) => listed(one.names)).map(([, name]) => name));
  const strays = sources.flatMap((file) => {
    const source = read(file);
    return [...names]
      .filter((name) => !known.has(`${file} ${name}`) && !OTHER_MEANINGS[name]?.includes(file))
      .filter((name) => source.includes(name) && definitionsOf(source, name).length > 0)
      .map((name) => `${file}: ${name}`);
  });
  expect(strays).toEqual([]);
});
