// Deadlines and cancellation in a real nginx, of a native runtime and of one in Node: the caller
// gets nil and the reason immediately, the runtime is notified and can ask, a queued task is never
// started, and a late response is freed. The runtimes are witnesses: they record their requests and
// observations.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { nativeRuntime } from "../support/native-runtime.js";
import { type Nginx, startNginx, startNginxForTest } from "../support/nginx.js";
import { builtOpenresty, suites } from "../support/openresty.js";

/** The same as test/fixtures/runtimes/witness.c. */
const WITNESS = `
const held = [], started = [], notified = [];
export const hold = (name, { signal }) => {
  started.push(name);
  signal.addEventListener("abort", () => { notified.push(name); console.log("witness: notified of " + name); });
  return new Promise((done) => held.push({ name, signal, done }));
};
export const release = () => { for (const { name, done } of held.splice(0)) done(name); return ""; };
export const block = (ms) => { const end = Date.now() + Number(ms); while (Date.now() < end); return ms; };
export const mark = (name) => { started.push(name); return name; };
export const deadline = (_, context) =>
  context.deadline === undefined ? "none" : String(Math.floor(context.deadline - Date.now()));
export const overrun = async (_, { deadline }) => {
  await new Promise((done) => setTimeout(done, deadline - Date.now() + 1));
  throw new Error("deadline exceeded");
};
export const report = () =>
  "started: " + started.join(" ") + "; notified: " + notified.join(" ") +
  "; asked: " + held.map(({ name, signal }) => name + "=" + Number(signal.aborted)).join(" ") + "; refused: 0";
`;

const LUA = `
local nffi = require "resty.nffi"
local _M = {}

-- \`timeout\`: the default of the runtime; the same runtime, whatever it is
function _M.load(timeout)
    if ngx.var.arg_kind == "native" then
        return assert(nffi.load("WITNESS", { timeout = timeout }))
    end
    return assert(nffi.load("node", { module = "witness.mjs", timeout = timeout }))
end

-- keeps the event loop for as many seconds
function _M.busy(seconds)
    local begin = os.clock()
    repeat until os.clock() - begin > seconds
end

-- returns when the runtime has begun the call \`name\`
function _M.wait_for_start(rt, name)
    for _ = 1, 1000 do
        if rt.methods:report():find(name, 1, true) then return end
        ngx.sleep(0.01)
    end
end

-- the runtime answers a call whose coroutine may be gone, when it was notified
function _M.late()
    local rt, notified = _M.load(), "notified:.*" .. ngx.var.arg_name:gsub("-", "%%-") .. ".*asked"
    collectgarbage()
    for _ = 1, 100 do
        if rt.methods:report():find(notified) then break end
        ngx.sleep(0.01)
    end
    rt.methods:release()
    ngx.sleep(0.02)
    ngx.print("late")
end

function _M.show(...)
    local t = { ... }
    for i = 1, select("#", ...) do t[i] = tostring(t[i]) end
    return table.concat(t, "|")
end

return _M
`;

function location(path: string, code: string, directives = ""): string {
  return `location = ${path} { ${directives}
    content_by_lua_block {
      local lib = require "lib"
      local show, busy, rt, name = lib.show, lib.busy, lib.load(), ngx.var.arg_name
      local function started(name) lib.wait_for_start(rt, name) end
      ${code}
    } }`;
}

/** Ways to cancel a waiting call; each ends its request. */
const SERVER = [
  location("/report", `ngx.print(rt.methods:report())`),
  location("/release", `ngx.print(rt.methods:release())`),
  location(
    "/state",
    `local s = rt:state() ngx.print(s.awaited, " ", s.unanswered, " ", s.refused)`,
  ),
  location(
    "/deadline",
    `ngx.print(rt.methods:deadline("", { timeout = tonumber(ngx.var.arg_ms) }))`,
  ),
  location(
    "/overrun",
    `rt.methods:mark("is there")
     local thread = ngx.thread.spawn(function() return rt.methods:overrun("", { timeout = 100 }) end)
     -- a turn of the event loop that is long makes nginx's timers late
     local begin = os.clock()
     repeat until os.clock() - begin > 0.05
     ngx.print(show(ngx.thread.wait(thread)))`,
  ),
  // in the same turn of the event loop, while the first response keeps the worker busy
  location(
    "/late",
    `rt.methods:mark("is there")
     ngx.thread.spawn(function() rt.methods:mark("first") busy(0.4) end)
     local late = ngx.thread.spawn(function() return rt.methods:overrun("", { timeout = 100 }) end)
     ngx.print(show(ngx.thread.wait(late)))`,
  ),
  location(
    "/early",
    `rt.methods:mark("is there")
     busy(0.8)
     -- the event loop goes round before the answer comes
     ngx.thread.spawn(function() for _ = 1, 10 do ngx.sleep(0.001) end end)
     ngx.print(show(rt.methods:block("20", { timeout = 700 })))`,
  ),
  location(
    "/in_time",
    `rt.methods:mark("is there")
     local threads, first, good = {}, true, 0
     for i = 1, 700 do
         threads[i] = ngx.thread.spawn(function()
             local result, message, code = rt.methods:deadline("", { timeout = 500 })
             if first then first = false busy(1) end
             good = good + (result and 1 or 0)
         end)
     end
     for i = 1, #threads do ngx.thread.wait(threads[i]) end
     ngx.print(good)`,
  ),
  location(
    "/default",
    `local short = lib.load(60)
     ngx.say(short.methods:deadline(""))
     ngx.say(short.methods:deadline("", { timeout = 0 }))
     ngx.say(short.methods:deadline("", { timeout = 5000 }))
     local begin = ngx.now()
     ngx.say(show(short.methods:hold(name)))
     ngx.update_time()
     ngx.say(ngx.now() - begin < 5)
     ngx.say(show(short:call('"' .. name .. '"', { method = "hold" })))`,
  ),
  location("/hold", `ngx.print(show(rt.methods:hold(name)))`),
  // calls of one timeout share a timer, others have their own
  location(
    "/together",
    `local order, threads = {}, {}
     local function hold(i, timeout)
         threads[i] = ngx.thread.spawn(function()
             local result, _, code = rt.methods:hold("t" .. i, { timeout = timeout })
             order[#order + 1] = i .. ":" .. tostring(result or code)
         end)
     end
     hold(1, 150)
     for i = 2, 4 do hold(i, 60) end
     for i = 5, 8 do hold(i, 150) end
     hold(9, 30000)
     ngx.thread.kill(threads[5])
     for _, i in ipairs({ 1, 2, 3, 4, 6, 7, 8 }) do ngx.thread.wait(threads[i]) end
     -- the first of the list is gone: one that comes now is not late, nor early
     hold(10, 40)
     ngx.thread.wait(threads[10])
     rt.methods:release()
     ngx.thread.wait(threads[9])
     ngx.print(table.concat(order, " "))`,
  ),
  location("/hold_checked", `ngx.print(show(rt.methods:hold(name)))`, "lua_check_client_abort on;"),
  location(
    "/timeout",
    `rt.methods:report() -- the process has started
     ngx.print(show(rt.methods:hold(name, { timeout = 50 })))`,
  ),
  location(
    "/kill",
    `local thread = ngx.thread.spawn(function() return rt.methods:hold(name) end)
     started(name)
     ngx.print(show(ngx.thread.kill(thread)))`,
  ),
  location(
    "/kill_coroutine",
    `local thread = ngx.thread.spawn(function()
         return coroutine.wrap(function() return coroutine.wrap(function() return rt.methods:hold(name) end)() end)()
     end)
     started(name)
     ngx.print(show(ngx.thread.kill(thread)))`,
  ),
  // one that has yielded to its parent before
  location(
    "/kill_resumed",
    `local thread = ngx.thread.spawn(function()
         local inner = coroutine.create(function() coroutine.yield() return rt.methods:hold(name) end)
         coroutine.resume(inner)
         return coroutine.resume(inner)
     end)
     started(name)
     ngx.print(show(ngx.thread.kill(thread)))`,
  ),
  // what ends the phase, but not the request, in which a coroutine inside a light thread waits
  ...Object.entries({
    exit: ["access", "ngx.exit(ngx.OK)"],
    exit_rewrite: ["rewrite", "ngx.exit(ngx.OK)"],
    set_uri: ["rewrite", 'ngx.req.set_uri("/ended", true)'],
    exec: ["content", 'ngx.exec("@ended")'],
    error_page: ["access", 'error("on purpose")'],
    status: ["content", "ngx.exit(503)"],
  }).map(
    ([way, [phase, code]]) => `location = /end_${way} {
      error_page 500 503 =200 @ended;
      ${phase}_by_lua_block {
        local lib = require "lib"
        local rt, name = lib.load(), ngx.var.arg_name
        ngx.thread.spawn(function()
            coroutine.wrap(function()
                rt.methods:hold(name)
                ngx.log(ngx.ERR, name, " was resumed")
            end)()
        end)
        lib.wait_for_start(rt, name)
        ${code}
      }
      ${phase === "content" ? "" : `content_by_lua_block { require("lib").late() }`}
    }`,
  ),
  `location @ended { content_by_lua_block { require("lib").late() } }
   location = /ended { content_by_lua_block { require("lib").late() } }`,
  // both are answered in one turn of the event loop, and the first ends the second
  ...["kill", "exit"].map((way) =>
    location(
      `/${way}_answered`,
      `local thread = ngx.thread.spawn(function()
           ngx.sleep(0.01)
           coroutine.wrap(function()
               rt.methods:hold(name .. "-second")
               ngx.log(ngx.ERR, name, " was resumed")
           end)()
       end)
       rt.methods:hold(name .. "-first")
       ngx.print("ended")
       ${way === "kill" ? "ngx.thread.kill(thread) ngx.sleep(0.05)" : "ngx.exit(200)"}`,
    ),
  ),
  location(
    "/exit",
    `ngx.thread.spawn(function() return rt.methods:hold(name) end)
     ngx.thread.spawn(function() started(name) ngx.print("left") ngx.exit(200) end)`,
  ),
  location(
    "/exec",
    `ngx.thread.spawn(function() return rt.methods:hold(name) end)
     started(name)
     ngx.exec("/plain")`,
  ),
  location(
    "/error",
    `ngx.thread.spawn(function() return rt.methods:hold(name) end)
     started(name)
     error("on purpose")`,
  ),
  `location = /plain { return 200 plain; }`,
  location(
    "/queued",
    `-- the runtime is busy, so that all of these stay in its queue
     local busy = ngx.thread.spawn(function() return rt.methods:block("400") end)
     ngx.sleep(0.1)
     local killed = ngx.thread.spawn(function() return rt.methods:mark(name .. "-killed") end)
     local good = ngx.thread.spawn(function() return rt.methods:mark(name .. "-good") end)
     ngx.say(show(rt.methods:mark(name .. "-late", { timeout = 40 })))
     ngx.thread.kill(killed)
     ngx.thread.wait(busy)
     ngx.say(show(ngx.thread.wait(good)))`,
  ),
  location("/mark_checked", `rt.methods:mark(name)`, "lua_check_client_abort on;"),
  location("/block", `rt.methods:block("500")`),
  location(
    "/exiting",
    `assert(ngx.timer.at(0, function()
         ngx.log(ngx.WARN, "call has ended: ", show(rt.methods:hold(name)))
     end))`,
  ),
].join("\n");

const TIMED_OUT =
  /^nil\|method "\w+": the runtime ".*" has not responded within \d+ ms\|timeout\|nil$/;

describe.each(suites)("deadlines and cancellation, %s", (suite) => {
  let nginx: Nginx;

  const start = async (main = "", starter = startNginx) => {
    const prefix = await builtOpenresty(suite);
    const witness = nativeRuntime(prefix, "witness");
    return await starter({
      prefix,
      main,
      files: { "witness.mjs": WITNESS, "lua/lib.lua": LUA.replace("WITNESS", witness) },
      http: 'lua_package_path "@DIR@/lua/?.lua;;";',
      server: SERVER,
    });
  };

  beforeAll(async () => {
    nginx = await start();
  });

  afterAll(async () => {
    await nginx?.stop({ signal: "SIGQUIT" });
  });

  describe.each(["native", "node"])("of a runtime that is %s", (kind) => {
    const get = (path: string, name = "") => nginx.get(`${path}?kind=${kind}&name=${name}`);
    const report = async () => {
      const text = await get("/report");
      const part = (title: string) => new RegExp(`${title}: ?([^;]*)`).exec(text)?.[1]?.split(" ");
      return { started: part("started"), notified: part("notified"), asked: part("asked") };
    };
    /** The call is cancelled; the runtime responds late, and nothing is left of that. */
    const letGo = async () => {
      await get("/release");
      await expect.poll(() => get("/state"), { timeout: 5_000 }).toBe("0 0 0");
    };
    const wasCancelled = async (name: string) => {
      await expect.poll(async () => (await report()).notified, { timeout: 5_000 }).toContain(name);
      const seen = await report();
      expect(seen.started).toContain(name);
      expect(seen.asked).toContain(`${name}=1`);
      expect(await get("/state")).toMatch(/^0 [1-9]/);
      await letGo();
    };

    test("a runtime that fails when the time is over is no faster than the timeout", async () => {
      for (let n = 0; n < 5; n++) {
        expect(await get("/overrun")).toMatch(/^true\|nil\|.* within 100 ms\|timeout\|nil$/);
      }
      // the runtime may be the slower one
      await expect.poll(() => get("/state"), { timeout: 5_000 }).toBe("0 0 0");
    });

    test("nor is it in a worker that was busy when the time was over", async () => {
      expect(await get("/late")).toMatch(/^true\|nil\|.* within 100 ms\|timeout\|nil$/);
    });

    test("the time of a call begins with it, however busy the worker was before", async () => {
      expect(await get("/early")).toBe("20");
    });

    test("an answer that came in time is delivered, however busy the worker is", async () => {
      expect(await get("/in_time")).toBe("700");
    });

    test("the runtime sees the deadline of the call, or that there is none", async () => {
      const left = Number(await nginx.get(`/deadline?kind=${kind}&ms=9000`));
      expect(left).toBeGreaterThan(7000);
      // Date.now() is rounded down, the deadline up
      expect(left).toBeLessThanOrEqual(9001);
      // the default, for a runtime that sets none
      const byDefault = Number(await get("/deadline"));
      expect(byDefault).toBeGreaterThan(58_000);
      expect(byDefault).toBeLessThanOrEqual(60_001);
      expect(await nginx.get(`/deadline?kind=${kind}&ms=0`)).toBe("none");
    });

    test("a runtime has a default, which a call may change or lift", async () => {
      const name = `${kind}-default`;
      const [short, none, long, first, quick, second] = (await get("/default", name)).split("\n");
      expect(Number(short)).toBeLessThan(100);
      expect(none).toBe("none");
      expect(Number(long)).toBeGreaterThan(3000);
      expect([first, quick, second]).toEqual([
        expect.stringMatching(TIMED_OUT),
        "true",
        expect.stringMatching(TIMED_OUT),
      ]);
      await wasCancelled(name);
    });

    test("calls of equal and of other timeouts each time out in their turn", async () => {
      expect(await get("/together", `${kind}-together`)).toBe(
        "2:timeout 3:timeout 4:timeout 1:timeout 6:timeout 7:timeout 8:timeout 10:timeout 9:t9",
      );
    });

    test.each([
      ["its timeout", "/timeout", TIMED_OUT],
      ["ngx.thread.kill", "/kill", /^1$/],
      ["ngx.thread.kill of a thread whose coroutine waits", "/kill_coroutine", /^1$/],
      ["ngx.thread.kill of a thread whose coroutine was resumed", "/kill_resumed", /^1$/],
      ["ngx.exit in another light thread", "/exit", /^left$/],
      ["ngx.exec in another light thread", "/exec", /^plain$/],
    ])("the runtime is notified of a call that %s ends", async (_, path, body) => {
      const name = `${kind}-${path.slice(1)}`;
      expect(await get(path, name)).toMatch(body);
      await wasCancelled(name);
    });

    test.each(["exit", "exit_rewrite", "set_uri", "exec", "error_page", "status"])(
      "the runtime is notified of a call inside a light thread that the end of the phase ends, by %s",
      async (way) => {
        const name = `${kind}-end-${way}`;
        expect(await get(`/end_${way}`, name)).toBe("late");
        const { notified } = await report();
        expect(notified).toContain(name);
        await expect.poll(() => get("/state"), { timeout: 5_000 }).toBe("0 0 0");
        expect(nginx.errorLog()).not.toContain(`${name} was resumed`);
      },
    );

    test.each(["kill", "exit"])(
      "a coroutine whose answer came is not resumed after ngx.%s",
      async (way) => {
        const name = `${kind}-${way}-answered`;
        const body = get(`/${way}_answered`, name);
        await expect.poll(async () => (await report()).started).toContain(`${name}-second`);
        await letGo();
        expect(await body).toBe("ended");
        expect(await get("/state")).toBe("0 0 0");
        expect(nginx.errorLog()).not.toContain(`${name} was resumed`);
        expect(nginx.errorLog()).not.toContain("exited on signal");
      },
    );

    test("the runtime is notified of a call that an error in another light thread ends", async () => {
      const name = `${kind}-error`;
      expect((await nginx.request(`/error?kind=${kind}&name=${name}`)).status).toBe(500);
      await wasCancelled(name);
    });

    const abandon = async (path: string, name: string) => {
      const signal = AbortSignal.timeout(100);
      const gone = await nginx
        .request(`${path}?kind=${kind}&name=${name}`, { signal })
        .catch(() => "gone");
      expect(gone).toBe("gone");
    };

    test("the runtime is notified of a disconnected client with lua_check_client_abort", async () => {
      const name = `${kind}-gone`;
      await abandon("/hold_checked", name);
      await wasCancelled(name);
    });

    test("without lua_check_client_abort nginx does not notice, and nothing is left", async () => {
      const name = `${kind}-unnoticed`;
      await abandon("/hold", name);
      const seen = await report();
      expect(seen.notified).not.toContain(name);
      expect(seen.asked).toContain(`${name}=0`);
      expect(await get("/state")).toMatch(/^1 1 /);
      await letGo();
    });

    test("a task that is cancelled while it is queued is never started", async () => {
      const name = `${kind}-queued`;
      const [timedOut, good] = (await get("/queued", name)).split("\n");
      expect(timedOut).toMatch(TIMED_OUT);
      expect(good).toBe(`true|${name}-good`);
      const { started } = await report();
      expect(started).toContain(`${name}-good`);
      expect(started).not.toContain(`${name}-killed`);
      expect(started).not.toContain(`${name}-late`);
      expect(await get("/state")).toBe("0 0 0");
    });

    test("so is one whose client goes while it is queued", async () => {
      const name = `${kind}-gone-queued`;
      const busy = get("/block");
      await expect.poll(() => get("/state"), { timeout: 5_000 }).toMatch(/^1 1/);
      await abandon("/mark_checked", name);
      await busy;
      expect((await report()).started).not.toContain(name);
      expect(await get("/state")).toBe("0 0 0");
    });

    test("an exiting worker ends waiting calls after the grace period, and the runtime is notified", async () => {
      const leaving = await start("worker_shutdown_timeout 1s;", startNginxForTest);
      const name = `${kind}-exiting`;
      const args = `kind=${kind}&name=${name}`;
      await leaving.get(`/exiting?${args}`);
      const report = () => leaving.get(`/report?${args}`);
      await expect.poll(report, { timeout: 10_000 }).toContain(name);
      const held = leaving.get(`/hold?${args}-client`).catch(() => undefined);
      await expect.poll(report, { timeout: 10_000 }).toContain(`${name}-client`);
      leaving.signal("SIGQUIT");
      await leaving.waitForLog(
        /call has ended: nil\|(method "\w+": )?the worker exits and .*\|exiting\|nil/,
      );
      // threads live until the worker has ended; a process is ended with it
      const notified = [`witness: notified of ${name}-client`, `witness: notified of ${name}\n`];
      if (kind === "native") for (const line of notified) await leaving.waitForLog(line);
      // nginx closes the connection only later, so that the handler can answer
      expect(await held).toMatch(/^nil\|(method "\w+": )?the worker exits and .*\|exiting\|nil$/);
      const log = leaving.errorLog();
      // throws when a process is left
      await leaving.stop({ signal: "SIGQUIT" });
      expect(log).not.toMatch(/exited on signal/);
    });

    test("so it is when a client's call was the last that kept the worker", async () => {
      const leaving = await start("worker_shutdown_timeout 1s;", startNginxForTest);
      const args = `kind=${kind}&name=${kind}-last`;
      const held = leaving.get(`/hold?${args}`).catch(() => undefined);
      const report = () => leaving.get(`/report?${args}`);
      await expect.poll(report, { timeout: 10_000 }).toContain(`${kind}-last`);
      leaving.signal("SIGQUIT");
      expect(await held).toMatch(/^nil\|(method "\w+": )?the worker exits and .*\|exiting\|nil$/);
      if (kind === "native") await leaving.waitForLog(`witness: notified of ${kind}-last`);
      await leaving.stop({ signal: "SIGQUIT" });
    });
  });
});
