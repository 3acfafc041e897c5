// Libraries that know only the two public generations of the ABI, written from its table in three
// languages, load and work unchanged. C and Go of the first generation are in examples.test.ts.
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { repository } from "../support/cli.js";
import { type Nginx, withNginx } from "../support/nginx.js";
import { builtOpenresty } from "../support/openresty.js";
import { temporaryFolderOfAll } from "../support/temporary.js";

const sources = join(repository, "test/fixtures/public-abi");

describe("libraries of the public ABI", () => {
  const folder = temporaryFolderOfAll();
  const library = (name: string) => join(folder, `lib${name}.so`);
  let prefix = "";

  beforeAll(async () => {
    prefix = await builtOpenresty();
    const run = (program: string, args: string[], cwd = sources) =>
      execFileSync(program, args, { cwd, stdio: ["ignore", "ignore", "inherit"] });
    run("cc", ["-shared", "-fPIC", "-Wall", "-o", library("later"), "later.c", "-pthread"]);
    const go = ["build", "-buildmode=c-shared", "-buildvcs=false", "-o", library("go_later"), "."];
    run("go", go, join(sources, "go_later"));
    for (const name of ["first", "later"]) {
      const out = library(`rust_${name}`);
      run("rustc", ["--edition=2021", "--crate-type=cdylib", "-O", "-o", out, `${name}.rs`]);
    }
  });

  /** Runs Lua in a request; `lib(name)` is the path of a library. */
  const lua = async (code: string) => {
    const server = `location / { content_by_lua_block {
      local function lib(name) return "${folder}/lib" .. name .. ".so" end
      ${code}
    } }`;
    let answer = "";
    await withNginx({ prefix, server }, async (nginx: Nginx) => {
      answer = await nginx.get("/");
    });
    return answer.trimEnd().split("\n");
  };

  test("the later generation in C: what rc, NULL and a length of 0 mean", async () => {
    const answers = await lua(`
      local runtime = assert(ngx.load_ffi(lib("later"), "my config", { max_queue = 8 }))
      local again = ngx.load_ffi(lib("later"), "my config")
      ngx.say(runtime == again or runtime:config("config") == again:config("config"))
      for _, request in ipairs({ "echo a\\0b", "echo ", "rc 7 wrong", "text", "config", "null" }) do
        local ok, value, err = runtime:any_name(request)
        ngx.say(tostring(ok), " ", (tostring(value):gsub("%z", "0")), " ", tostring(err))
      end
      ngx.say(select(2, runtime:any_name()))
      ngx.say(select(2, ngx.load_ffi(lib("later")):any_name("config")))
      ngx.say(tostring(ngx.load_ffi(lib("later"), "refuse")))
    `);
    expect(answers).toEqual([
      "true",
      "true a0b nil",
      "true  nil",
      "false 7 wrong",
      "true terminated nil",
      "true my config nil",
      "true nil nil",
      "nothing",
      "(none)",
      "nil",
    ]);
  });

  test.each([
    ["Go, the later generation", "load_ffi", "go_later"],
    ["Rust, the first generation", "load_nonblocking_ffi", "rust_first"],
    ["Rust, the later generation", "load_ffi", "rust_later"],
  ])("%s: many at once, two configurations, unloaded", async (_name, load, name) => {
    const answers = await lua(`
      local one = assert(ngx.${load}(lib("${name}"), "one"))
      local two = assert(ngx.${load}(lib("${name}"), "two"))
      local threads = {}
      for i = 1, 500 do
        threads[i] = ngx.thread.spawn(function()
          local runtime = i % 2 == 0 and two or one
          local ok, answer = runtime:hello("request " .. i)
          return ok and answer == (i % 2 == 0 and "two" or "one") .. ":request " .. i
        end)
      end
      local good = 0
      for i = 1, 500 do
        local _, is_good = ngx.thread.wait(threads[i])
        good = good + (is_good and 1 or 0)
      end
      ngx.say(good)
      one:__unload()
      ngx.say(tostring(one:hello("after its end")))
      ngx.say(select(2, two:hello("still there")))
    `);
    expect(answers).toEqual(["500", "nil", "two:still there"]);
  });
});
