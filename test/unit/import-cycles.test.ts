// No import leads back to its own file, in the code that the tests of src/, the Rust crate and the
// objects of C do not cover: tests and scripts, Lua modules, the Python package, C headers.
import { readdirSync, readFileSync } from "node:fs";
import { basename, dirname, join, relative } from "node:path";
import { expect, test } from "vitest";
import { repository } from "../support/cli.js";
import { cycleIn } from "../support/cycles.js";

type Needs = (file: string, text: string) => readonly string[];

/** The files below these directories, relative to the repository, each with those it needs. */
function graphOf(roots: readonly string[], ending: RegExp, needs: Needs): Map<string, string[]> {
  const files = roots.flatMap((root) =>
    readdirSync(join(repository, root), { recursive: true, encoding: "utf8" })
      .filter((name) => ending.test(name) && !/(^|\/)(node_modules|fixtures|results)\//.test(name))
      .map((name) => join(root, name)),
  );
  const known = new Set(files);
  return new Map(
    files.map((file) => [
      file,
      needs(file, readFileSync(join(repository, file), "utf8")).filter((one) => known.has(one)),
    ]),
  );
}

const found = (text: string, pattern: RegExp) =>
  [...text.matchAll(pattern)].map((match) => match[1] ?? "");

const GRAPHS: Readonly<Record<string, Map<string, string[]>>> = {
  "tests and scripts": graphOf(["test", "scripts", "bench"], /\.(ts|mjs)$/, (file, text) =>
    found(text, /\bfrom\s+"(\.[^"]+)"/g).map((path) =>
      join(dirname(file), path.replace(/\.js$/, ".ts")),
    ),
  ),
  "Lua modules": graphOf(["lua"], /\.lua$/, (_, text) =>
    found(text, /\brequire\s*\(?\s*"([\w.]+)"/g).map(
      (name) => `lua/${name.replaceAll(".", "/")}.lua`,
    ),
  ),
  "the Python package": graphOf(["c-src/sdk/python/nffi"], /\.py$/, (file, text) =>
    [
      ...found(text, /^\s*from \.(\w+) import/gm),
      ...found(text, /^\s*from \. import \(?([\w, \n]+)/gm).flatMap((names) =>
        names.split(/[,\s]+/),
      ),
    ].map((name) => join(dirname(file), `${name}.py`)),
  ),
  "C headers": graphOf(["c-src"], /\.h$/, (file, text) =>
    found(text, /^#\s*include "([^"]+)"/gm).flatMap((header) => [
      join("c-src/lib", header),
      join(dirname(file), header),
      join("c-src/ngx", basename(header)),
    ]),
  ),
};

test.each(Object.entries(GRAPHS))("%s have no import cycle", (_, graph) => {
  expect([...graph.values()].flat().length).toBeGreaterThan(3);
  expect(cycleIn(graph)).toEqual([]);
});

test("the directories of libnffi include one way: host, runtime, shared", () => {
  const ROOMS = ["shared", "runtime", "host"];
  const height = (file: string) => ROOMS.indexOf(relative("c-src/lib", file).split("/")[0] ?? "");
  const included = graphOf(["c-src/lib"], /\.[ch]$/, (file, text) =>
    found(text, /^#\s*include "([^"]+)"/gm).flatMap((header) => [
      join("c-src/lib", header),
      join(dirname(file), header),
    ]),
  );
  const upward = [...included].flatMap(([file, headers]) =>
    headers.filter((one) => height(one) > height(file)).map((one) => `${file} includes ${one}`),
  );
  expect([...included.values()].flat().length).toBeGreaterThan(30);
  expect(upward).toEqual([]);
});
