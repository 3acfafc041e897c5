// Kinds of modules that work on every Node: JavaScript of both kinds, TypeScript that is stripped
// or bundled, packages with native code. Stacks must name the lines of the sources.
import { mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import ts from "typescript";
import { afterEach, describe, expect, test } from "vitest";
import { repository } from "../../../support/cli.js";
import { temporaryFolder } from "../../../support/temporary.js";
import { installedNode, NODE_VERSIONS, packagesFolder } from "../nodes.js";
import { Host, type HostOptions, stopHosts } from "./host.js";
import {
  ALL_OF_IT,
  type Files,
  FORMATS,
  GENERATED,
  MODULE_PACKAGE,
  MORE_THAN_TYPES,
  STARTS_THREADS,
} from "./projects.js";

afterEach(stopHosts);

/** A directory with these files. */
function project(files: Files, { withEsbuild = false } = {}): string {
  const folder = temporaryFolder();
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), text);
  }
  if (withEsbuild) {
    mkdirSync(join(folder, "node_modules"), { recursive: true });
    const link = (name: string) =>
      symlinkSync(join(repository, "node_modules", name), join(folder, "node_modules", name));
    link("esbuild");
  }
  return folder;
}

const MEMORY_MS = 5000;

/**
 * Private memory of a process, in KiB, when the work of its start is done: it falls for a while.
 */
async function settledPrivateMemory(pid: number): Promise<number> {
  let least = Number.POSITIVE_INFINITY;
  for (let unchanged = 0, end = Date.now() + MEMORY_MS; unchanged < 4 && Date.now() < end; ) {
    const text = readFileSync(`/proc/${pid}/smaps_rollup`, "utf8");
    const parts = [...text.matchAll(/^Private_\w+: +(\d+) kB/gm)].map(([, size]) => Number(size));
    const now = parts.reduce((sum, size) => sum + size, 0);
    unchanged = now < least ? 0 : unchanged + 1;
    least = Math.min(least, now);
    await new Promise((done) => setTimeout(done, 100));
  }
  return least;
}

/** The lines of a stack that name files of the project, without its directory. */
async function stackOf(host: Host, method: string, folder: string): Promise<string[]> {
  const failure = await host.json(method).then(
    () => undefined,
    (thrown: { detail: string }) => thrown,
  );
  const places = [...(failure?.detail ?? "").matchAll(/(\/[^\s()]+:\d+):\d+/g)];
  return places.map(([, place = ""]) => place.replace(/^\/\/\//, "/").replace(`${folder}/`, ""));
}

/** As `tsc` writes it. */
function compiled(source: string, name: string, options: ts.CompilerOptions) {
  const { outputText, sourceMapText = "" } = ts.transpileModule(source, {
    fileName: name,
    compilerOptions: { target: ts.ScriptTarget.ES2022, sourceRoot: "../src/", ...options },
  });
  return { outputText, sourceMapText };
}

describe.each(NODE_VERSIONS)("Node %i", (version) => {
  const start = (module: string, options: HostOptions = {}) =>
    Host.start(module, { ...options, program: installedNode(version) });

  test("what types alone do not make is bundled by the project's esbuild", async () => {
    const folder = project(GENERATED, { withEsbuild: true });
    const host = await start(join(folder, "main.ts"));
    expect(await host.json("hello", "Lua")).toEqual({ text: "HELLO LUA!" });
    expect(await host.json("bold", "Lua")).toBe("<b>Lua</b>");
    expect(await host.json("colour")).toEqual(["RED", "awaited", "dependency"]);
    expect(await host.json("here")).toBe("main.ts?bundled");
    expect((await stackOf(host, "thrown", folder)).slice(0, 2)).toEqual([
      "lib/shout.ts:5",
      "main.ts:22",
    ]);
    expect(host.stderr).toBe("");
  });

  test("a syntax error that the code throws is its own, and it ran once", async () => {
    const folder = project(
      {
        "package.json": MODULE_PACKAGE,
        "main.ts": `import { appendFileSync } from "node:fs";
appendFileSync(import.meta.dirname + "/ran", "x");
JSON.parse("{");
export const never = () => 1;
`,
        "old.cts": `require("node:fs").appendFileSync(__dirname + "/ran", "x");
new RegExp("(");
`,
        "outer.ts": 'import "./inner.ts";\n',
        "inner.ts": `import { appendFileSync } from "node:fs";
appendFileSync(import.meta.dirname + "/ran", "x");
throw new SyntaxError("of its own");
`,
        "later.ts": `import { appendFileSync } from "node:fs";
appendFileSync(import.meta.dirname + "/ran", "x");
await import("./broken.mjs");
`,
        "broken.mjs": "const = 1;\n",
        "nowhere.ts": `import { appendFileSync } from "node:fs";
appendFileSync(import.meta.dirname + "/ran", "x");
await import("./inner");
`,
        "required.cts": `require("node:fs").appendFileSync(__dirname + "/ran", "x");
require("./broken.cjs");
`,
        "broken.cjs": "const = 1;\n",
        "compiled.cts": `require("node:fs").appendFileSync(__dirname + "/ran", "x");
require("node:vm").compileFunction("const = 1;");
`,
      },
      { withEsbuild: true },
    );
    const ran = join(folder, "ran");
    for (const [module, message, line] of [
      ["main.ts", /^(?!.*that it imports).*JSON/, "main.ts:3"],
      ["old.cts", /Invalid regular expression/, "old.cts:2"],
      ["outer.ts", /of its own/, "inner.ts:3"],
      ["later.ts", /later\.ts, or a module that it imports: Unexpected/, "later.ts"],
      ["nowhere.ts", /Cannot find module/, "/inner'"],
      ["required.cts", /Unexpected token/, "broken.cjs:1"],
      ["compiled.cts", /Unexpected token/, "compiled.cts:2"],
    ] as const) {
      rmSync(ran, { force: true });
      const host = new Host(join(folder, module), { program: installedNode(version) });
      expect(await host.started).toMatch(message);
      await host.gone;
      expect(host.stderr).toContain(line);
      expect(readFileSync(ran, "utf8")).toBe("x");
    }
  });

  test.each(FORMATS)(
    "decorators, enums and the old import are bundled: %s",
    async (_, packageJson) => {
      const folder = project({ ...MORE_THAN_TYPES, ...packageJson }, { withEsbuild: true });
      const host = await start(join(folder, "main.ts"));
      expect(await host.json("all")).toEqual(ALL_OF_IT);
      // each of them alone, without an import or export that shows the format
      const alone = await start(join(folder, "decorated.ts"));
      expect(await alone.json("doubled", 21)).toBe(42);
    },
  );

  test("threads and processes that a module starts from TypeScript", async () => {
    const folder = project(STARTS_THREADS, { withEsbuild: true });
    const host = await start(join(folder, "main.ts"));
    const job = { answer: 42, arg: "given" };
    const answers = await Promise.all([
      host.json("byUrl", "plain.ts"),
      host.json("byPath", "plain.ts"),
      host.json("byPath", "common.cts"),
      host.json("byUrl", "bundled.ts"),
      host.json("byPath", "bundled.cts"),
      host.json("nested"),
      host.json("forked"),
    ]);
    expect(answers).toEqual(answers.map(() => job));
    await expect(host.json("byUrl", "broken.ts")).rejects.toThrow(/broken\.ts:2/);
    expect(host.stderr).toBe("");

    const threads = await start(join(folder, "main.ts"), { threads: 2 });
    expect(await threads.json("byUrl", "plain.ts")).toEqual(job);
  });

  test("TypeScript takes little more memory than JavaScript", async () => {
    const source = "export const f = async () => (await import('./later.LANG')).answer;\n";
    const later = "export const answer = 42;\n";
    const folder = project({
      "package.json": MODULE_PACKAGE,
      "main.js": source.replace("LANG", "js"),
      "later.js": later,
      "main.ts": source.replace("LANG", "ts").replace("()", "(): Promise<number>"),
      "later.ts": later.replace("answer", "answer: number"),
    });
    // both at a time: the code of Node itself is then shared, and counts for neither
    const hosts = await Promise.all(
      ["main.js", "main.ts"].map((name) => start(join(folder, name))),
    );
    for (const host of hosts) expect(await host.json("f")).toBe(42);
    const pids = await Promise.all(hosts.map(({ pid }) => pid));
    const [javascript = 0, typescript = 0] = await Promise.all(pids.map(settledPrivateMemory));
    // Node 20 has a thread for module hooks
    expect(typescript - javascript).toBeLessThan(version === 20 ? 10_240 : 4_096);
  });

  test("TypeScript in node_modules is bundled, too", async () => {
    const folder = project(
      {
        "node_modules/handler/main.ts": "export const hello = (name: string) => 'hello ' + name;\n",
      },
      { withEsbuild: true },
    );
    const host = await start(join(folder, "node_modules/handler/main.ts"));
    expect(await host.json("hello", "Lua")).toBe("hello Lua");
  });

  test("CommonJS in TypeScript of the old kind is bundled, too", async () => {
    const folder = project(
      {
        "package.json": "{}",
        "main.ts": `import path = require("node:path");
import { double } from "./double";
enum One { two = 2 }
export = {
  twice: () => double(One.two),
  here: () => [path.basename(__filename), typeof require("dependency").name],
};
`,
        "double.ts": "export const double = (n: number): number => n * 2;\n",
        "node_modules/dependency/index.js": 'exports.name = "dependency";\n',
      },
      { withEsbuild: true },
    );
    const host = await start(join(folder, "main.ts"));
    expect(await host.json("twice")).toBe(4);
    expect(await host.json("here")).toEqual(["main.ts", "string"]);
  });

  test("stacks name lines of the TypeScript: stripped, compiled with a map beside or inside", async () => {
    const source = `interface Asked { readonly a: string }

const fail = (asked: Asked): never => {
  throw new Error("line 4: " + asked);
};
export const thrown = (asked: Asked) => fail(asked);
`;
    const inline = compiled(source, "inline.ts", {
      inlineSourceMap: true,
      module: ts.ModuleKind.ES2022,
    });
    const beside = compiled(source, "beside.ts", {
      sourceMap: true,
      module: ts.ModuleKind.CommonJS,
    });
    expect(beside.outputText).not.toContain("interface");
    const folder = project({
      "package.json": "{}",
      "src/stripped.ts": source,
      "dist/inline.mjs": inline.outputText,
      "dist/beside.cjs": beside.outputText,
      "dist/beside.js.map": beside.sourceMapText,
    });
    for (const [module, original] of [
      ["src/stripped.ts", "src/stripped.ts"],
      ["dist/inline.mjs", "src/inline.ts"],
      ["dist/beside.cjs", "src/beside.ts"],
    ] as const) {
      const host = await start(join(folder, module));
      expect(await stackOf(host, "thrown", folder)).toEqual([`${original}:4`, `${original}:6`]);
    }
  });

  test("an uncaught error is logged with lines of the TypeScript", async () => {
    const { outputText } = compiled(
      `type Later = () => Promise<void>;

export const uncaught: Later = () => {
  setTimeout(() => {
    throw new Error("line 5");
  });
  return new Promise(() => {});
};
export const exits = () => {
  process.exit(3);
};
`,
      "main.ts",
      { inlineSourceMap: true, module: ts.ModuleKind.ES2022 },
    );
    const module = join(project({ "dist/main.mjs": outputText }), "dist/main.mjs");
    for (const [method, place] of [
      ["uncaught", /at .*\/src\/main\.ts:5:\d+/],
      ["exits", /at exits .*\/src\/main\.ts:10:\d+/],
    ] as const) {
      const host = await start(module);
      host.json(method).catch(() => {});
      await host.gone;
      await expect.poll(() => host.stderr, { timeout: 10_000 }).toMatch(place);
    }
  });

  test("JSON, packages of both kinds, `then`, and top-level await", async () => {
    const folder = project({
      "package.json": MODULE_PACKAGE,
      "main.ts": `import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { kind } from "dual";
import data from "./data.json" with { type: "json" };
const require = createRequire(import.meta.url);
export const json = () => data.answer;
export const kinds = () => [kind, require("dual").kind];
export const then = (resolve: unknown) => \`then \${resolve}\`;
export const lazy = async () => (await import("./lazy.cjs")).default.name;
`,
      "data.json": '{ "answer": 42 }\n',
      "lazy.cjs": 'module.exports = { name: "lazy", then: () => 1 };\n',
      "handle.cjs": "exports.handle = (bytes) => bytes.toString().toUpperCase();\n",
      "function.cjs":
        "module.exports = (bytes) => '<' + bytes + '>';\nmodule.exports.then = () => 'then';\n",
      "node_modules/dual/package.json": `{ "exports": { "import": "./index.mjs", "require": "./index.cjs" } }`,
      "node_modules/dual/index.mjs": 'export const kind = "module";\n',
      "node_modules/dual/index.cjs": 'exports.kind = "commonjs";\n',
    });
    const host = await start(join(folder, "main.ts"));
    expect(await host.json("json")).toBe(42);
    expect(await host.json("kinds")).toEqual(["module", "commonjs"]);
    expect(await host.json("then", 1)).toBe("then 1");
    expect(await host.json("lazy")).toBe("lazy");

    const handle = await start(join(folder, "handle.cjs"), { codec: "raw" });
    expect(String(await handle.bytes("lua"))).toBe("LUA");
    const called = await start(join(folder, "function.cjs"), { codec: "raw" });
    expect(String(await called.bytes("lua"))).toBe("<lua>");
    expect(String(await called.bytes("", "then"))).toBe("then");
  });

  test("a package with a native part, from the registry", async () => {
    const folder = project({
      "main.ts": `import { crc32 } from "@node-rs/crc32";
export const sum = (text: string) => crc32(text);
`,
    });
    const packages = packagesFolder("native", "@node-rs/crc32@1");
    symlinkSync(join(packages, "node_modules"), join(folder, "node_modules"));
    const host = await start(join(folder, "main.ts"));
    expect(await host.json("sum", "123456789")).toBe(0xcbf43926);
  });
});

describe("without a bundler", () => {
  const refusal = async (files: Files, module = "main.ts") => {
    const host = new Host(join(project({ "package.json": MODULE_PACKAGE, ...files }), module), {
      program: installedNode(22),
    });
    const reason = await host.started;
    await host.gone;
    return reason;
  };

  test.each([
    [
      { "main.ts": "export enum A { B }\n" },
      "main.ts",
      /enum is not supported.*npm install esbuild.*erasableSyntaxOnly/,
    ],
    [
      { "main.tsx": "export const a = () => <b/>;\n" },
      "main.tsx",
      /main\.tsx: JSX is .*npm install esbuild/,
    ],
    [
      { "main.ts": 'export * from "./other";\n', "other.ts": "export {};\n" },
      "main.ts",
      /Cannot find module .*name the file with its extension/,
    ],
    [
      {
        "main.ts": 'import { A } from "./a.ts";\nexport const f = (a: A) => a;\n',
        "a.ts": "export interface A {}\n",
      },
      "main.ts",
      /does not provide an export named 'A'.*imported without "type"/,
    ],
    [
      { "main.ts": "const d: any = 1;\n@d class A {}\nexport const f = () => A;\n" },
      "main.ts",
      /main\.ts:2: a decorator is not supported.*npm install esbuild/,
    ],
    [
      { "main.cts": "const d: any = 1;\n@d class A {}\nexports.f = () => A;\n" },
      "main.cts",
      /main\.cts:2: a decorator is not supported.*npm install esbuild/,
    ],
    [
      { "main.cts": 'import { sep } from "node:path";\nexports.f = () => sep;\n' },
      "main.cts",
      /main\.cts:1: .*CommonJS.*"type": "module".*npm install esbuild/,
    ],
    [
      { "main.cts": 'import path = require("node:path");\nexports.f = () => path.sep;\n' },
      "main.cts",
      /main\.cts:1: .*import.*not supported.*npm install esbuild/,
    ],
    [
      {
        "main.ts": 'import data from "./data.json";\nexport const f = () => data;\n',
        "data.json": "1",
      },
      "main.ts",
      /with \{ type: "json" \}.*npm install esbuild/,
    ],
  ] as const)("%j: the message tells what to do", async (files, module, message) => {
    expect(await refusal(files as Files, module)).toMatch(message);
  });

  test("a package that is missing is just missing", async () => {
    const reason = await refusal({ "main.ts": 'import "no-such";\nexport const f = () => 1;\n' });
    expect(reason).toMatch(/Cannot find package 'no-such'.*; run `npm install no-such` in its/);
    expect(reason).not.toMatch(/esbuild/);
    const own = await refusal({ "main.ts": 'import { NffiError } from "@nffi/runtime";\n' });
    expect(own).toMatch(/write `import type`, else run `npm install \/\S+` in its project$/);
  });
});

test("decorators of the standard are bundled", async () => {
  const folder = project(
    {
      "main.ts": `function twice(method: (x: number) => number, _: ClassMethodDecoratorContext) {
  return function (this: Numbers, x: number) { return method.call(this, x) * 2; };
}
class Numbers { @twice same(x: number) { return x; } }
export const doubled = (x: number) => new Numbers().same(x);
`,
    },
    { withEsbuild: true },
  );
  const host = await Host.start(join(folder, "main.ts"), { program: installedNode(24) });
  expect(await host.json("doubled", 21)).toBe(42);
});

test("metadata of decorators, which esbuild does not write, is refused where it is asked for", async () => {
  const started = async (options: string) => {
    const folder = project(
      {
        ...MORE_THAN_TYPES,
        "package.json": MODULE_PACKAGE,
        "base/tsconfig.json": `{ "compilerOptions": { "emitDecoratorMetadata": true } }`,
        "tsconfig.json": `{ "extends": "./base/tsconfig", // nearer options win
          "compilerOptions": { "experimentalDecorators": true ${options} } }`,
      },
      { withEsbuild: true },
    );
    const host = new Host(join(folder, "decorated.ts"));
    return (await host.started).replaceAll(folder, "");
  };
  expect(await started("")).toMatch(
    /^\/decorated\.ts: emitDecoratorMetadata is set in \/base\/tsconfig\.json.*esbuild.*tsc/,
  );
  expect(await started(`, "emitDecoratorMetadata": false`)).toBe("ready");
});

test("an error of esbuild is reported with its position, and a missing package", async () => {
  const started = async (text: string) => {
    const folder = project(
      { "package.json": MODULE_PACKAGE, "main.ts": text },
      { withEsbuild: true },
    );
    const host = new Host(join(folder, "main.ts"));
    const reason = await host.started;
    await host.gone;
    return reason.replaceAll(folder, "");
  };
  expect(await started("export enum A { B }\nexport const a = ;\n")).toMatch(
    /^\/main\.ts:2: Unexpected ";"$/,
  );
  expect(await started('export enum A { B }\nimport "./nowhere";\n')).toMatch(
    /^\/main\.ts:2: Could not resolve/,
  );
  expect(await started('import "no-such";\nexport enum A { B }\n')).toMatch(
    /Cannot find package 'no-such'/,
  );
});
