// The stub of resty.nffi that is shipped says what the code and the manual say: an option, a code
// of an error or a function that one of them gets, all of them get.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { repository } from "../../support/cli.js";

const read = (path: string) => readFileSync(join(repository, path), "utf8");
const stub = read("lua/types/resty/nffi.lua");
const module = read("lua/resty/nffi.lua");
const calls = read("lua/resty/nffi/call_options.lua");

test("every code of docs/lua.md is one of nffi.ErrorCode, and no other", () => {
  const table = /^## Errors\n(.*?)^## /ms.exec(read("docs/lua.md"))?.[1] ?? "";
  const rows = [...table.matchAll(/^\| (`[^|]*`) \|/gm)].map(([, codes = ""]) => codes);
  const documented = rows.flatMap((codes) => codes.match(/\w+/g) ?? []);
  const alias = /^---@alias nffi\.ErrorCode\n((?:---\|.*\n)+)/m.exec(stub)?.[1] ?? "";
  const typed = [...alias.matchAll(/^---\| "(\w+)"/gm)].map(([, code]) => code);
  expect(documented.length).toBeGreaterThan(20);
  expect(typed.toSorted()).toEqual(documented.toSorted());
});

test("every option of load is a field, and every field an option", () => {
  const files = [
    "nffi.lua",
    ...readdirSync(join(repository, "lua/resty/nffi")).map((f) => `nffi/${f}`),
  ];
  const tables = files.flatMap((file) => [
    ...read(`lua/resty/${file}`).matchAll(
      /(?:_OPTIONS =|_options =|\boptions = (?:setmetatable\()?) ?\{([\w\s=,]*)\}/g,
    ),
  ]);
  const names = (text: string) => [...text.matchAll(/(\w+) = true/g)].map(([, name]) => name);
  const forCalls = names(/STREAM_OPTIONS = (\{.*?\})/s.exec(calls)?.[1] ?? "");
  const accepted = new Set(tables.flatMap(([, body = ""]) => names(body)));
  for (const name of forCalls) if (name !== "timeout") accepted.delete(name);
  const classes = stub.matchAll(/^---@class nffi\.(\w+Options)\b.*\n((?:---.*\n)+)/gm);
  const typed = new Set(
    [...classes]
      .filter(([, name = ""]) => !/Call|Stream/.test(name))
      .flatMap(([, , body = ""]) => [...body.matchAll(/^---@field (\w+)/gm)].map(([, f]) => f)),
  );
  expect(accepted.size).toBeGreaterThan(20);
  expect([...typed].sort()).toEqual([...accepted].sort());
});

/** The fields of a class and of its base classes. */
function fieldsOf(name: string): string[] {
  const found = new RegExp(`^---@class ${name}(?:: (\\S+))?\n((?:---.*\n)+)`, "m").exec(stub);
  const [, parent, body = ""] = found ?? [];
  const own = [...body.matchAll(/^---@field (\w+)/gm)].map(([, field = ""]) => field);
  return parent ? [...own, ...fieldsOf(parent)] : own;
}

test.each(["node", "process", "python"])("the options of %s match its class", (language) => {
  const [, body = ""] =
    /\boptions = (?:setmetatable\()?\{([\w\s=,]*)\}/.exec(read(`lua/resty/nffi/${language}.lua`)) ??
    [];
  const own = [...body.matchAll(/(\w+) = true/g)].map(([, name]) => name);
  const title = language.charAt(0).toUpperCase() + language.slice(1);
  expect(own).not.toEqual([]);
  expect(fieldsOf(`nffi.${title}Options`)).toEqual(expect.arrayContaining(own));
});

test("every function of the module and of a runtime is in the stub", () => {
  const functions = (text: string, of: string) =>
    [...text.matchAll(new RegExp(`^function ${of}[.:](\\w+)\\(`, "gm"))]
      .map(([, name]) => name)
      .sort();
  expect(functions(stub, "nffi")).toEqual(functions(module, "_M"));
  expect(functions(stub, "runtime")).toEqual(functions(module, "Runtime"));
  expect(functions(stub, "stream")).toEqual(functions(read("lua/resty/nffi/stream.lua"), "Stream"));
});
