// `nffi types`: the stub that it writes, checked with a real language server and with the results
// of the handlers in a real nginx; and its errors.
import { execFileSync } from "node:child_process";
import {
  copyFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { repository, runCli } from "../support/cli.js";
import { hasLanguageServer, LanguageServer } from "../support/language-server.js";
import { content } from "../support/lua.js";
import { withNginx } from "../support/nginx.js";
import { builtOpenresty } from "../support/openresty.js";
import { temporaryFolder, temporaryFolderOfAll } from "../support/temporary.js";

const HANDLERS = `
import type { Handler, StreamHandler } from "@nffi/runtime";

export interface Address { readonly street: string; readonly "zip-code"?: number }
export type Level = "low" | "high";
/** Who asks. */
export interface Request {
  /** The name, please. */
  readonly name: string;
  readonly address?: Address;
  readonly tags?: readonly string[];
  readonly level?: Level;
}
export interface Response {
  readonly greeting: string;
  readonly born: Date;
  readonly middle: string | null;
  readonly nick?: string;
  readonly friends: { name: string; age: number }[];
  readonly scores: Record<string, number>;
}

/** Greets by name. */
export const hello: Handler<Request, Response> = async ({ name, level }) => ({
  greeting: \`hello \${name} \${level}\`,
  born: new Date(0),
  middle: null,
  friends: [{ name: "Bob", age: 7 }],
  scores: { chess: 3 },
});

export const nothing = () => {};

export const ticks: StreamHandler<{ count: number }, { at: number }> = async function* ({ count }) {
  for (let at = 1; at <= count; at++) yield { at };
};
`;

const USE = `local nffi = require "resty.nffi"
local rt = assert(nffi.load("node", { module = "handlers.ts" })) --[[@as Handlers]]
`;

let prefix: string;

beforeAll(async () => {
  prefix = await builtOpenresty();
});

/** A directory with the handlers and, beside them, the packages of a project. */
function project(folder: string, source = HANDLERS): string {
  mkdirSync(join(folder, "node_modules"), { recursive: true });
  symlinkSync(join(repository, "node_modules/typescript"), join(folder, "node_modules/typescript"));
  writeFileSync(join(folder, "handlers.ts"), source);
  return folder;
}

describe.runIf(hasLanguageServer)("in an editor", () => {
  const folder = temporaryFolderOfAll();
  let editor: LanguageServer;

  beforeAll(async () => {
    project(folder);
    const settings = {
      "runtime.version": "LuaJIT",
      "workspace.library": [join(prefix, "nffi/lua-types")],
      "diagnostics.globals": ["ngx"],
    };
    writeFileSync(join(folder, ".luarc.json"), JSON.stringify(settings));
    const made = await runCli(["types", "handlers.ts"], { cwd: folder });
    expect(made.stderr).toBe("");
    editor = await LanguageServer.open(folder);
  });

  afterAll(async () => await editor?.close());

  let count = 0;
  const file = () => `use${++count}.lua`;
  const complaintsOf = async (code: string) =>
    (await editor.complaints(file(), `${USE}${code}\n`)).map(({ code, line, message }) => ({
      code,
      line: line - 2,
      message,
    }));

  test("the stubs themselves are without fault", async () => {
    const stubs = [join(folder, "handlers.d.lua")];
    const library = join(prefix, "nffi/lua-types");
    for (const name of readdirSync(library, { recursive: true }) as string[]) {
      if (name.endsWith(".lua")) stubs.push(join(library, name));
    }
    expect(stubs).toHaveLength(3);
    for (const path of stubs) {
      const text = readFileSync(path, "utf8");
      expect(await editor.complaints(path, text), path).toEqual([]);
      execFileSync(join(prefix, "luajit/bin/luajit"), ["-bl", path], { stdio: "pipe" });
    }
  });

  test("right calls are not underlined", async () => {
    const right = `
      local response, message, code, detail = rt.methods:hello({ name = "Ada" })
      if not response then error(message .. code .. tostring(detail)) end
      print(response.greeting .. response.born, response.middle, response.friends[1], response.scores.chess)
      local address = { street = "High Street", ["zip-code"] = 4 }
      print(rt.methods:hello({ name = "Ada", level = "low", tags = { "a" }, address = address }, { timeout = 500 }))
      print(rt.methods:nothing() == ngx.null)
      for tick in rt.streams:ticks({ count = 2 }) do print(tick.at + 1) end
      local stream = rt.streams:ticks({ count = 2 }, { window = 1000 })
      local chunk, why = stream:read()
      if chunk then print(chunk.at, why, stream:error()) end
      stream:close()
      print(rt:call("bytes", { method = "hello" }), rt:state().queued, rt:reload())
      print(nffi.load("demo", { codec = "json" }), nffi.metrics("prometheus"), nffi.metrics().runtimes)
      print(nffi.load("process", { program = "bin/demo", limits = { memory = 1 } }))`;
    expect(await complaintsOf(right)).toEqual([]);
  });

  const wrong = [
    [
      "a number for a name",
      "print(rt.methods:hello({ name = 1 }))",
      "assign-type-mismatch",
      /`string`/,
    ],
    ["a name that is missing", "print(rt.methods:hello({}))", "missing-fields", /`name`/],
    [
      "a word that is none",
      'print(rt.methods:hello({ name = "", level = "lou" }))',
      "assign-type-mismatch",
      /Level/,
    ],
    [
      "a list for a record",
      "print(rt.methods:hello(7))",
      "param-type-mismatch",
      /Handlers\.Request/,
    ],
    ["a method that is none", 'print(rt.methods:helo({ name = "" }))', "undefined-field", /`helo`/],
    ["a stream that is none", "print(rt.streams:hello({}))", "undefined-field", /`hello`/],
    [
      "a field of the response that is none",
      'print(assert(rt.methods:hello({ name = "" })).greting)',
      "undefined-field",
      /`greting`/,
    ],
    [
      "a field of a chunk that is none",
      "for t in rt.streams:ticks({ count = 1 }) do print(t.no) end",
      "undefined-field",
      /`no`/,
    ],
    [
      "a response that may have failed",
      'print(rt.methods:hello({ name = "" }).greeting)',
      "need-check-nil",
      /may be nil/,
    ],
    [
      "a word for the options",
      'print(rt.methods:hello({ name = "" }, "1s"))',
      "param-type-mismatch",
      /nffi\.CallOptions/,
    ],
    ["a function of nffi that is none", "print(nffi.lod())", "undefined-field", /`lod`/],
    [
      "a number of a response as text",
      'print(assert(rt.methods:hello({ name = "" })).friends:upper())',
      "undefined-field",
      /upper/,
    ],
  ] as const;

  test.each(wrong)("%s is underlined", async (_what, code, kind, message) => {
    const complaints = await complaintsOf(code);
    expect(complaints.filter((one) => one.code === kind && one.line === 1)).not.toEqual([]);
    expect(complaints.map((one) => one.message).join("\n")).toMatch(message);
  });

  const offered: readonly [string, string, readonly string[]][] = [
    ["the methods", "rt.methods:¦", ["hello", "nothing", "ticks"]],
    ["the streams", "rt.streams:¦", ["ticks"]],
    [
      "the fields of a response",
      'local reply = assert(rt.methods:hello({ name = "" }))\nreply.¦',
      ["born", "friends", "greeting", "middle", "nick", "scores"],
    ],
    [
      "the fields within",
      'local response = assert(rt.methods:hello({ name = "" }))\nlocal friend = assert(response.friends[1])\nfriend.¦',
      ["age", "name"],
    ],
    [
      "the functions of nffi",
      "nffi.¦",
      ["_VERSION", "array_mt", "empty_array_mt", "load", "metrics", "null"],
    ],
  ];

  test.each(offered)("%s are offered", async (_what, code, names) => {
    expect((await editor.completions(file(), USE + code)).sort()).toEqual(names);
  });

  test("JSDoc is shown", async () => {
    const shown = await editor.hover(file(), `${USE}print(rt.methods:hello¦({ name = "" }))`);
    expect(shown).toContain("Greets by name.");
    expect(shown).toContain("Handlers.Request");
  });
});

test("what the stub says is what Lua gets", async () => {
  const lua = `
    local rt = assert(nffi.load("node", { module = "handlers.ts" }))
    local response = assert(rt.methods:hello({ name = "Ada", level = "low" }))
    ngx.say(show(response.greeting, response.born, response.middle == ngx.null, response.nick, response.friends[1].age, response.scores.chess))
    ngx.say(show(rt.methods:nothing() == ngx.null))
    for tick in rt.streams:ticks({ count = 2 }) do ngx.say(show(tick.at)) end
    ngx.say(show(#rt.methods:ticks({ count = 3 })))`;
  await withNginx(
    { prefix, server: content("/types", lua), files: { "handlers.ts": HANDLERS } },
    async (nginx) => {
      expect(await nginx.get("/types")).toBe(
        "hello Ada low|1970-01-01T00:00:00.000Z|true|nil|7|3\ntrue\n1\n2\n3\n",
      );
    },
  );
});

test("--check distinguishes an outdated stub from a current one", async () => {
  const cwd = project(temporaryFolder());
  const check = async () => await runCli(["types", "handlers.ts", "--check"], { cwd });
  const missing = await check();
  expect(missing.stderr).toMatch(/^nffi: handlers\.d\.lua is outdated: handlers\.ts has changed\n/);
  expect(missing.exitCode).toBe(19);
  const args = ["types", "handlers.ts", "--json"];
  const written = await runCli(args, { cwd });
  expect(JSON.parse(written.stdout)).toEqual({
    file: join(cwd, "handlers.d.lua"),
    class: "Handlers",
    methods: ["hello", "nothing", "ticks"],
    streams: ["ticks"],
    current: false,
    written: true,
  });
  expect((await check()).stdout).toBe("handlers.d.lua is current (class Handlers)\n");
  const text = readFileSync(join(cwd, "handlers.d.lua"), "utf8");
  writeFileSync(
    join(cwd, "handlers.ts"),
    HANDLERS.replace("greeting: string", "greeting: string | null"),
  );
  const stale = await check();
  expect(stale.stderr).toMatch(/run `.*nffi(\.mjs)? types handlers\.ts`/);
  expect(stale.exitCode).toBe(19);
  expect(readFileSync(join(cwd, "handlers.d.lua"), "utf8")).toBe(text);
  expect(readdirSync(cwd).sort()).toEqual(["handlers.d.lua", "handlers.ts", "node_modules"]);
});

test("--output and --name choose the place and the class; - is stdout", async () => {
  const cwd = project(temporaryFolder());
  const made = await runCli(
    ["types", "handlers.ts", "--output", "lua/api.lua", "--name", "my.Api"],
    { cwd },
  );
  expect(made.stdout).toBe("wrote lua/api.lua (class my.Api, 3 methods)\n");
  expect(readFileSync(join(cwd, "lua/api.lua"), "utf8")).toContain(
    "---@class my.Api: nffi.Runtime",
  );
  const printed = await runCli(["types", "handlers.ts", "--output", "-"], { cwd });
  expect(printed.stdout).toMatch(/^---@meta _\n.*---@class Handlers: nffi\.Runtime\n/s);
});

describe("bad input", () => {
  const failures = [
    [
      "a file that is not there",
      "export {}",
      ["no.ts"],
      10,
      /^nffi: \S+\/no\.ts: file not found\n/,
    ],
    [
      "a file that is no module",
      "",
      ["handlers.d.lua"],
      2,
      /is not a TypeScript or JavaScript module/,
    ],
    [
      "what does not compile",
      "export const a = (n: nope) => n;",
      ["handlers.ts"],
      18,
      /handlers\.ts:1:22: TS2304: Cannot find name 'nope'/,
    ],
    [
      "what does not travel",
      "export const a = (at: Date) => 1;",
      ["handlers.ts"],
      18,
      /a, request: JSON never makes a Date/,
    ],
    ["no function", "export const a = 1;", ["handlers.ts"], 18, /exports no function/],
    ["a folder as output", HANDLERS, ["handlers.ts", "--output", "."], 18, /cannot write \S+: /],
    [
      "--output - with --check",
      HANDLERS,
      ["handlers.ts", "--output", "-", "--check"],
      2,
      /cannot be combined with/,
    ],
  ] as const;

  test.each(failures)("%s", async (_what, source, args, exitCode, message) => {
    const cwd = project(temporaryFolder(), source);
    const failed = await runCli(["types", ...args], { cwd });
    expect(failed.stderr).toMatch(message);
    expect(failed.stderr).not.toContain("    at ");
    expect(failed.exitCode).toBe(exitCode);
  });

  test("no TypeScript beside the module", async () => {
    const cwd = temporaryFolder();
    copyFileSync(join(repository, "examples/docker/app/hello.ts"), join(cwd, "hello.ts"));
    const failed = await runCli(["types", "hello.ts"], { cwd });
    expect(failed.stderr).toMatch(
      /TypeScript not found beside \S+\n.*npm install --save-dev typescript@5\n/,
    );
    expect(failed.exitCode).toBe(4);
  });
});
