// The Go that the documents print: it is taken from there, compiles, and answers as they say.
import { spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { codeBlocks } from "../../support/code-blocks.js";
import { withNginx } from "../../support/nginx.js";
import { builtOpenresty } from "../../support/openresty.js";
import { temporaryFolder } from "../../support/temporary.js";

let prefix: string;

beforeAll(async () => {
  prefix = await builtOpenresty();
});

const isTest = (code: string) => code.includes('"testing"');

/** A module of one document: a package for each block; a test belongs to the first one. */
function moduleOf(path: string): string {
  const folder = temporaryFolder();
  chmodSync(folder, 0o755); // the worker may be another user
  const replace = `require nffi.local/nffi v0.0.0\nreplace nffi.local/nffi => ${prefix}/nffi/go\n`;
  writeFileSync(join(folder, "go.mod"), `module example.com/docs\ngo 1.19\n${replace}`);
  for (const [index, code] of codeBlocks(path, "go").entries()) {
    const place = join(folder, isTest(code) ? "block0" : `block${index}`);
    mkdirSync(place, { recursive: true });
    writeFileSync(join(place, isTest(code) ? "main_test.go" : "main.go"), code);
  }
  return folder;
}

const go = (folder: string, ...args: string[]) =>
  spawnSync("go", args, { cwd: folder, encoding: "utf8" });

describe.each(["docs/go.md"])("%s", (path) => {
  let folder: string;

  test("is formatted as gofmt has it, compiles, and its tests pass", () => {
    folder = moduleOf(path);
    expect(go(folder, "vet", "./...").stderr).toBe("");
    expect(spawnSync("gofmt", ["-l", folder], { encoding: "utf8" }).stdout).toBe("");
    const tested = go(folder, "test", "./...");
    expect(tested.status, tested.stdout + tested.stderr).toBe(0);
    expect(/^ok .*block0/m.test(tested.stdout)).toBe(codeBlocks(path, "go").some(isTest));
  });

  test("its first program answers", async () => {
    folder = moduleOf(path);
    const library = join(folder, "libhello.so");
    const args = ["build", "-buildmode=c-shared", "-o", library, "./block0"];
    expect(go(folder, ...args).stderr).toBe("");
    const server = `location = /hello { content_by_lua_block {
      local runtime = assert(require("resty.nffi").load("${library}", { codec = "json" }))
      ngx.say(assert(runtime.methods:hello({ name = "Ada" })).greeting)
    } }`;
    await withNginx({ prefix, server }, async (nginx) => {
      expect(await nginx.get("/hello")).toBe("hello Ada\n");
    });
  });
});
