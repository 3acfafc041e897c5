// Answers in chunks from a native runtime (the echo library of the build), read in Lua and sent to
// real clients: order, ends and errors, slow clients, and streams whose reader goes.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { content } from "../support/lua.js";
import { type Nginx, startNginx, until } from "../support/nginx.js";
import { builtOpenresty, flavor, suites } from "../support/openresty.js";
import { slowClient } from "../support/slow-client.js";

/** The same with `rt`, the echo library with four threads; `show` leaves nils at the end out. */
function withEcho(path: string, code: string): string {
  return content(
    path,
    `local rt = assert(nffi.load("@ECHO@", { config = "4" }))
     local show_all = show
     local function show(...)
         local text = "|" .. show_all(...)
         while text:find("|nil$") and text ~= "|nil" do text = text:sub(1, -5) end
         return text:sub(2)
     end
     ${code}`,
  );
}

const SERVER = [
  withEcho(
    "= /loop",
    `local stream = rt:stream(ngx.unescape_uri(ngx.var.arg_v), { method = "count", window = tonumber(ngx.var.arg_w) })
     for chunk in stream do ngx.print(chunk, ";") ngx.flush(true) end
     ngx.say(show(stream:error()))`,
  ),
  withEcho(
    "= /sum",
    `local n, bytes = 0, 0
     for chunk in rt:stream(ngx.unescape_uri(ngx.var.arg_v), { method = "count" }) do
         if tonumber(chunk:match("^%d+")) ~= n then ngx.say("chunk ", n, " is ", chunk:sub(1, 20)) end
         n, bytes = n + 1, bytes + #chunk
     end
     ngx.say(n, " ", bytes)`,
  ),
  withEcho(
    "= /call",
    `ngx.say(show(rt:call(ngx.unescape_uri(ngx.var.arg_v), { method = "count" })))`,
  ),
  withEcho("= /counted", `ngx.print(rt:call("", { method = "counted" }))`),
  withEcho("= /state", `ngx.print(rt:state().awaited, " ", rt:state().unanswered)`),
  withEcho(
    "= /plain",
    `local stream = rt:stream("whole")
     ngx.say(show(stream:read())) ngx.say(show(stream:read())) ngx.say(show(stream:read()))
     ngx.say(show(rt:stream(""):read()))
     local failed = rt:stream("why", { method = "fail" })
     ngx.say(show(failed:read())) ngx.say(show(failed:read())) ngx.say(show(failed:error()))`,
  ),
  withEcho(
    "= /streams",
    `local j = assert(nffi.load("@ECHO@", { config = "4", codec = "json" }))
     for n in j.streams:count(5) do ngx.print(n + 1, ";") end
     local bad = j.streams:count("x")
     ngx.say(show(bad:read()))
     local c = assert(nffi.load("@ECHO@", { config = "4", codec = {
         encode = tostring, decode = function(b) if b == "2" then return nil, "no twos" end return b end } }))
     local stream = c.streams:count(5)
     for n in stream do ngx.print(n, ";") end
     ngx.say(show(stream:error()))`,
  ),
  withEcho(
    "= /broken-off",
    `for chunk in rt:stream("1000000000", { method = "count" }) do
         if chunk == "20" then break end
     end
     collectgarbage() collectgarbage()
     ngx.say("left")
     ngx.flush(true)
     ngx.sleep(tonumber(ngx.var.arg_s) or 0)`,
  ),
  withEcho(
    "= /close",
    `local stream = rt:stream("1000000000", { method = "count" })
     ngx.print(stream:read(), stream:read())
     stream:close() stream:close()
     ngx.say(" ", show(stream:read()))
     local other = rt:stream("", { method = "sleep" })
     local slow = rt:stream("600", { method = "sleep" })
     local t = ngx.thread.spawn(function() return slow:read() end)
     ngx.say(show(slow:read()))
     slow:close()
     ngx.say(show(ngx.thread.wait(t)))
     ngx.say(show(slow:error()))`,
  ),
  withEcho(
    "= /timeout",
    `local stream = rt:stream("500", { method = "sleep", timeout = 20 })
     ngx.say(show(stream:read())) ngx.say(show(stream:read()))
     ngx.say(rt:call("after"))`,
  ),
  withEcho(
    "= /kill",
    `local stream = rt:stream("400", { method = "sleep" })
     local t = ngx.thread.spawn(function() return stream:read() end)
     local u = ngx.thread.spawn(function() return coroutine.wrap(function()
         return rt:stream("400", { method = "sleep" }):read() end)() end)
     ngx.thread.kill(t) ngx.thread.kill(u)
     ngx.say(show(stream:read()))`,
  ),
  withEcho(
    "= /many",
    `local threads, sum = {}, 0
     for i = 1, 3 do threads[i] = ngx.thread.spawn(function()
         local n = 0
         for chunk in rt:stream("2000", { method = "count" }) do n = n + tonumber(chunk) end
         return n
     end) end
     for i = 1, 3 do local _, n = ngx.thread.wait(threads[i]) sum = sum + n end
     ngx.say(sum)`,
  ),
  withEcho(
    "= /beside",
    `local stalled = rt:stream("1000000000", { method = "count" })
     local function call() return rt:call("x", { timeout = 3000 }) end
     local lost = 0
     for i = 1, 2000 do
         local threads = {}
         for k = 1, i % 3 + 1 do threads[k] = ngx.thread.spawn(call) end
         for k = 1, #threads do
             local _, answer = ngx.thread.wait(threads[k])
             if answer ~= "x" then lost = lost + 1 end
         end
         if lost > 0 then break end
     end
     stalled:close()
     ngx.say(lost, " lost")`,
  ),
  withEcho(
    "= /collected",
    `for i = 1, 100 do rt:stream("3", { method = "count" }):read() end
     collectgarbage() collectgarbage()
     ngx.say("done")`,
  ),
  withEcho("= /kept", `kept = rt:stream("1000000000", { method = "count" }) ngx.say(kept:read())`),
  withEcho("= /foreign", `ngx.say(show(kept:read())) kept = nil collectgarbage()`),
  withEcho(
    "= /timer",
    `ngx.timer.at(0, function()
         local n = 0
         for chunk in rt:stream("50", { method = "count" }) do n = n + 1 end
         from_timer = n
     end)
     for _ = 1, 100 do ngx.sleep(0.02) if from_timer then break end end
     ngx.say(from_timer)`,
  ),
  withEcho(
    "= /misuse",
    `ngx.say(show(pcall(rt.stream, rt, {})))
     ngx.say(show(pcall(rt.stream, rt, "", { windows = 1 })))
     ngx.say(show(pcall(rt.stream, rt, "", { window = 0 })))
     ngx.say(show(pcall(rt.stream, rt, "", { timeout = "x" })))
     ngx.say(show(pcall(rt.stream, rt, "", 1)))
     ngx.say(show(pcall(rt.stream, "")))
     local closed = assert(nffi.load("@ECHO@", { config = "5" })) closed:close()
     for chunk in closed:stream("x") do ngx.say("never") end
     ngx.say(show(closed:stream("x"):read()))`,
  ),
  `location = /refused {
      content_by_lua_block { ngx.say("ok") }
      header_filter_by_lua_block {
          local rt = require("resty.nffi").load("@ECHO@", { config = "4" })
          local _, message, code = rt:stream("x"):read()
          ngx.header["x-refused"] = code .. ": " .. message
      }
  }`,
  withEcho(
    "= /unread",
    `local how = ngx.var.arg_how
     if how == "never" then
         rt:stream("why", { method = "fail" })
         ngx.sleep(0.1)
     elseif how == "ended" then
         local ended = assert(nffi.load("@ECHO@", { config = "8" }))
         ended:stream("why", { method = "fail" })
         ngx.sleep(0.1)
         ended:close()
         ngx.sleep(0.2)
     elseif how == "lost" then
         local function lose()
             local lost = assert(nffi.load("@ECHO@", { config = "9" }))
             for chunk in lost:stream("0 0 luck", { method = "count" }) do end
             lost:close()
         end
         lose()
         for _ = 1, 200 do collectgarbage("step") ngx.sleep(0.001) end
     elseif how == "closed" then
         local closed = assert(nffi.load("@ECHO@", { config = "6" })) closed:close()
         for chunk in closed:stream("x") do ngx.say("never") end
     elseif how == "codec" then
         local j = assert(nffi.load("@ECHO@", { config = "4", codec = "json" }))
         for chunk in j.streams:count(print) do ngx.say("never") end
     elseif how == "read" then
         local stream = rt:stream("why", { method = "fail" })
         stream:read()
     else
         ngx.thread.wait(ngx.thread.spawn(function()
             local stream = rt:stream("3 0 luck", { method = "count" })
             for round = 1, 2 do for chunk in stream do ngx.print(chunk) end end
             if how == "error" then stream:error() end
         end))
         if how == "collected" then
             collectgarbage() collectgarbage()
             ngx.log(ngx.WARN, "collected already")
         end
     end
     ngx.say(how)`,
  ),
  withEcho(
    "= /flood",
    `for chunk in rt:stream("20000 65536", { method = "count" }) do
         if not ngx.print(chunk) or not ngx.flush(true) then break end
     end`,
  ),
].join("\n");

const HTTP = "lua_check_client_abort on; client_max_body_size 10m;";

function residentKb(pid: number): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]);
}

describe.each(suites)("streams of a native runtime, %s", (suite) => {
  let nginx: Nginx;
  let echo: string;

  beforeAll(async () => {
    const prefix = await builtOpenresty(suite);
    echo = join(prefix, "nffi/lib/libnffi_echo.so");
    nginx = await startNginx({ prefix, http: HTTP, server: SERVER.replaceAll("@ECHO@", echo) });
  });

  afterAll(async () => {
    await nginx?.stop({ signal: "SIGQUIT" });
  });

  /** Every stream has ended, and no call is left. */
  async function allOver(): Promise<void> {
    let counted = "";
    let state = "";
    await until(
      async () => {
        counted = await nginx.get("/counted");
        state = await nginx.get("/state");
        return counted.endsWith(" 0") && state === "0 0";
      },
      10_000,
      () => `a stream is still there: ${counted} chunks and streams, state ${state}`,
    );
  }

  const counted = async () => Number.parseInt(await nginx.get("/counted"), 10);

  test("a loop gets every chunk, then ends", async () => {
    expect(await nginx.get("/loop?v=5")).toBe("0;1;2;3;4;\n");
    expect(await nginx.get("/loop?v=0")).toBe("\n");
  });

  test("10,000 chunks arrive in order, and big ones whole", async () => {
    expect(await nginx.get("/sum?v=10000")).toBe("10000 38890\n");
    expect(await nginx.get("/sum?v=10000%20100")).toBe("10000 1000000\n");
    expect(await nginx.get("/sum?v=5%205000000")).toBe("5 25000000\n");
    expect(await nginx.get("/loop?v=5&w=1")).toBe("0;1;2;3;4;\n");
    expect(await nginx.get("/many")).toBe(`${(3 * 2000 * 1999) / 2}\n`);
  });

  test("an error comes after the chunks", async () => {
    expect(await nginx.get("/loop?v=3%200%20luck")).toBe("0;1;2;luck|runtime_error|nffi_echo\n");
    expect(await nginx.get("/loop?v=30%200%20luck")).toMatch(
      /;29;luck\|runtime_error\|nffi_echo\n$/,
    );
    expect(await nginx.get("/loop?v=x")).toBe("no count|runtime_error\n");
  });

  test("a call of a runtime that streams gets all chunks as one answer", async () => {
    expect(await nginx.get("/call?v=12")).toBe("01234567891011\n");
    expect(await nginx.get("/call?v=3%200%20luck")).toBe("nil|luck|runtime_error|nffi_echo\n");
  });

  test("a stream of a plain answer has one chunk", async () => {
    expect(await nginx.get("/plain")).toBe(
      [
        "whole",
        "nil",
        "nil",
        "",
        "nil|why|runtime_error|nffi_echo",
        "nil|why|runtime_error|nffi_echo",
        "why|runtime_error|nffi_echo",
        "",
      ].join("\n"),
    );
  });

  test("runtime.streams decodes each chunk by the codec", async () => {
    expect(await nginx.get("/streams")).toBe(
      [
        "1;2;3;4;5;nil|no count|runtime_error",
        "0;1;cannot decode a chunk: no twos|codec_error",
        "",
      ].join("\n"),
    );
  });

  test("a loop that is broken off, or closed, stops the runtime", async () => {
    const waiting = nginx.get("/broken-off?s=5");
    await allOver();
    expect(await nginx.get("/broken-off")).toBe("left\n");
    expect(await nginx.get("/close")).toBe(
      [
        "01 nil|the stream is closed|closed",
        "nil|another coroutine reads the stream|busy",
        "true|nil|the stream is closed|closed",
        "the stream is closed|closed",
        "",
      ].join("\n"),
    );
    expect(await waiting).toBe("left\n");
    await nginx.get("/collected");
  });

  test("a read that takes too long ends the stream", async () => {
    expect(await nginx.get("/timeout")).toMatch(
      /^(nil\|method "sleep": the runtime ".*" has not sent a chunk within 20 ms\|timeout\n){2}after\n$/,
    );
    await allOver();
  });

  test("killing the thread that reads ends the stream", async () => {
    expect(await nginx.get("/kill")).toBe("nil|the stream is closed|closed\n");
    await allOver();
  });

  test("works in a timer, and is refused where nothing can wait", async () => {
    expect(await nginx.get("/timer")).toBe("50\n");
    const { headers } = await nginx.request("/refused");
    expect(headers["x-refused"]).toBe(
      `wrong_phase: the runtime "libnffi_echo.so" cannot be called here: API disabled in the context of ` +
        "header_filter_by_lua*; call it in access_by_lua* or content_by_lua*, or from ngx.timer.at()",
    );
  });

  test("misuse is reported", async () => {
    const text = await nginx.get("/misuse");
    expect(text.split("\n")).toEqual([
      expect.stringContaining("payload must be a string, got table"),
      expect.stringContaining('unknown option "windows"; did you mean "window"?'),
      expect.stringContaining("window must be bytes from 1 to 1073741824, got 0"),
      expect.stringContaining("timeout must be milliseconds, got x"),
      expect.stringContaining("options must be a table, got number"),
      expect.stringContaining("call it as runtime:stream()"),
      expect.stringMatching(/^nil\|the runtime ".*" is closed\|closed$/),
      "",
    ]);
    expect(text.split("\n").slice(0, 6).join("\n")).not.toMatch(/resty\/nffi/);
  });

  test("an error that nobody reads is logged once, with its request", async () => {
    const logged = async (how: string) => {
      const before = nginx.errorLog().length;
      expect(await nginx.get(`/unread?how=${how}`)).toContain(`${how}\n`);
      expect(await nginx.get("/loop?v=1")).toBe("0;\n");
      const added = nginx.errorLog().slice(before).split("\n");
      // others may be collected meanwhile
      return added.filter((line) => /(error was not read|collected).*GET .unread/.test(line));
    };
    const line = (text: string) =>
      expect.stringMatching(
        new RegExp(
          `\\[warn\\] .*nffi: runtime ".*libnffi_echo\\.so.*": a stream failed, and its error was not read: ${text}.*, client: 127.0.0.1, .*"GET /unread`,
        ),
      );
    expect(await logged("loop")).toEqual([line('method "count": luck \\(runtime_error\\)')]);
    expect(await logged("never")).toEqual([line("why \\(runtime_error\\)")]);
    expect(await logged("ended")).toEqual([line("why \\(runtime_error\\)")]);
    expect(await logged("lost")).toEqual([line('method "count": luck \\(runtime_error\\)')]);
    expect(await logged("closed")).toEqual([line("the runtime .* is closed \\(closed\\)")]);
    expect(await logged("codec")).toEqual([
      line('method "count": cannot encode the payload: .* \\(codec_error\\)'),
    ]);
    const [first, second] = await logged("collected");
    expect(first).toEqual(line('method "count": luck \\(runtime_error\\)'));
    expect(second).toContain("collected already");
    expect(await logged("read")).toEqual([]);
    expect(await logged("error")).toEqual([]);
  });

  test("no call is lost beside a stream that is not read", async () => {
    expect(await nginx.get("/beside")).toBe("0 lost\n");
    await allOver();
  });

  test("a stream ends with its request, and is of no use to another", async () => {
    expect(await nginx.get("/kept")).toBe("0\n");
    await allOver();
    expect(await nginx.get("/foreign")).toBe("nil|the stream is closed|closed\n");
  });

  test("a slow client stops the runtime, costs little memory, and is served to the end", async () => {
    const [worker] = nginx.workers() as [number];
    const before = await counted();
    const memory = residentKb(worker);
    const client = slowClient(nginx.port, "/flood");
    // it continues until the buffers of the sockets are full, then nothing moves
    let last = -1;
    await until(
      async () => {
        const now = await counted();
        const still = now === last && now > before;
        last = now;
        await new Promise((resolve) => setTimeout(resolve, 300));
        return still;
      },
      30_000,
      () => `the runtime goes on: ${last - before} chunks`,
    );
    // of 1.3 GB
    expect(last - before).toBeLessThan(500);
    expect(residentKb(worker) - memory).toBeLessThan(20_000);
    expect(await nginx.get("/loop?v=2")).toBe("0;1;\n");

    let bytes = 0;
    client.on("data", (data) => {
      bytes += data.length;
    });
    client.resume();
    await new Promise((resolve) => client.on("close", resolve));
    expect(bytes).toBeGreaterThan(20_000 * 65_536);
    expect((await counted()) - before).toBe(20_002);
    // AddressSanitizer keeps what was freed for a while
    if (flavor === "release") expect(residentKb(worker) - memory).toBeLessThan(30_000);
  });

  test("a client that goes stops the runtime", async () => {
    const before = await counted();
    const client = slowClient(nginx.port, "/flood");
    await until(
      async () => (await counted()) > before + 8,
      10_000,
      () => "it does not begin",
    );
    client.destroy();
    await allOver();
    expect((await counted()) - before).toBeLessThan(20_000);
    expect(nginx.errorLog()).not.toContain("client_gone");
  });
});
