// The common part of all SDKs, docs/sdk.md: one table for all six languages and both ways of
// hosting. The fixtures in test/sdk/<language>/fixtures/agreement have the same methods; the same
// call has the same result in each.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Nginx, startNginx } from "../../support/nginx.js";
import { builtOpenresty } from "../../support/openresty.js";
import {
  ALL_RUNTIMES,
  buildFixtureRuntimes,
  type FixtureRuntimes,
  SDK_RUNTIMES,
} from "./fixture-runtimes.js";

/** Python with an event loop takes cancellations in another way. */
const RUNTIMES = [...ALL_RUNTIMES, "python-loop"];

const CONFIG = { region: "eu", sizes: [1, 2.5] };

/** `rt`, `request` (of the argument), `bytes` and `show` are at hand. */
const location = (path: string, code: string) => `location = ${path} { content_by_lua_block {
  local json = require "resty.nffi.json_encode"
  local decode = require("resty.nffi.json_decode").decode
  local rt = require("agreement")(ngx.var.arg_runtime)
  local bytes = ngx.unescape_uri(ngx.var.arg_request or "null")
  local request = decode(bytes)
  local function show(...)
    local results = {}
    for i = 1, select("#", ...) do results[i] = select(i, ...) or ngx.null end
    ngx.print(json.canonical(setmetatable(results, require("resty.nffi").array_mt)))
  end
  ${code} } }`;

const SERVER = [
  location(
    "/call",
    `show(rt.methods[ngx.var.arg_method](rt.methods, request, { timeout = tonumber(ngx.var.arg_timeout) }))`,
  ),
  location(
    "/call-bytes",
    `local body, message, code = rt:call(bytes, { method = ngx.var.arg_method, timeout = 110000 })
     show(body and (#body < 1000 and body or #body), message, code)`,
  ),
  location(
    "/stream",
    `local values, stream = {}, rt.streams[ngx.var.arg_method](rt.streams, request)
     for value in stream do values[#values + 1] = value end
     show(setmetatable(values, require("resty.nffi").array_mt), stream:error())`,
  ),
  location(
    "/stream-bytes",
    `local chunks, stream = {}, rt:stream(bytes, { method = ngx.var.arg_method })
     for chunk in stream do chunks[#chunks + 1] = chunk end
     show(setmetatable(chunks, require("resty.nffi").array_mt), stream:error())`,
  ),
  // a thread makes the call and is killed, as with a client that disconnects
  location(
    "/cancel",
    `local function record()
       return assert(rt.methods:record(request))
     end
     local function until_record(is_there)
       for _ = 1, 500 do
         local seen = record()
         if is_there(seen) then return seen end
         ngx.sleep(0.01)
       end
       return record()
     end
     local timeout = tonumber(ngx.var.arg_timeout)
     local result
     local thread = ngx.thread.spawn(function()
       local value, _, code = rt.methods:wait(request, { timeout = timeout })
       result = code or value
     end)
     until_record(function(seen) return seen ~= ngx.null end)
     if ngx.var.arg_kill then ngx.thread.kill(thread) else ngx.thread.wait(thread) end
     show(result, until_record(function(seen) return seen ~= ngx.null and seen.done end))`,
  ),
  // each failure in each way, with other calls between them
  location(
    "/odd",
    `local ways, threads = { "fail_oddly", "fail_inline", "fail_late" }, {}
     local function begin(method, name)
       threads[#threads + 1] = ngx.thread.spawn(function()
         local value, message, code = rt.methods[method](rt.methods, name, { timeout = 60000 })
         return { method, name, value == nil and ngx.null or value, type(message), code or ngx.null }
       end)
     end
     for _, name in ipairs(assert(rt.methods:odd_failures())) do
       for _, way in ipairs(ways) do begin(way, name) begin("echo", name) end
     end
     local results = {}
     for i, thread in ipairs(threads) do results[i] = select(2, ngx.thread.wait(thread)) end
     show(results)`,
  ),
  location(
    "/odd-actions",
    `local thread = ngx.thread.spawn(rt.methods.fail_actions, rt.methods, request)
     for _ = 1, 500 do
       if rt.methods:record(request) ~= ngx.null then break end
       ngx.sleep(0.01)
     end
     ngx.thread.kill(thread)
     local seen
     for _ = 1, 1000 do
       seen = assert(rt.methods:record(request))
       if seen ~= ngx.null and seen.done then break end
       ngx.sleep(0.01)
     end
     show(seen)`,
  ),
].join("\n");

let nginx: Nginx;
let runtimes: FixtureRuntimes;

beforeAll(async () => {
  const prefix = await builtOpenresty();
  const c = "test/sdk/c/fixtures/agreement/agreement.c";
  runtimes = buildFixtureRuntimes(prefix, "agreement", c);
  const lua = `local nffi = require "resty.nffi"
    local decode = require("resty.nffi.json_decode").decode
    local loads = ${runtimes.lua}
    local config = decode('${JSON.stringify(CONFIG)}')
    return function(name)
      if name == "python-loop" then return assert(loads.python({ has_loop = true })) end
      return assert(loads[name](config))
    end`;
  nginx = await startNginx({
    prefix,
    logLevel: "debug",
    http: `lua_package_path "$prefix?.lua;;";`,
    files: { "agreement.lua": lua },
    server: SERVER,
  });
});

afterAll(async () => {
  await nginx?.stop();
  runtimes?.remove();
});

type Query = Readonly<Record<string, string | number>>;

async function ask(path: string, runtime: string, query: Query, request?: unknown) {
  const all = {
    runtime,
    ...query,
    ...(request !== undefined && { request: JSON.stringify(request) }),
  };
  const text = await nginx.get(`${path}?${new URLSearchParams(all as Record<string, string>)}`);
  return JSON.parse(text);
}

/** [title, path, method, request, the results in Lua]. */
const ROWS: readonly (readonly [string, string, string, unknown, unknown])[] = [
  [
    "a JSON stream has one value a chunk",
    "/stream",
    "count",
    { n: 3 },
    [[{ n: 1 }, { n: 2 }, { n: 3 }]],
  ],
  [
    "each chunk of a JSON stream is a JSON text and a newline",
    "/stream-bytes",
    "count",
    { n: 2 },
    [['{"n":1}\n', '{"n":2}\n']],
  ],
  ["a stream may be empty", "/stream", "count", { n: 0 }, [[]]],
  ["a plain call gets a list of the values", "/call", "count", { n: 2 }, [[{ n: 1 }, { n: 2 }]]],
  ["of one value", "/call", "count", { n: 1 }, [[{ n: 1 }]]],
  ["of none", "/call", "count", { n: 0 }, [[]]],
  ["as one JSON text", "/call-bytes", "count", { n: 2 }, ['[{"n":1},{"n":2}]', null, null]],
  [
    "an error ends a stream after its values",
    "/stream",
    "count",
    { n: 2, fail: true },
    [[{ n: 1 }, { n: 2 }], "stopped", "runtime_error", "after 2"],
  ],
  [
    "and fails a plain call",
    "/call",
    "count",
    { n: 2, fail: true },
    [null, "stopped", "runtime_error", "after 2"],
  ],
  [
    "a plain call collects large chunks",
    "/call-bytes",
    "flood",
    { chunks: 4, bytes: 2 ** 20 },
    [4 * (2 ** 20 + 3) + 1, null, null],
  ],
  [
    "an error has a message",
    "/call",
    "fail",
    { message: "sold out" },
    [null, "sold out", "runtime_error", null],
  ],
  [
    "a detail",
    "/call",
    "fail",
    { message: "sold out", detail: "shelf 3" },
    [null, "sold out", "runtime_error", "shelf 3"],
  ],
  [
    "or a code",
    "/call",
    "fail",
    { message: "sold out", code: -7 },
    [null, "sold out", "runtime_error", -7],
  ],
  ["the configuration is a value", "/call", "config", null, [CONFIG]],
];

describe.each(ROWS)("%s", (_title, path, method, request, results) => {
  test.each(RUNTIMES)("%s", async (runtime) => {
    const config = runtime === "python-loop" ? [{ has_loop: true }] : results;
    const expected = method === "config" ? config : results;
    expect(await ask(path, runtime, { method }, request)).toEqual(expected);
  });
});

describe.each(RUNTIMES)("%s", (runtime) => {
  test("an exception of the language is an error as well", async () => {
    const [value, message, code] = await ask(
      "/call",
      runtime,
      { method: "throws" },
      {
        message: "no luck",
      },
    );
    expect([value, code]).toEqual([null, "runtime_error"]);
    expect(message).toContain("no luck");
  });

  // The chunks are texts with quotes, and a list has a bracket or a comma before each.
  test("a plain call collects at most 64 MiB, to the byte", async () => {
    const flood = (chunks: number) =>
      ask("/call-bytes", runtime, { method: "flood" }, { chunks, bytes: 2 ** 20 - 3 });
    expect(await flood(63)).toEqual([63 * 2 ** 20 + 1, null, null]);
    const [body, message, code] = await flood(64);
    expect([body, code]).toEqual([null, "runtime_error"]);
    expect(message).toBe(
      "the chunk cannot be sent: too large: a plain call collects at most 64 MiB of chunks " +
        "(read them as a stream), a chunk has at most 1 GiB",
    );
  });

  test("a call has its method, a deadline and the time until then", async () => {
    const [described] = await ask("/call", runtime, { method: "context", timeout: 5000 });
    expect(described).toMatchObject({ method: "context", cancelled: false });
    for (const time of [described.left, described.until]) {
      expect(time).toBeGreaterThan(1000);
      expect(time).toBeLessThanOrEqual(5001);
    }
  });

  test("a call without a timeout has neither", async () => {
    const [described] = await ask("/call", runtime, { method: "context", timeout: 0 });
    expect(described).toMatchObject({ left: null, until: null, cancelled: false });
  });

  test("the handler of a cancelled call is notified", async () => {
    const [, record] = await ask(
      "/cancel",
      runtime,
      { kill: 1, timeout: 20_000 },
      {
        id: `${runtime} killed`,
      },
    );
    expect(record).toMatchObject({ on_cancel: 1, unregistered: 0, cancelled: true, done: true });
    expect(record.left).toBeGreaterThan(1000);
  });

  test("the handler of a call that times out is notified, with no time left", async () => {
    const [result, record] = await ask(
      "/cancel",
      runtime,
      { timeout: 1000 },
      {
        id: `${runtime} late`,
      },
    );
    expect(result).toBe("timeout");
    expect(record).toMatchObject({ on_cancel: 1, unregistered: 0, cancelled: true, done: true });
    // the glue ends a call up to 1 ms early
    expect(record.left).toBeLessThan(1);
  });

  test("a line of the log has its level and the request of the call", async () => {
    await ask("/call", runtime, { method: "log" });
    for (const level of ["error", "warn", "notice", "info"]) {
      const line = `\\[${level}\\] .*as ${level}, client: 127\\.0\\.0\\.1, .*"GET /call\\?runtime=${runtime}&`;
      await nginx.waitForLog(new RegExp(line));
    }
    // nginx writes these lines without a client
    await nginx.waitForLog(/\[debug\] .*as debug$/m);
  });
});

describe.each([...SDK_RUNTIMES, "python-loop"])("%s", (runtime) => {
  test("whatever a handler returns or throws, its call fails and no other", async () => {
    const workers = nginx.workers();
    const [results] = (await ask("/odd", runtime, {})) as [unknown[][]];
    expect(results.length).toBeGreaterThan(20);
    for (const result of results) {
      const [method, name] = result;
      const isOther = method === "echo";
      const end = isOther ? [name, "nil", null] : [null, "string", "runtime_error"];
      expect(result).toEqual([method, name, ...end]);
    }
    expect(nginx.workers()).toEqual(workers);
  });

  test("actions on cancellation that fail keep no other from running", async () => {
    const workers = nginx.workers();
    const [record] = await ask("/odd-actions", runtime, {}, { id: `${runtime} actions` });
    expect(record).toMatchObject({ done: true });
    expect(nginx.workers()).toEqual(workers);
  });
});
