// The Rust that the documents print: it is taken from there, compiles, and answers as they say.
import { spawnSync } from "node:child_process";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { repository } from "../../support/cli.js";
import { codeBlocks } from "../../support/code-blocks.js";
import { withNginx } from "../../support/nginx.js";
import { builtOpenresty } from "../../support/openresty.js";
import { cargoEnv, rustMinor } from "./cargo.js";

let prefix: string;

beforeAll(async () => {
  prefix = await builtOpenresty();
});

const isTest = (code: string) => code.includes("#[test]");

/** All share a directory of what is compiled, so their names differ. */
const nameOf = (path: string) => path.replace(/\W/g, "-").toLowerCase();

/** A crate for each block, with the dependencies of docs/rust.md; a test joins the first one. */
function cratesOf(path: string): string {
  const name = nameOf(path);
  const folder = join(repository, ".nffi/test/rust-projects", name);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const [manifest = ""] = codeBlocks("docs/rust.md", "toml");
  const rust = codeBlocks(path, "rust");
  const programs = rust.filter((code) => !isTest(code));
  const tests = rust.filter(isTest).join("");
  for (const [index, code] of programs.entries()) {
    const place = join(folder, `block${index}`);
    mkdirSync(join(place, "src"), { recursive: true });
    writeFileSync(join(place, "src/lib.rs"), index === 0 && tests ? `${code}\n${tests}` : code);
    const filled = manifest
      .replace("PREFIX", prefix)
      .replace('name = "hello"', `name = "${name}${index}"`);
    writeFileSync(join(place, "Cargo.toml"), `${filled}\n[dev-dependencies]\nserde_json = "1"\n`);
  }
  const members = programs.map((_code, index) => `"block${index}"`).join(", ");
  writeFileSync(
    join(folder, "Cargo.toml"),
    `[workspace]\nresolver = "2"\nmembers = [${members}]\n`,
  );
  return folder;
}

const cargo = (folder: string, ...args: string[]) =>
  spawnSync("cargo", args, {
    cwd: folder,
    env: { ...process.env, ...cargoEnv },
    encoding: "utf8",
  });

// what the newest serde and tokio take
describe.skipIf(rustMinor < 85).each(["docs/rust.md"])("%s", (path) => {
  test("is formatted, compiles, and its tests pass", () => {
    const folder = cratesOf(path);
    const config = "max_width=100,use_small_heuristics=Max";
    const formatted = cargo(folder, "fmt", "--check", "--", "--config", config);
    expect(formatted.stdout + formatted.stderr).toBe("");
    const tested = cargo(folder, "test", "--workspace");
    expect(tested.status, tested.stdout + tested.stderr).toBe(0);
    expect(tested.stderr).not.toContain("warning");
    expect(tested.stdout.includes("a_name_is_greeted ... ok")).toBe(
      codeBlocks(path, "rust").some(isTest),
    );
  });

  test("its first program answers", async () => {
    const folder = cratesOf(path);
    const built = cargo(folder, "build", "--package", `${nameOf(path)}0`);
    expect(built.status, built.stderr).toBe(0);
    const library = join(
      cargoEnv.CARGO_TARGET_DIR,
      `debug/lib${nameOf(path).replace(/-/g, "_")}0.so`,
    );
    const server = `location = /hello { content_by_lua_block {
      local runtime = assert(require("resty.nffi").load("${library}", { codec = "json" }))
      ngx.say(assert(runtime.methods:hello({ name = "Ada" })).greeting)
    } }`;
    await withNginx({ prefix, server }, async (nginx) => {
      expect(await nginx.get("/hello")).toBe("hello Ada\n");
    });
  });
});
