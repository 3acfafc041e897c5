// The examples that the documents print: they are taken from there and do what is said of them.
import { execFileSync, spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { repository } from "../support/cli.js";
import { codeBlocks } from "../support/code-blocks.js";
import { until, withNginx } from "../support/nginx.js";
import { builtOpenresty } from "../support/openresty.js";
import { temporaryFolder } from "../support/temporary.js";

let prefix: string;

beforeAll(async () => {
  prefix = await builtOpenresty();
});

test("README.md: the smallest example answers", async () => {
  const [hello = ""] = codeBlocks("README.md", "ts");
  const [server = ""] = codeBlocks("README.md", "nginx");
  await withNginx({ prefix, server, files: { "hello.ts": hello } }, async (nginx) => {
    expect(await nginx.get("/hello?name=World")).toBe("hello World\n");
  });
});

test("docs/typescript.md: a method with a configuration answers, and so does a call of bytes", async () => {
  const handlers = codeBlocks("docs/typescript.md", "ts").find((code) =>
    code.includes("export default"),
  );
  const server = `location = /both { content_by_lua_block {
    local rt = assert(require("resty.nffi").load("node",
      { module = "handlers.ts", config = { region = "eu" } }))
    ngx.say(assert(rt.methods:hello({ name = "Ada" })).greeting)
    ngx.say(rt:call("\\0\\1\\2"))
  } }`;
  await withNginx({ prefix, server, files: { "handlers.ts": handlers ?? "" } }, async (nginx) => {
    // the default timeout is 60 s
    expect(await nginx.get("/both")).toMatch(/^hello Ada from eu, until \d{13}(\.\d+)?\n000102\n$/);
  });
});

test("docs/typescript.md: a NffiError arrives with its code, with the package and without", async () => {
  const typed = codeBlocks("docs/typescript.md", "ts").find((code) => code.includes("NffiError("));
  const files = {
    "errors.ts": typed ?? "",
    "plain.mjs": `export const order = () => {
      throw Object.assign(new Error("sold out"), { name: "NffiError", code: 7 });
    };`,
  };
  const server = `location = /order { content_by_lua_block {
    local rt = assert(require("resty.nffi").load("node", { module = ngx.var.arg_module }))
    ngx.say(table.concat({ select(2, rt.methods:order({ item = "tea" })) }, "|"))
  } }`;
  await withNginx({ prefix, server, files }, async (nginx) => {
    mkdirSync(join(nginx.dir, "node_modules/@nffi"), { recursive: true });
    symlinkSync(join(prefix, "nffi/node"), join(nginx.dir, "node_modules/@nffi/runtime"));
    expect(await nginx.get("/order?module=errors.ts")).toBe("tea is sold out|runtime_error|7\n");
    expect(await nginx.get("/order?module=plain.mjs")).toBe("sold out|runtime_error|7\n");
  });
});

test("docs/typescript.md: a generator serves server-sent events", async () => {
  const events = codeBlocks("docs/typescript.md", "ts").find((code) =>
    code.startsWith("// events.ts"),
  );
  const [server = ""] = codeBlocks("docs/typescript.md", "nginx");
  await withNginx({ prefix, server, files: { "events.ts": events ?? "" } }, async (nginx) => {
    const response = await nginx.request("/events");
    expect(response.headers["content-type"]).toBe("text/event-stream");
    expect(response.body).toBe([0, 1, 2, 3, 4].map((at) => `data: {"at":${at}}\n\n`).join(""));
    await nginx.waitForLog(/no more ticks, client: .*"GET \/events/);

    // a client that goes ends the generator
    await nginx.request("/events", { signal: AbortSignal.timeout(150) }).catch(() => undefined);
    await until(
      () => nginx.errorLog().split("no more ticks").length === 3,
      10_000,
      () => nginx.errorLog(),
    );
  });
});

test.each(["README.md", "docs/typescript.md"])("%s: the TypeScript is sound", (path) => {
  const folder = temporaryFolder();
  mkdirSync(join(folder, "node_modules/@nffi"), { recursive: true });
  symlinkSync(join(prefix, "nffi/node"), join(folder, "node_modules/@nffi/runtime"));
  symlinkSync(join(repository, "node_modules/@types"), join(folder, "node_modules/@types"));
  const template = join(repository, "templates/typescript/tsconfig.json");
  const files = codeBlocks(path, "ts").map((code, index) => {
    writeFileSync(join(folder, `block${index}.ts`), code);
    return `block${index}.ts`;
  });
  const compilerOptions = { noEmit: true, rootDir: ".", outDir: "dist" };
  writeFileSync(join(folder, "package.json"), '{ "type": "module" }');
  writeFileSync(
    join(folder, "tsconfig.json"),
    JSON.stringify({ extends: template, compilerOptions, include: files }),
  );
  const tsc = join(repository, "node_modules/typescript/bin/tsc");
  const checked = spawnSync(process.execPath, [tsc, "-p", folder], { encoding: "utf8" });
  expect(checked.stdout).toBe("");
  expect(files).not.toEqual([]);
});

test("docs/c-abi.md: the C runtime compiles without a warning and answers", async () => {
  const folder = temporaryFolder();
  chmodSync(folder, 0o755); // the worker may be another user
  const [shout = ""] = codeBlocks("docs/c-abi.md", "c");
  writeFileSync(join(folder, "shout.c"), shout);
  const info = (option: string) =>
    execFileSync(
      process.execPath,
      [join(repository, "bin/nffi.mjs"), "info", "--prefix", prefix, option],
      { encoding: "utf8" },
    );
  const flags = (option: string) => info(option).trim().split(" ");
  const library = join(folder, "libshout.so");
  execFileSync("gcc", [
    ...["-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-pthread"],
    ...flags("--cflags"),
    ...["-o", library, join(folder, "shout.c")],
    ...flags("--libs"),
  ]);
  const server = `location = /shout { content_by_lua_block {
    local nffi = require "resty.nffi"
    ngx.say(assert(nffi.load("${library}")):call("hello"))
    local _, message = nffi.load("${library}", { config = "loud" })
    ngx.say(message)
  } }`;
  await withNginx({ prefix, server }, async (nginx) => {
    expect(await nginx.get("/shout")).toBe(
      `HELLO\n${library} did not start: unexpected configuration (-1)\n`,
    );
  });
});

test.each(["c-echo", "go-echo"])("examples/%s/README.md: its location answers", async (name) => {
  const folder = temporaryFolder();
  chmodSync(folder, 0o755);
  const makefile = ["-C", join(repository, "examples", name), `OUT=${folder}`];
  execFileSync("make", makefile, { stdio: ["ignore", "ignore", 2] });
  const [location = ""] = codeBlocks(`examples/${name}/README.md`, "nginx");
  const server = location.replace(/"\/path\/to\/examples\/[a-z-]+/, `"${folder}`);
  await withNginx({ prefix, server }, async (nginx) => {
    expect(await nginx.get("/echo?abc")).toMatch(/^you.said: ?abc\n$/);
  });
});
