// The rules that keep the source a set of layers: imports go down, each outside thing has one
// door, errors have one home, and what runs beside nginx sees the public C header only.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { basename, dirname, join, relative } from "node:path";
import { describe, expect, test } from "vitest";
import { repository } from "../support/cli.js";
import { cycleIn } from "../support/cycles.js";

/** Lower layers first; a file may import from its own directory and from lower layers. */
const LAYERS = [
  ["errors.ts"],
  ["io", "catalog"],
  ["host"],
  ["sources"],
  ["pipeline"],
  ["attach"],
  ["bench", "scaffold", "types"],
  ["index.ts", "ui"],
  ["commands"],
  ["cli.ts"],
];

/** Runs in the product, not in the CLI: it may import only itself, Node and what has a door. */
const ISOLATED = "node-runtime";

const DOORS: Readonly<Record<string, readonly string[]>> = {
  "@swc/wasm-typescript": ["node-runtime/strip-types.ts"],
  commander: ["cli.ts", "commands/"],
  diff: ["pipeline/patches.ts"],
  execa: ["io/exec.ts"],
  listr2: ["ui/terminal-reporter.ts"],
  openpgp: ["io/signature.ts"],
  typescript: ["types/"],
  tar: ["io/archive.ts"],
  undici: ["io/http.ts"],
};

interface SourceFile {
  readonly path: string;
  readonly text: string;
  /** Paths below src/ for our own files, names for packages. */
  readonly imports: readonly string[];
}

const src = join(repository, "src");
const sources = filesBelow(src, ".ts").map((path) => sourceFile(path));
const ofTheCli = sources.filter(({ path }) => !path.startsWith(`${ISOLATED}/`));

function sourceFile(path: string): SourceFile {
  const text = withoutComments(readFileSync(join(src, path), "utf8"));
  const specifiers = [...text.matchAll(/\bfrom\s+"([^"]+)"|\bimport\(?\s*"([^"]+)"/g)];
  const imports = specifiers.map((match) => {
    const specifier = match[1] ?? match[2] ?? "";
    if (!specifier.startsWith(".")) return specifier;
    return relative(src, join(src, dirname(path), specifier)).replace(/\.js$/, ".ts");
  });
  return { path, text, imports };
}

function withoutComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, "").replace(/^\s*\/\/.*$/gm, "");
}

function filesBelow(dir: string, ...endings: string[]): string[] {
  if (!existsSync(dir)) return [];
  return readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && endings.some((ending) => entry.name.endsWith(ending)))
    .map((entry) => relative(dir, join(entry.parentPath, entry.name)));
}

const isOurs = (specifier: string) => specifier.endsWith(".ts");
const roomOf = (path: string) => path.split("/")[0] ?? "";
const layerOf = (path: string) => LAYERS.findIndex((rooms) => rooms.includes(roomOf(path)));

describe("src", () => {
  test("every file belongs to a layer", () => {
    const strays = ofTheCli.filter(({ path }) => layerOf(path) < 0).map(({ path }) => path);
    expect(strays).toEqual([]);
  });

  test("imports go down only", () => {
    const upward = ofTheCli.flatMap(({ path, imports }) =>
      imports
        .filter(isOurs)
        .filter((to) => roomOf(to) !== roomOf(path) && layerOf(to) >= layerOf(path))
        .map((to) => `${path} imports ${to}`),
    );
    expect(upward).toEqual([]);
  });

  test("no import leads back to where it started", () => {
    const graph = new Map(sources.map(({ path, imports }) => [path, imports.filter(isOurs)]));
    expect(cycleIn(graph)).toEqual([]);
  });

  test("each outside package has one door", () => {
    const intruders = sources.flatMap(({ path, imports }) =>
      imports
        .filter((name) => !isOurs(name) && !name.startsWith("node:"))
        .filter((name) => !DOORS[name]?.some((door) => path.startsWith(door)))
        .map((name) => `${path} imports ${name}`),
    );
    expect(intruders).toEqual([]);
  });

  test.each([
    [/\bprocess\.env\b/, "the environment", ["host/environment.ts"]],
    [/\bprocess\.(platform|arch)\b/, "the platform", ["host/platform.ts"]],
    [/\bprocess\.exit\b/, "the exit", ["cli.ts"]],
    [/\bclass \w+ extends Error\b/, "an error class", ["errors.ts"]],
    [/\bnew (Type|Range)?Error\(/, "an error without a code", ["errors.ts"]],
    [/^export .* from "/m, "a barrel", ["index.ts"]],
    [/\bprocess\.(chdir|umask)\(/, "a hidden global", []],
  ])("%s (%s) stays at home", (pattern, _what, homes) => {
    const intruders = ofTheCli.filter(({ text }) => pattern.test(text)).map(({ path }) => path);
    expect(intruders.filter((path) => !homes.includes(path))).toEqual([]);
  });

  test("no room is called misc, utils, helpers or common", () => {
    const bad = sources.filter(({ path }) => /\b(misc|utils?|helpers?|common)\b/.test(path));
    expect(bad.map(({ path }) => path)).toEqual([]);
  });

  test("the Node runtime and the CLI do not import each other", () => {
    const isRuntime = (path: string) => path.startsWith(`${ISOLATED}/`);
    const across = sources.flatMap(({ path, imports }) =>
      imports
        .filter((to) => isOurs(to) && isRuntime(to) !== isRuntime(path))
        .map((to) => `${path} imports ${to}`),
    );
    expect(across).toEqual([]);
  });
});

describe("c-src", () => {
  const c = join(repository, "c-src");
  const headersOf = (folder: string) => filesBelow(join(c, folder), ".h").map((h) => basename(h));
  const includesOf = (folder: string) =>
    filesBelow(join(c, folder), ".c", ".h", ".cc").flatMap((file) => {
      const text = readFileSync(join(c, folder, file), "utf8");
      return [...text.matchAll(/^\s*#\s*include\s+["<](?!sys\/)([^">]+)[">]/gm)].map((match) => ({
        file: `${folder}/${file}`,
        header: basename(match[1] ?? ""),
      }));
    });

  /** Nothing of the queue, and compiled in: no other version of it is ever met. */
  const COMPILED_IN = ["forked.h"];

  test.each(["sdk", "echo"])("%s sees the public header only", (folder) => {
    const internal = new Set([...headersOf("lib"), ...headersOf("ngx")]);
    const own = new Set([...headersOf(folder), ...COMPILED_IN]);
    const peeks = includesOf(folder).filter(
      ({ header }) => internal.has(header) && !own.has(header),
    );
    expect(peeks).toEqual([]);
  });

  test("the library knows nothing of nginx and Lua", () => {
    const foreign = includesOf("lib").filter(({ header }) => /^(ngx_|lua|lauxlib)/.test(header));
    expect(foreign).toEqual([]);
  });

  test("one file of the glue knows ngx_lua", () => {
    const ofNgxLua =
      /\bngx_http_lua_(ctx_t|co_ctx_t|common|util|contentby|cleanup|run_|get_lua_vm)|\blua_/;
    const built = filesBelow(join(c, "ngx"), ".c", ".h").filter((file) => !/^attached/.test(file));
    const intruders = built.filter((file) =>
      ofNgxLua.test(withoutComments(readFileSync(join(c, "ngx", file), "utf8"))),
    );
    expect(intruders).toEqual(["ngx_http_lua_nffi_coroutine.c"]);
    const door = readFileSync(join(c, "ngx/ngx_http_lua_nffi_coroutine.h"), "utf8");
    const functions = withoutComments(door).match(/^[\w *]+\bngx_http_lua_nffi_\w+\([^;{]*\);$/gm);
    expect(functions?.length).toBeLessThanOrEqual(8);
    expect(functions).toContainEqual(expect.stringContaining("resume_coroutine"));
  });

  test("a request is opaque outside of the doors: one of stream {} has other fields", () => {
    const doors = ["ngx_http_lua_nffi_client.c", "ngx_http_lua_nffi_coroutine.c"];
    const files = filesBelow(join(c, "ngx"), ".c").filter((file) => !doors.includes(file));
    const text = (file: string) => withoutComments(readFileSync(join(c, "ngx", file), "utf8"));
    expect(files.filter((file) => /\br->|request->connection\b/.test(text(file)))).toEqual([]);
  });

  test("the attached glue takes nothing from ngx_lua or LuaJIT but by name", () => {
    const attached = filesBelow(join(c, "ngx/attached"), ".c", ".h").map((file) =>
      withoutComments(readFileSync(join(c, "ngx/attached", file), "utf8")),
    );
    const names = /#include .*(lua|ngx_http_lua_(common|util))\.h|\blua_(?!state\b)\w+\(/;
    expect(attached.filter((text) => names.test(text.replace(/"[^"]*"/g, "")))).toEqual([]);
  });

  test("each header of the glue is short, and lists what one file gives", () => {
    const headers = filesBelow(join(c, "ngx"), ".h");
    const lines = (file: string) =>
      readFileSync(join(c, "ngx", file), "utf8").split("\n").length - 1;
    expect(headers.filter((file) => lines(file) > 130)).toEqual([]);
    const withoutCode = headers.filter(
      (file) => !existsSync(join(c, "ngx", `${file.slice(0, -2)}.c`)),
    );
    expect(withoutCode).toEqual(["ngx_http_lua_nffi_types.h", "attached/ddebug.h"]);
  });

  test("the public header stands alone", () => {
    const headers = includesOf("include").map(({ header }) => header);
    expect(headers.filter((header) => !/^std\w+\.h$/.test(header))).toEqual([]);
  });
});
