// Calls from Lua to a native runtime (the echo library of the build) in a real nginx: phases,
// payloads, results, limits, and what happens to a call whose coroutine goes.
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Nginx, startNginx } from "../support/nginx.js";
import { builtOpenresty, suites } from "../support/openresty.js";

const LUA = `
local nffi = require "resty.nffi"
local _M = {}
function _M.load(config) return assert(nffi.load(ECHO, { config = config or "4" })) end
function _M.show(...)
    local n = select("#", ...)
    local t = { ... }
    for i = 1, n do t[i] = tostring(t[i]) end
    return table.concat(t, "|")
end
return _M
`;

/** A location whose content handler is `code`, with rt, nffi and show at hand. */
function content(path: string, code: string): string {
  return `location ${path} { content_by_lua_block {
    local lib = require "lib"; local nffi = require "resty.nffi"
    local show = lib.show; local rt = lib.load()
    ${code}
  } }`;
}

describe.each(suites)("calls to a native runtime, %s", (suite) => {
  let nginx: Nginx;
  let echo: string;

  beforeAll(async () => {
    const prefix = await builtOpenresty(suite);
    echo = join(prefix, "nffi/lib/libnffi_echo.so");
    nginx = await startNginx({
      prefix,
      files: { "lua/lib.lua": LUA.replaceAll("ECHO", `"${echo}"`) },
      http: `
        lua_package_path "@DIR@/lua/?.lua;;";
        lua_check_client_abort on;
        client_max_body_size 100m;
        client_body_buffer_size 100m;
        init_by_lua_block {
            local _, err = ngx.load_nonblocking_ffi("${echo}", "")
            in_init = err
        }
        init_worker_by_lua_block {
            local rt, err = require("resty.nffi").load("${echo}", { config = "2" })
            in_init_worker = rt and select(2, rt:call("x")) or err
        }
      `,
      server: [
        content("= /call", `ngx.print(rt:call(ngx.var.arg_v))`),
        content("= /body", `ngx.req.read_body() ngx.print(rt:call(ngx.req.get_body_data() or ""))`),
        content("= /init", `ngx.say(in_init) ngx.say(in_init_worker)`),
        content("= /methods", `ngx.say(show(rt.methods:fail("no luck")))`),
        content(
          "= /json",
          `local j = assert(nffi.load(${JSON.stringify(echo)}, { config = "3", codec = "json" }))
           local t = assert(j.methods:echo({ a = { 1, 2 }, b = "x" }))
           ngx.say(t.a[2], t.b)
           ngx.say(show(j.methods:echo(print)))`,
        ),
        content(
          "= /compat",
          `local a = assert(ngx.load_nonblocking_ffi("${echo}", "1", { max_queue = 16 }))
           local b = assert(ngx.load_ffi("${echo}", "1"))
           local c = assert(ngx.load_ffi("${echo}", "2"))
           ngx.say(a == b, a == c)
           ngx.say(show(a:anything("bytes")))
           ngx.say(show(a:call()))
           ngx.say(show(a:fail("why")))
           ngx.say(show(pcall(a.echo, a, {})))
           ngx.say(show(c:__unload()), show(c:echo("x")))`,
        ),
        content(
          "= /bad",
          `ngx.say(show(nffi.load("/no/such.so")))
           ngx.say(show(nffi.load("libz.so.1")))
           ngx.say(show(nffi.load("${echo}", { config = "none" })))
           ngx.say(show(pcall(nffi.load, "python", { host = "worker" })))
           ngx.say(show(pcall(nffi.load, 1)))
           ngx.say(show(pcall(rt.call, rt, {})))
           ngx.say(show(pcall(nffi.load, "${echo}", { max_queue = 0 })))`,
        ),
        content(
          "= /timeout",
          `ngx.say(show(rt.methods:sleep("400", { timeout = 20 })))
           ngx.say(rt:call("after"))
           ngx.sleep(0.5)
           ngx.say(rt:state().unanswered, rt:state().refused)`,
        ),
        content(
          "= /full",
          `local one = assert(nffi.load("${echo}", { config = "6", max_queue = 2 }))
           local t = {}
           -- six threads are busy, then two may wait
           for i = 1, 6 do
               ngx.thread.spawn(function() return one.methods:sleep("600") end)
               repeat ngx.sleep(0.002) until one:state().queued == 0
           end
           for i = 1, 6 do t[i] = ngx.thread.spawn(function() return one.methods:sleep("100") end) end
           for i = 1, 6 do ngx.say(show(ngx.thread.wait(t[i]))) end
           ngx.sleep(0.2)
           ngx.say(one:state().unanswered)`,
        ),
        content(
          "= /coroutine",
          `local co = coroutine.wrap(function() local a = rt:call("in") coroutine.yield(a) return rt:call("out") end)
           ngx.say(co(), co())`,
        ),
        content(
          "= /one",
          `local one = assert(nffi.load("${echo}", { config = "7", max_tasks = 1 }))
           local bytes = ("x"):rep(100000)
           for _ = 1, 3 do ngx.say(one:call(bytes) == bytes, show(select(3, one.methods:fail(bytes)))) end`,
        ),
        // ngx_lua keeps Lua's own functions under these names, and does not know such a coroutine
        content(
          "= /raw",
          `local function raw(run)
               local co = coroutine._create(run)
               return show(select(2, coroutine._resume(co))) .. " " .. coroutine._status(co)
           end
           local slow = function() return rt.methods:sleep("50") end
           ngx.say(raw(slow))
           ngx.say(raw(function() return rt:stream("2 3", { method = "count" }):read() end))
           -- the light thread ends before a response comes
           local t = ngx.thread.spawn(function() return raw(slow) end)
           ngx.say(select(2, ngx.thread.wait(t)))
           t = nil
           collectgarbage()
           raw(slow)
           ngx.say(show(coroutine.wrap(function() raw(slow) return rt:call("inner") end)()))
           ngx.sleep(0.15)
           ngx.say(rt:call("after"), " ", rt:state().awaited, " ", rt:state().unanswered)`,
        ),
        content(
          "= /kill",
          `local function inner() return rt.methods:sleep("300") end
           local t = ngx.thread.spawn(inner)
           local u = ngx.thread.spawn(function() return coroutine.wrap(inner)() end)
           ngx.say(show(ngx.thread.kill(t)), show(ngx.thread.kill(u)))
           ngx.say(rt:call("alive"))
           ngx.sleep(0.4)
           ngx.say(rt:state().awaited, rt:state().unanswered)`,
        ),
        content(
          "= /exit",
          `ngx.thread.spawn(function() coroutine.wrap(function() rt.methods:sleep("200") end)() end)
           ngx.say("left") ngx.exit(200)`,
        ),
        content("= /state", `ngx.say(rt:state().awaited, " ", rt:state().unanswered)`),
        content("= /slow", `ngx.say(rt.methods:sleep("1000"))`),
        content(
          "= /close",
          `local c = lib.load("5") c:close() ngx.say(show(c:call("x"))) ngx.say(lib.load("5"):call("again"))`,
        ),
        content(
          "= /timer",
          `ngx.shared = ngx.shared
           local ok = ngx.timer.at(0, function() from_timer = rt:call("timer") end)
           for _ = 1, 50 do ngx.sleep(0.02) if from_timer then break end end
           ngx.say(from_timer)`,
        ),
        `location = /phases {
            rewrite_by_lua_block { ngx.ctx.a = require("lib").load():call("rewrite") }
            access_by_lua_block { ngx.ctx.b = require("lib").load():call("access") }
            content_by_lua_block { ngx.say(ngx.ctx.a, " ", ngx.ctx.b, " ", require("lib").load():call("content")) }
        }`,
        `location = /refused {
            set_by_lua_block $in_set { local l = require "lib" return l.show(l.load():call("x")) }
            content_by_lua_block { ngx.say(ngx.var.in_set) }
            header_filter_by_lua_block { local l = require "lib" ngx.header["x-header"] = l.show(l.load():call("x")) }
            body_filter_by_lua_block { local l = require "lib" ngx.arg[1] = ngx.arg[1] and (ngx.arg[1] .. l.show(l.load():call("x")) .. "\\n") }
            log_by_lua_block { local l = require "lib" ngx.log(ngx.WARN, "in log: ", l.show(l.load():call("x"))) }
        }`,
        `location = /subrequest { content_by_lua_block {
            local a, b = ngx.location.capture_multi({ { "/call?v=1" }, { "/call?v=2" } })
            ngx.say(a.body, b.body)
        } }`,
      ].join("\n"),
    });
  });

  afterAll(async () => {
    await nginx?.stop({ signal: "SIGQUIT" });
  });

  test("yields in rewrite, access, content, a timer, a coroutine and a subrequest", async () => {
    expect(await nginx.get("/phases")).toBe("rewrite access content\n");
    expect(await nginx.get("/timer")).toBe("timer\n");
    expect(await nginx.get("/coroutine")).toBe("inout\n");
    expect(await nginx.get("/subrequest")).toBe("12\n");
  });

  test("is refused with the reason where a call cannot yield", async () => {
    const response = await nginx.request("/refused");
    const refused = (phase: string) =>
      `nil|the runtime "libnffi_echo.so" cannot be called here: API disabled in the context of ` +
      `${phase}_by_lua*; call it in access_by_lua* or content_by_lua*, or from ngx.timer.at()|`;
    expect(response.body).toContain(`${refused("set")}wrong_phase`);
    expect(response.body).toContain(`${refused("body_filter")}wrong_phase`);
    expect(response.headers["x-header"]).toContain(refused("header_filter"));
    await nginx.waitForLog(`in log: ${refused("log")}wrong_phase`);
  });

  test("cannot be loaded in init_by_lua, can be in init_worker, where calls are refused", async () => {
    const [init, worker] = (await nginx.get("/init")).split("\n");
    expect(init).toContain("cannot be loaded in init_by_lua*");
    expect(worker).toContain("API disabled in the context of init_worker_by_lua*");
  });

  test.each([
    ["empty", Buffer.alloc(0)],
    ["with NUL bytes", Buffer.from([0, 1, 0, 255, 0])],
    ["1 MB", Buffer.alloc(1 << 20, "abcdefg")],
    ["64 MB", Buffer.alloc(64 << 20, "0123456789")],
  ])("echoes a payload: %s", async (_, body) => {
    const response = await nginx.request("/body", { method: "POST", body });
    expect(response.status).toBe(200);
    expect(Buffer.from(response.body, "utf8").length === 0).toBe(body.length === 0);
    expect(response.body === body.toString("utf8")).toBe(true);
  });

  test("answers 1,000 concurrent calls on one worker, each with its own bytes", async () => {
    const names = Array.from({ length: 1000 }, (_, i) => `call-${i}`);
    const responses = await Promise.all(names.map((name) => nginx.get(`/call?v=${name}`)));
    expect(responses).toEqual(names);
  });

  test("returns an error of the runtime as nil, message, code, detail", async () => {
    expect(await nginx.get("/methods")).toBe("nil|no luck|runtime_error|nffi_echo\n");
  });

  test("encodes and decodes with the codec of the runtime", async () => {
    const [good, bad] = (await nginx.get("/json")).split("\n");
    expect(good).toBe("2x");
    expect(bad).toMatch(/^nil\|cannot encode the payload: .*function.*\|codec_error/);
  });

  test("keeps the results of the public ABI", async () => {
    expect((await nginx.get("/compat")).split("\n")).toEqual([
      "truefalse",
      "true|bytes",
      "true|nil",
      "nil|runtime_error|why",
      expect.stringMatching(/^false\|content_by_lua\S+ payload must be a string, got table$/),
      `truenil|closed|the runtime "libnffi_echo.so" is closed`,
      "",
    ]);
  });

  test("says what is wrong with a runtime that cannot be loaded", async () => {
    const lines = (await nginx.get("/bad")).split("\n");
    expect(lines[0]).toMatch(/^nil\|\/no\/such\.so: cannot open shared object file.*\|no_library$/);
    expect(lines[1]).toMatch(
      /^nil\|libz\.so\.1 is not a runtime: it exports none of .*\|no_entry$/,
    );
    expect(lines[2]).toMatch(/did not start: the configuration is the number of threads/);
    expect(lines[3]).toMatch(/^false\|.*load\("python"\) requires \{ module = "app\.py" \}/);
    expect(lines[4]).toMatch(/^false\|.*load\(\) requires the name/);
    expect(lines[5]).toMatch(/^false\|.*payload must be a string, got table/);
    expect(lines[6]).toMatch(/^false\|.*max_queue must be a whole number/);
  });

  test("ends a call at its timeout; the late answer is freed, not refused", async () => {
    expect(await nginx.get("/timeout")).toBe(
      `nil|method "sleep": the runtime "libnffi_echo.so" has not responded within 20 ms|timeout|nil\nafter\n00\n`,
    );
  });

  test("refuses a call immediately when the queue is full, and serves the others", async () => {
    const lines = (await nginx.get("/full")).trim().split("\n");
    const full = `true|nil|method "sleep": the queue of the runtime "libnffi_echo.so" is full: 2 calls `;
    expect(lines.filter((line) => line.startsWith(full)).length).toBe(4);
    expect(lines.filter((line) => line === "true|100").length).toBe(2);
    expect(lines.at(-1)).toBe("0");
  });

  test("a large response is released before Lua goes on: the next call needs its place", async () => {
    expect(await nginx.get("/one")).toBe("trueruntime_error|nffi_echo\n".repeat(3));
  });

  test("is refused in a coroutine that ngx_lua does not know", async () => {
    const workers = nginx.workers();
    const lines = (await nginx.get("/raw")).split("\n");
    const refused = /^nil\|.*ngx_lua does not know this coroutine.*\|wrong_phase.* dead$/;
    for (const line of lines.slice(0, 3)) expect(line).toMatch(refused);
    expect(lines.slice(3)).toEqual(["inner", "after 0 0", ""]);
    expect(nginx.workers()).toEqual(workers);
  });

  test("survives ngx.thread.kill and ngx.exit while calls wait, in threads and coroutines", async () => {
    expect(await nginx.get("/kill")).toBe("11\nalive\n00\n");
    expect(await nginx.get("/exit")).toBe("left\n");
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(await nginx.get("/state")).toBe("0 0\n");
  });

  test("survives a client that goes while its call waits", async () => {
    const workers = nginx.workers();
    const gone = Array.from({ length: 4 }, () =>
      nginx.request("/slow", { signal: AbortSignal.timeout(100) }).catch(() => "gone"),
    );
    expect(await Promise.all(gone)).toEqual(["gone", "gone", "gone", "gone"]);
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect((await nginx.get("/state")).split(" ")[0]).toBe("0");
    await new Promise((resolve) => setTimeout(resolve, 1200));
    expect(await nginx.get("/state")).toBe("0 0\n");
    expect(nginx.workers()).toEqual(workers);
  });

  test("serves other requests while a call waits", async () => {
    const order: string[] = [];
    const slow = nginx.get("/slow").then(() => order.push("slow"));
    for (let i = 0; i < 5; i++) {
      await nginx.get(`/call?v=${i}`);
      order.push("fast");
    }
    await slow;
    expect(order).toEqual(["fast", "fast", "fast", "fast", "fast", "slow"]);
  });

  test("a closed runtime refuses calls, and loading it again makes a new one", async () => {
    const [closed, again] = (await nginx.get("/close")).split("\n");
    expect(closed).toMatch(/^nil\|the runtime ".*" is closed\|closed\|nil$/);
    expect(again).toBe("again");
  });
});
