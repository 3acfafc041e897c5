// Everything at once for some seconds: calls of both ways of hosting with timeouts, errors, killed
// threads, clients that go, a process that dies and reloads. No worker may crash, no answer may
// reach another call, and at the end nothing waits.
import { join } from "node:path";
import { expect, test } from "vitest";
import { until, withNginx } from "../support/nginx.js";
import { anySuite, builtOpenresty } from "../support/openresty.js";

const SECONDS = 6;
const CLIENTS = 60;

const MODULE = `
const wait = (ms) => new Promise((done) => setTimeout(done, ms));
export const slow = async (ms) => { await wait(ms); return ms; };
export const fail = () => { throw new Error("x".repeat(100_000)); };
export const die = () => process.exit(1);
export default (bytes) => bytes;
`;

const LUA = `
local nffi = require "resty.nffi"
local random = math.random
local _M = {}

function _M.runtimes()
    return { assert(nffi.load("ECHO", { config = "4" })),
             assert(nffi.load("node", { module = "stress.mjs" })) }
end

local function same(reply, sent)
    if reply and reply ~= sent then
        ngx.log(ngx.ALERT, "answer of another call: ", reply:sub(1, 20), " for ", sent:sub(1, 20))
    end
end

local function call(runtimes)
    local which = random(2)
    local rt, in_process = runtimes[which], which == 2
    local what = random(100)
    local value = tostring(random(1e9))

    if what <= 15 then
        local ms = random(50)
        local options = { timeout = random(40) }
        if in_process then return rt.methods:slow(ms, options) end
        return rt.methods:sleep(tostring(ms), options)
    elseif what <= 25 then
        local bytes = value:rep(random(30000))
        same(rt:call(bytes), bytes)
    elseif what <= 35 then
        return rt.methods:fail(value)
    elseif what <= 45 then
        same(coroutine.wrap(function() return rt:call(value) end)(), value)
    elseif what == 46 and random(4) == 1 then
        return runtimes[2].methods:die()
    else
        same(rt:call(value, { timeout = 5000 }), value)
    end
end

function _M.mix()
    local runtimes, threads = _M.runtimes(), {}
    for i = 1, 5 do threads[i] = ngx.thread.spawn(call, runtimes) end
    if random(3) == 1 then ngx.thread.kill(threads[1]) end
    if random(6) == 1 then return ngx.exit(200) end
    for i = 2, 5 do ngx.thread.wait(threads[i]) end
    ngx.say("done")
end

function _M.state()
    for _, rt in ipairs(_M.runtimes()) do
        local state = rt:state()
        ngx.print(state.awaited, " ", state.unanswered, " ", state.refused, ";")
    end
end

return _M
`;

test("calls, timeouts, kills, aborts, deaths and reloads together harm no worker", async () => {
  const prefix = await builtOpenresty(anySuite);
  const options = {
    prefix,
    workers: 2,
    main: "worker_shutdown_timeout 3s;",
    http: 'lua_package_path "@DIR@/lua/?.lua;;"; lua_check_client_abort on;',
    files: {
      "stress.mjs": MODULE,
      "lua/stress.lua": LUA.replace("ECHO", join(prefix, "nffi/lib/libnffi_echo.so")),
    },
    server: `
      location = /mix { content_by_lua_block { require("stress").mix() } }
      location = /state { content_by_lua_block { require("stress").state() } }
    `,
  };
  await withNginx(options, async (nginx) => {
    const end = Date.now() + SECONDS * 1000;
    const seen = { answered: 0, aborted: 0, statuses: new Set<number>() };
    const client = async () => {
      while (Date.now() < end) {
        const signal =
          Math.random() < 0.2
            ? { signal: AbortSignal.timeout(1 + Math.floor(Math.random() * 30)) }
            : {};
        try {
          seen.statuses.add((await nginx.request("/mix", signal)).status);
          seen.answered += 1;
        } catch {
          seen.aborted += 1;
        }
      }
    };
    const reload = setInterval(() => nginx.signal("SIGHUP"), 1500);
    await Promise.all(Array.from({ length: CLIENTS }, client));
    clearInterval(reload);

    expect(seen.answered).toBeGreaterThan(500);
    expect(seen.aborted).toBeGreaterThan(50);
    expect([...seen.statuses]).toEqual([200]);
    for (let i = 0; i < 8; i++) {
      let state = "";
      await until(
        async () => {
          state = await nginx.get("/state");
          return state === "0 0 0;0 0 0;";
        },
        10_000,
        () => `calls are left: ${state}`,
      );
    }
    const bad = /broke the rules|answer of another call|exited on signal|AddressSanitizer|ASSERT/;
    expect(
      nginx
        .errorLog()
        .split("\n")
        .filter((line) => bad.test(line)),
    ).toEqual([]);
  });
}, 120_000);
