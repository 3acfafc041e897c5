// Libraries that know only the three public generations of the ABI load and work unchanged. Most
// are written as their users wrote them: requests are C strings, and no length is looked at. C and
// Go of the first generation are in examples.test.ts, Python is in python-worker.test.ts.
import { execFileSync } from "node:child_process";
import { copyFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { findJdk, isJdk } from "../../src/host/jdk.js";
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
    for (const n of [0, 1, 2, 3]) {
      run("cc", [
        ...["-shared", "-fPIC", "-Wall", `-DGENERATION=${n}`, `-I${prefix}/nffi/include`],
        ...["-o", library(`users${n}`), "users.c", "-pthread"],
      ]);
    }
    copyFileSync(library("users0"), library("users0b"));
    const jdk = await findJdk(process.env);
    if (!isJdk(jdk)) throw new Error(jdk.reason);
    const jvm = join(jdk.home, "lib/server");
    run("cc", [
      ...["-shared", "-fPIC", "-Wall", `-I${jdk.home}/include`, `-I${jdk.home}/include/linux`],
      ...["-o", library("jni"), "jni.c", `-L${jvm}`, "-ljvm", `-Wl,-rpath,${jvm}`, "-pthread"],
    ]);
    const go = ["build", "-buildmode=c-shared", "-buildvcs=false", "-o", library("go_later"), "."];
    run("go", go, join(sources, "go_later"));
    for (const name of ["first", "later"]) {
      const out = library(`rust_${name}`);
      run("rustc", ["--edition=2021", "--crate-type=cdylib", "-O", "-o", out, `${name}.rs`]);
    }
  });

  /** Runs Lua in a request; `lib(name)` is the path of a library. */
  const lua = async (code: string) => {
    const server = `location = / { content_by_lua_block {
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
      ngx.say(tostring(runtime("echo called")), " ", select(2, runtime("config")))
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
      "true my config",
    ]);
  });

  // 0 is nffi.h
  const users = [0, 1, 2, 3] as const;

  test.each(users)("generation %i: a request is a C string of any size", async (n) => {
    const answers = await lua(`
      require "resty_ffi"
      local runtime = assert(ngx.load_ffi(lib("users${n}")))
      for _, size in ipairs({ 1, 2, 126, 127, 128, 129, 255, 256, 4095, 4096, 4097, 65536,
                              524287, 524288, 1048576 }) do
        -- what the next request would find behind its end
        for _ = 1, 3 do assert(runtime:echo(("z"):rep(size + 40))) end
        local request = ("a"):rep(size)
        local _, answer = runtime:echo(request)
        if answer ~= request then ngx.say(size, " ", #answer) end
      end
      ngx.say("done")
    `);
    expect(answers).toEqual(["done"]);
  });

  test.each(users)('generation %i: "" is a string and nil is NULL', async (n) => {
    const answers = await lua(`
      local function say(...)
        for i = 1, 3 do
          local value = select(i, ...)
          ngx.print(type(value) == "string" and "'" .. value .. "'" or tostring(value), " ")
        end
        ngx.say()
      end
      local load = ngx.load_nonblocking_ffi
      local runtime = assert(load(lib("users${n}"), "a config"))
      say(runtime:echo(""))
      say(runtime:echo())
      say(runtime:echo("empty"))
      say(runtime:echo("null"))
      say(runtime:echo("fail"))
      say(runtime("called"))
      say(runtime:echo("config"))
      say(assert(load(lib("users${n}"), "")):echo("config"))
      say(assert(load(lib("users${n}"))):echo("config"))
      ngx.say(load(lib("users${n}"), "") ~= load(lib("users${n}")))
      ngx.say(load(lib("users${n}")) == ngx.load_ffi(lib("users${n}")))
      local nffi = require "resty.nffi"
      say(nffi.load(lib("users${n}")):call("config"))
      say(nffi.load(lib("users${n}"), { config = "" }):call("config"))
      say(nffi.load(lib("users${n}")):call("null"))
      local none, rc, message = load(lib("users${n}"), "refuse")
      if ${n} == 0 then rc, message = 3, rc end
      ngx.say(tostring(none), " ", rc, " ", message:match("its entry returned 3"))
    `);
    expect(answers.map((line) => line.trimEnd())).toEqual([
      "true '' nil",
      "true 'no request' nil",
      "true '' nil",
      "true nil nil",
      "false 9 ''",
      "true 'called' nil",
      "true 'a config' nil",
      "true '' nil",
      "true 'none' nil",
      "true",
      "true",
      "'none' nil nil",
      "'' nil nil",
      "'' nil nil",
      "nil 3 its entry returned 3",
    ]);
  });

  test.each(users)("generation %i: what its poll returns at the end", async (n) => {
    const server = `location = /unload { content_by_lua_block {
        local one = assert(ngx.load_ffi("${library(`users${n}`)}", "one"))
        local two = assert(ngx.load_ffi("${library(`users${n}`)}", "two"))
        one:echo("x")
        one:__unload()
        one:__unload()
        local ok, code, message = one:echo("x")
        ngx.sleep(0.2)
        ngx.say(tostring(ok), " ", code, " ", message:match("is closed"), " ",
                select(2, two("config")))
        local again = assert(ngx.load_ffi("${library(`users${n}`)}", "one"))
        ngx.say(again ~= one, " ", select(2, again:echo("config")))
      } }`;
    await withNginx({ prefix, server }, async (nginx: Nginx) => {
      expect(await nginx.get("/unload")).toBe("nil closed is closed two\ntrue one\n");
      const ended = () => nginx.errorLog().split(`generation ${n} ended`).length - 1;
      expect(ended()).toBe(n === 1 ? 0 : 1);
      await nginx.reload();
      expect(await nginx.get("/unload")).toContain("true one");
      expect(nginx.errorLog()).not.toMatch(/exited on signal|\[alert\]/);
    });
  });

  test("a configuration is a C string in a library that is reloaded, too", async () => {
    const answers = await lua(`
      local nffi = require "resty.nffi"
      for _, config in ipairs({ "a config", "", false }) do
        local runtime = assert(nffi.load(lib("users0"), { config = config or nil }))
        assert(runtime:reload({ library = lib("users0b") }))
        ngx.say(runtime:call("config"))
      end
    `);
    expect(answers).toEqual(["a config", "", "none"]);
  });

  test("a request becomes a string of Java by JNI", async () => {
    const answers = await lua(`
      local runtime = assert(ngx.load_ffi(lib("jni")))
      for _ = 1, 3 do assert(runtime:upper(("z"):rep(300))) end
      ngx.say(select(2, runtime:upper("abc")), select(2, runtime:upper("")))
    `);
    expect(answers).toEqual(["ABC"]);
  });

  // with malloc()'s own limit: 10 to 40 for each call
  test("64 responses of 100 KB at once need no new pages", async () => {
    const [faults] = await lua(`
      local runtime = assert(ngx.load_ffi(lib("later")))
      local request = "echo " .. ("x"):rep(100 * 1024)

      local function page_faults()
        local stat = io.open("/proc/self/stat"):read("*a")
        return tonumber((stat:match("%) %a" .. (" %-?%d+"):rep(6) .. " (%d+)")))
      end

      local function calls(count)
        local threads = {}
        for i = 1, 64 do
          threads[i] = ngx.thread.spawn(function()
            for _ = 1, count do assert(runtime:echo(request)) end
          end)
        end
        for i = 1, 64 do assert(ngx.thread.wait(threads[i])) end
      end

      calls(20)
      local before = page_faults()
      calls(20)
      ngx.say((page_faults() - before) / (64 * 20))
    `);
    expect(Number(faults)).toBeLessThan(3);
  });

  test("the module of lua-resty-ffi has both functions", async () => {
    const answers = await lua(`
      local resty_ffi = require "resty_ffi"
      ngx.say(resty_ffi.load_ffi == ngx.load_ffi)
      ngx.say(resty_ffi.load_nonblocking_ffi == ngx.load_nonblocking_ffi)
    `);
    expect(answers).toEqual(["true", "true"]);
  });

  test.each([
    ["Go, the later generation", "load_ffi", "go_later"],
    ["Rust, the first generation", "load_nonblocking_ffi", "rust_first"],
    ["Rust, the later generation", "load_ffi", "rust_later"],
  ])("%s: concurrent calls, two configurations, unloaded", async (_name, load, name) => {
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
      ngx.say(tostring((one:hello("after its end"))))
      ngx.say(select(2, two:hello("still there")))
    `);
    expect(answers).toEqual(["500", "nil", "two:still there"]);
  });
});
