// TypeScript types in a stub, and types that are refused. Uses the repository's compiler.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import ts from "typescript";
import { expect, test } from "vitest";
import { Methods } from "../../../src/node-runtime/methods.js";
import { makeStub, writeStub } from "../../../src/types/write-types.js";
import { repository } from "../../support/cli.js";
import { temporaryFolder } from "../../support/temporary.js";

const runtimeTypes = join(repository, "src/node-runtime/handler.ts");

async function stubOf(source: string, more: { className?: string; file?: string } = {}) {
  const module = join(temporaryFolder(), more.file ?? "handlers.ts");
  writeFileSync(module, source);
  const output = undefined;
  return await makeStub({
    module,
    output,
    className: more.className,
    cwd: repository,
    runtimeTypes,
  });
}

/** The lines that declare something, without comments and without the boilerplate of failures. */
async function linesOf(source: string): Promise<string[]> {
  const { text } = await stubOf(source);
  const boring =
    /^---@(meta|return (string\? message|nffi\.Error|string\|integer)|param options)|^local |^-- |^$/;
  const start = text.indexOf("---@class Handlers.Methods");
  return text
    .slice(start)
    .split("\n")
    .filter((line) => !boring.test(line));
}

const travels: readonly [string, string, string?][] = [
  ["string", "string"],
  ["boolean", "boolean"],
  ["true", "true"],
  ["42", "42"],
  ["-1 | 0.5", "number"],
  // biome-ignore lint/suspicious/noTemplateCurlyInString: it is a type
  ["`id-${number}`", "string"],
  ["unknown", "any"],
  ["object", "table"],
  ["string | number | boolean", "string|number|boolean"],
  ["'a' | 'b' | null", '"a"|"b"|nffi.Null'],
  ["readonly string[]", "string[]"],
  ["(string | null)[]", "(string|nffi.Null)[]"],
  ["(string | undefined)[]", "(string|nffi.Null)[]"],
  ["[string, number]", "{ [1]: string, [2]: number }"],
  ["[string, ...number[]]", "(string|number)[]"],
  ["Record<string, number[]>", "table<string, number[]>"],
  ["{ [key: string]: boolean }", "table<string, boolean>"],
  ["Map<string, number>['size']", "number"],
  ["Volume", "Handlers.Volume", "type Volume = 'low' | 'high';"],
  ["Level", "Handlers.Level", "enum Level { Low, High }"],
  ["Name", "string", "type Name = string & { readonly brand: unique symbol };"],
  ["Shape", "Handlers.Shape", "interface Shape { sides: number }"],
  ["Page<Shape>", "Handlers.Page_Shape", "interface Page<T> { items: T[] }"],
];

/** One module for all rows: a compiler takes its time to start. */
test("values of JSON are what Lua makes of them, on both ways", async () => {
  const source = travels.map(
    ([type, , more = ""], at) =>
      `${more}\nexport const go${at} = (all: { take${at}: ${type} }): { give${at}: ${type} } => ({ give${at}: all.take${at} });`,
  );
  const lines = await linesOf(source.join("\n"));
  const found = lines.flatMap((line) => {
    const [, way, at, lua] = /^---@field (take|give)(\d+) (.*)/.exec(line) ?? [];
    return way ? [[way, travels[Number(at)]?.[0], lua]] : [];
  });
  expect(found).toEqual(
    travels.flatMap(([type, lua]) => [
      ["take", type, lua],
      ["give", type, lua],
    ]),
  );
});

test("undefined and a question mark make a field that may be left out, null does not", async () => {
  const lines = await linesOf(`
    interface Request { a?: string; b: string | undefined; c: string | null; d?: Level; e?: Level | null }
    type Level = "low" | "high";
    export const go = (request: Request) => request.a ?? "";`);
  expect(lines.filter((line) => line.startsWith("---@field"))).toEqual([
    "---@field a? string",
    "---@field b? string",
    "---@field c string|nffi.Null",
    "---@field d? Handlers.Level",
    '---@field e? "low"|"high"|nffi.Null',
  ]);
});

test("nested objects and members of a union get separate names", async () => {
  const lines = await linesOf(`
    interface Request { address: { street: string; "zip-code"?: number }; shape: { kind: "circle"; r: number } | { side: number } }
    export const go = (request: Request) => request.address.street;`);
  expect(lines).toEqual([
    "---@class Handlers.Methods",
    "---@param value Handlers.Request",
    "---@return string? value",
    "function methods:go(value, options) end",
    "---@class Handlers.Streams",
    "---@class Handlers.Request",
    "---@field address Handlers.Request.address",
    "---@field shape Handlers.Request.shape.circle|Handlers.Request.shape.2",
    "---@class Handlers.Request.address",
    "---@field street string",
    '---@field ["zip-code"] number?',
    "---@class Handlers.Request.shape.circle",
    '---@field kind "circle"',
    "---@field r number",
    "---@class Handlers.Request.shape.2",
    "---@field side number",
  ]);
});

test("recursive types end", async () => {
  const lines = await linesOf(`
    interface Tree { value: number; children: Tree[] }
    type Json = string | number | boolean | null | Json[] | { [key: string]: Json };
    export const go = (tree: Tree): Json => tree.value;`);
  expect(lines).toContain("---@field children Handlers.Tree[]");
  expect(lines).toContain("---| Handlers.Json[]");
  expect(lines).toContain("---| table<string, Handlers.Json>");
});

test("a Date leaves as a string; what holds one has two names, what does not has one", async () => {
  const lines = await linesOf(`
    interface Person { name: string; friends: Person[] }
    interface Event { who: Person; at: { toJSON(): string } }
    export const go = (request: Person): Event => ({ who: request, at: new Date() });
    export const date = (): { at: Date; link: URL } => ({ at: new Date(), link: new URL("x:y") });`);
  expect(lines.filter((line) => line.startsWith("---@class"))).toEqual([
    "---@class Handlers.Methods",
    "---@class Handlers.Streams",
    "---@class Handlers.Person",
    "---@class Handlers.Event",
    "---@class Handlers.date.Response",
  ]);
  expect(lines.filter((line) => line.includes(" at ") || line.includes(" link "))).toEqual([
    "---@field at string",
    "---@field at string",
    "---@field link string",
  ]);
});

test("what differs on the two ways keeps two names", async () => {
  const lines = await linesOf(`
    interface Item { name: string; total?: () => number; list: Item[] }
    export const go = (item: Omit<Item, "total"> & { when?: string }): Item => ({ ...item });
    export const back = (item: Node): Node => item;
    class Node { value = 1; get twice() { return 2 * this.value } }`);
  expect(lines).toContain("---@class Handlers.Node.response");
  expect(lines.filter((line) => line === "---@field twice number")).toHaveLength(1);
  expect(lines).not.toContain("---@field total? function");
});

const responses: readonly [string, string][] = [
  ["export const go = async () => 1;", "number?"],
  ["export function go(): Promise<string> { return Promise.resolve(''); }", "string?"],
  ["export const go = () => {};", "nffi.Null?"],
  ["export const go = (): unknown => 1;", "any"],
  ["export const go = (): string | null => null;", "string|nffi.Null|nil"],
  ["export const go: Handler<string, number[]> = () => [1];", "number[]?"],
  ["export function* go() { yield 1; }", "number[]?"],
  ["export async function* go() { yield { a: 1 }; }", "Handlers.go.Chunk[]?"],
  ["export const go = (): AsyncIterable<string> | number => 1;", "number|string[]|nil"],
];

test("a call returns the result of a promise or a generator", async () => {
  const source = responses.map(([text], at) => text.replace(/\bgo\b/, `go${at}`));
  const lines = await linesOf(
    ['import type { Handler } from "@nffi/runtime";', ...source].join("\n"),
  );
  const found = lines.flatMap((line) => /^---@return (.*) value$/.exec(line)?.[1] ?? []);
  expect(found).toEqual(responses.map(([, type], at) => type.replace("go", `go${at}`)));
});

const requests: readonly [string, string][] = [
  ["() => 1", "value? nil"],
  ["(n: number) => n", "value number"],
  ["(n?: number) => n ?? 1", "value? number|nffi.Null"],
  ["(n: number | null) => n ?? 1", "value? number|nffi.Null"],
  ["(n: any) => 1", "value? any"],
  ["<T extends { id: number }>(item: T) => item.id", "value Handlers.go.Request"],
];

test("a call may leave out what may be undefined or null", async () => {
  const source = requests.map(([text], at) => `export const go${at} = ${text};`);
  const lines = await linesOf(source.join("\n"));
  const found = lines.flatMap((line) => /^---@param (.*)/.exec(line)?.[1] ?? []);
  expect(found).toEqual(requests.map(([, type], at) => type.replace("go", `go${at}`)));
});

test("overloads, names that are none in Lua, and classes", async () => {
  const lines = await linesOf(`
    export function over(a: string): string;
    export function over(a: number): number;
    export function over(a: string | number) { return a; }
    const odd = (n: number) => n;
    export { odd as "my-method", odd as end };
    export class Helper {}
    export const constant = 1;
    const inner = () => true;
    export default { inner };`);
  const failure = "string?, nffi.ErrorCode?, string|integer|nil";
  const field = `fun(self: Handlers.Methods, value: number, options?: nffi.CallOptions): number?, ${failure}`;
  expect(lines).toEqual([
    "---@class Handlers.Methods",
    `---@field ["my-method"] ${field}`,
    `---@field ["end"] ${field}`,
    "---@param value string",
    "---@return string? value",
    `---@overload fun(self: table, value: number, options?: nffi.CallOptions): number?, ${failure}`,
    "function methods:over(value, options) end",
    "---@param value? nil",
    "---@return boolean? value",
    "function methods:inner(value, options) end",
    "---@class Handlers.Streams",
  ]);
});

test("streams have a separate class, which is their iterator", async () => {
  const lines = await linesOf(`
    import type { StreamHandler } from "@nffi/runtime";
    export const ticks: StreamHandler<{ count: number }, { at: number }> = async function* () {};`);
  expect(lines).toEqual(
    expect.arrayContaining([
      "---@return Handlers.ticks.Chunk[]? value",
      "---@return Handlers.Streams.ticks stream",
      "---@class Handlers.Streams.ticks: nffi.Stream",
      "---@overload fun(): Handlers.ticks.Chunk?",
      "---@return Handlers.ticks.Chunk? chunk",
    ]),
  );
});

test("handlers of bytes take and return strings; the default export is runtime:call", async () => {
  const { text } = await stubOf(`
    import type { RawHandler } from "@nffi/runtime";
    export const gzip: RawHandler = (bytes) => bytes;
    /** All of it. */
    export default (bytes: Uint8Array) => "x";`);
  expect(text).toContain(
    '---Bytes: requires `codec = "raw"`.\n---@param value? string|number\n---@param options? nffi.CallOptions\n---@return string? value',
  );
  expect(text).toContain("---All of it.\n---@param payload? string|number");
  expect(text).toContain("function runtime:call(payload, options) end");
});

test("JSDoc becomes comments, and nothing in it an annotation", async () => {
  const lines = await linesOf(`
    /** Greets.
     *
     * \`@class\` twice:
     * - | a table |
     *
     * @deprecated use \`other\`
     */
    export const go = (request: Request) => 1;
    /** What to say. */
    interface Request {
      /** To whom. */
      name: string;
    }`);
  expect(lines.slice(1, 10)).toEqual([
    "---Greets.",
    "---",
    "---`@class` twice:",
    "---- | a table |",
    "---Deprecated: use `other`",
    "---@deprecated",
    "---@param value Handlers.Request",
    "---@return number? value",
    "function methods:go(value, options) end",
  ]);
  expect(lines.slice(-4)).toEqual([
    "---What to say.",
    "---@class Handlers.Request",
    "---To whom.",
    "---@field name string",
  ]);
});

const refused: readonly [string, string][] = [
  ["export const go = (n: { big: bigint }) => 1;", "go, request.big: JSON has no bigint"],
  ["export const go = (n: { at: Date }) => 1;", "go, request.at: JSON never makes a Date"],
  [
    "export const go = () => ({ all: new Map([[1, 2]]) });",
    "go, Response.all: a Map does not travel",
  ],
  ["export const go = (n: { f: () => void }) => 1;", "go, request.f: a function does not travel"],
  ["export const go = () => [Symbol('x')];", "go, Response[]: a symbol does not travel"],
  [
    "export const go = () => ({ b: [new Uint8Array(1)] });",
    "go, Response.b[]: bytes do not travel",
  ],
  ["export default (n: { a: number }) => 1;", "default export: it is called with bytes"],
  [
    "interface Grow<T> { value: T; next: Grow<T[]> } export const go = (g: Grow<number>) => 1;",
    "go, request: its type has no end",
  ],
];

test("values that JSON cannot represent are refused together, each with its position", async () => {
  const source = refused.map(([text], at) => text.replaceAll(/\bgo\b/g, `go${at}`));
  const failed = await stubOf(source.join("\n")).catch((thrown) => thrown);
  expect(failed.code).toBe("types-failed");
  const told = failed.hint.split("\n").sort();
  const wanted = refused.map(([, hint], at) => hint.replace("go", `go${at}`)).sort();
  expect(told.map((line: string, at: number) => line.slice(0, wanted[at]?.length))).toEqual(wanted);
});

test("code that does not compile is reported with its position", async () => {
  const failed = await stubOf(`import x from "no-such";
    export const go = (n: number): string => n;`).catch((thrown) => thrown);
  expect(failed.code).toBe("types-failed");
  expect(failed.message).toBe("handlers.ts has errors");
  expect(failed.hint).toMatch(/handlers\.ts:1:15: TS2307: .*\n.*handlers\.ts:2:46: TS2322: Type/);
});

const SERVICE = `class Base {
  protected readonly name = "service";
  inherited(): string { return this.name; }
  protected guarded(): void {}
}
class Service extends Base {
  property = (value: number): number => value;
  static not(): void {}
  get given(): () => string { return () => this.name; }
  get text(): string { return this.name; }
  async *count(to: number): AsyncGenerator<number> { for (let at = 1; at <= to; at++) yield at; }
  #hidden(): void {}
  _internal(): void {}
  [Symbol.iterator](): void {}
  ["computed"](): void {}
  override toString(): string { this.#hidden(); return "own"; }
}
export class Exported { method(): void {} }
export const alone = (): number => 1;
export default new Service();
`;

test("the methods of an instance of a class are those that the runtime finds", async () => {
  const stub = await stubOf(SERVICE);
  expect([...stub.methods].sort()).toEqual([
    ...["alone", "computed", "count", "given", "inherited", "property", "toString"],
  ]);
  expect(stub.streams).toEqual(["count"]);

  const compiled = join(temporaryFolder(), "service.mjs");
  const compilerOptions = { module: ts.ModuleKind.ES2022, target: ts.ScriptTarget.ES2022 };
  writeFileSync(compiled, ts.transpileModule(SERVICE, { compilerOptions }).outputText);
  const methods = new Methods(compiled, await import(compiled));
  for (const name of stub.methods) expect(methods.find(name), name).toBeTypeOf("function");
  for (const name of ["text", "not", "_internal", "Exported", "method", "constructor"]) {
    expect(() => methods.find(name), name).toThrow(/^unknown method/);
  }
  // the runtime does not see what only TypeScript hides
  const known = methods.names.filter((name) => name !== "guarded");
  expect(stub.methods).toEqual(expect.arrayContaining(known));
});

test("a default export that a runtime refuses has no stub", async () => {
  await expect(stubOf("export default class { m(): void {} }")).rejects.toMatchObject({
    hint: expect.stringMatching(/default export: it is a class: export an instance/),
  });
  await expect(
    stubOf("export default Promise.resolve({ m: (): number => 1 });"),
  ).rejects.toMatchObject({ hint: expect.stringMatching(/default export: it is a promise/) });
});

test("a module without functions has no stub", async () => {
  await expect(stubOf("export const one = 1;")).rejects.toThrow("exports no function");
});

test("JavaScript with JSDoc also has types, and CommonJS is read", async () => {
  const source = `/** @param {{ name: string }} request */
    exports.hello = (request) => ({ greeting: request.name });`;
  const { text, className } = await stubOf(source, { file: "my-handlers.cjs" });
  expect(className).toBe("MyHandlers");
  expect(text).toContain("---@field greeting string");
});

test("the tsconfig.json above the module counts, but nothing of it about files to write", async () => {
  const folder = temporaryFolder();
  const compilerOptions = {
    ...{ module: "commonjs", target: "es2022", strict: true, paths: { "#words": ["./words.ts"] } },
    ...{ composite: true, isolatedDeclarations: true, declarationDir: "types", outDir: "dist" },
  };
  const settings = { compilerOptions, include: ["nothing"], references: [{ path: "../other" }] };
  writeFileSync(join(folder, "tsconfig.json"), `// of a project\n${JSON.stringify(settings)}`);
  writeFileSync(join(folder, "words.ts"), "export type Word = 'yes' | 'no';");
  const module = join(folder, "handlers.ts");
  writeFileSync(
    module,
    'import type { Word } from "#words"; export const go = (word: Word) => word;',
  );
  const stub = () =>
    makeStub({ module, output: "-", className: undefined, cwd: repository, runtimeTypes });
  expect((await stub()).text).toContain('---@alias Handlers.Word\n---| "yes"\n---| "no"');
  writeFileSync(join(folder, "tsconfig.json"), '{ "compilerOptions": { "module": "no" } }');
  await expect(stub()).rejects.toMatchObject({
    code: "types-failed",
    hint: expect.stringContaining("TS6046: Argument for '--module'"),
  });
});

test("the class is named by the module or by --name", async () => {
  const source = "export const go = () => 1;";
  expect((await stubOf(source)).className).toBe("Handlers");
  expect((await stubOf(source, { className: "my.Api" })).text).toContain(
    "---@class my.Api.Methods",
  );
  await expect(stubOf(source, { className: "my-api" })).rejects.toThrow("cannot be the name");
  await expect(stubOf(source, { file: "1.ts" })).rejects.toThrow("cannot be the name");
});

test("only a stub is replaced, not the module and no file of the user", async () => {
  const stub = await stubOf("export const go = () => 1;");
  const module = stub.file.replace(/d\.lua$/, "ts");
  const before = readFileSync(module, "utf8");
  await expect(writeStub({ ...stub, file: module })).rejects.toMatchObject({
    code: "foreign-files",
    hint: expect.stringContaining("--output"),
  });
  expect(readFileSync(module, "utf8")).toBe(before);
  writeFileSync(stub.file, stub.text.replace("Handlers", "Older"));
  await writeStub(stub);
  expect(readFileSync(stub.file, "utf8")).toBe(stub.text);
});

test("a stub is written beside its module, and is then current", async () => {
  const source = "export const go = () => 1;";
  const stub = await stubOf(source);
  expect(stub.isCurrent).toBe(false);
  await writeStub(stub);
  expect(stub.file).toMatch(/handlers\.d\.lua$/);
  expect(readFileSync(stub.file, "utf8")).toBe(stub.text);
  const module = stub.file.replace(/d\.lua$/, "ts");
  const again = () =>
    makeStub({ module, output: undefined, className: undefined, cwd: repository, runtimeTypes });
  expect((await again()).isCurrent).toBe(true);
  writeFileSync(module, "export const go = () => 'changed';");
  expect((await again()).isCurrent).toBe(false);
});
