// A mixed load that is all kinds of faults at the same time, for test/e2e/engine-stress.test.ts and
// test/full/soak.test.ts. A seed determines the choices.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type Nginx, type NginxOptions, until } from "./nginx.js";

const CLIENTS = 40;
export const SEED = Number(process.env.NFFI_TEST_SEED ?? Math.floor(Math.random() * 1e9));

const MODULE = `
const wait = (ms) => new Promise((done) => setTimeout(done, ms));
export const slow = async (ms) => { await wait(ms); return ms; };
export const fail = () => { throw new Error("x".repeat(100_000)); };
export const die = () => process.exit(1);
export const heap = () => { gc(); return process.memoryUsage().heapUsed; };
export async function* count({ chunks, size, pause }) {
  for (let i = 0; i < chunks; i++) {
    if (pause) await wait(Math.random() * pause);
    yield String(i).padEnd(size, ".");
  }
}
export default (bytes) => bytes;
`;

const LUA = `
local nffi = require "resty.nffi"
local random = math.random
local counts = ngx.shared.counts
local _M = {}

local function alert(...) ngx.log(ngx.ALERT, "STRESS: ", ...) end

local function node(config)
    return assert(nffi.load("node", { module = "stress.mjs", config = config, node_args = { "--expose-gc" } }))
end

function _M.runtimes()
    return { assert(nffi.load("ECHO", { config = "4" })), node() }
end

local function same(sent, response, message, code)
    if response and response ~= sent then
        alert("answer of another call: ", response:sub(1, 20), " for ", sent:sub(1, 20))
    elseif not response and code ~= "runtime_down" and code ~= "exiting" then
        alert("no answer: ", message)
    end
end

local function stream(rt, in_process)
    local chunks, size = random(0, 40), random(1, 9000)
    local s
    if in_process then
        s = rt.streams:count({ chunks = chunks, size = size, pause = random(3) - 1 }, { timeout = 9000 })
    else
        s = rt:stream(chunks .. " " .. size, { method = "count", timeout = 9000 })
    end
    local most = random(3) == 1 and random(0, chunks) or chunks
    local i = 0
    while i < most do
        local chunk, message, code = s:read()
        if not chunk then
            if code ~= "runtime_down" and code ~= "exiting" then alert("stream: ", message or "too short") end
            return
        end
        if tonumber(chunk:match("^%d+")) ~= i then alert("chunk of another place: ", chunk:sub(1, 20)) end
        if random(10) == 1 then ngx.sleep(random(5) / 1000) end
        i = i + 1
    end
    if most < chunks then
        if random(2) == 1 then return "left" end
        s:close()
    else
        local more, _, code = s:read()
        if more or (code and code ~= "runtime_down" and code ~= "exiting") then alert("stream goes on") end
    end
end

local function closing(value)
    local rt
    if random(30) == 1 then rt = node("closing") else rt = assert(nffi.load("ECHO", { config = "1" })) end
    local response, _, code = rt:call(value, { timeout = 9000 })
    if not (response == value or code == "closed" or code == "runtime_down" or code == "exiting") then
        alert("closing: ", code)
    end
    if random(20) == 1 then
        rt:close()
        counts:incr("closed", 1, 0)
    end
end

local function call(runtimes)
    local which = random(2)
    local rt, in_process = runtimes[which], which == 2
    local what = random(100)
    local value = tostring(random(1e9))

    if random(4) == 1 then ngx.sleep(random(10) / 1000) end

    if what <= 15 then
        local ms = random(50)
        local options = { timeout = random(40) }
        local _, message, code
        if in_process then
            _, message, code = rt.methods:slow(ms, options)
        else
            _, message, code = rt.methods:sleep(tostring(ms), options)
        end
        if code and code ~= "timeout" and code ~= "runtime_down" and code ~= "exiting" then alert(message) end
    elseif what <= 25 then
        local bytes = value:rep(random(30000))
        same(bytes, rt:call(bytes, { timeout = 20000 }))
    elseif what <= 35 then
        local response = rt.methods:fail(value)
        if response then alert("fail has answered") end
    elseif what <= 45 then
        same(value, coroutine.wrap(function() return rt:call(value) end)())
    elseif what == 46 and random(ngx.var.arg_gentle and 5000 or 4) == 1 then
        -- a gentle load: so rarely that the process mostly runs, instead of waiting for its restart
        runtimes[2].methods:die()
    elseif what <= 60 then
        -- It holds a thread of a native runtime until it is collected or its request ends, which
        -- may wait for another stream: some of them would hold up all others.
        if stream(rt, in_process) == "left" then collectgarbage() end
    elseif what <= 64 then
        closing(value)
    else
        same(value, rt:call(value, { timeout = 20000 }))
    end
end

local function once(runtimes)
    counts:incr("begun", 1, 0)
    call(runtimes)
    -- resumed a second time, it would come from here, with something
    local again = select("#", ngx.sleep(random(3) == 1 and 0.001 or 0))
    if again ~= 0 then alert("came back twice") end
    counts:incr("returned", 1, 0)
end

function _M.mix()
    math.randomseed(tonumber(ngx.var.arg_seed))
    local gentle = ngx.var.arg_gentle
    local runtimes, threads = _M.runtimes(), {}
    for i = 1, 5 do threads[i] = ngx.thread.spawn(once, runtimes) end
    if random(3) == 1 and ngx.thread.kill(threads[1]) then counts:incr("killed", 1, 0) end
    if random(6) == 1 and not gentle then return ngx.exit(200) end
    for i = 2, 5 do ngx.thread.wait(threads[i]) end
    ngx.say("done")
end

function _M.state()
    for _, rt in ipairs(_M.runtimes()) do
        local state = rt:state()
        ngx.print(state.awaited, " ", state.unanswered, " ", state.refused, ";")
    end
end

function _M.counts()
    local missing = counts:get("begun") - counts:get("returned") - (counts:get("killed") or 0)
    ngx.print(missing, " of ", counts:get("begun"))
end

function _M.memory()
    collectgarbage() collectgarbage()
    local heap, err = node().methods:heap()
    ngx.print(collectgarbage("count") * 1024, " ", heap or -1, " ", counts:get("closed") or 0,
        " ", err or "")
end

return _M
`;

const BAD =
  /STRESS|violated the queue protocol|AddressSanitizer|ASSERT|worker process \d+ exited (on signal|with code [^0])/;

/** Numbers from 0 to 1 that follow from a seed (mulberry32). */
function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

export interface Seen {
  answered: number;
  aborted: number;
  statuses: Set<number>;
}

/** Clients that ask for mixes until the time is over. */
export async function load(
  nginx: Nginx,
  options: { seconds: number; seed: number; gentle: boolean },
): Promise<Seen> {
  const end = Date.now() + options.seconds * 1000;
  const seen: Seen = { answered: 0, aborted: 0, statuses: new Set() };
  const client = async (_: unknown, number: number) => {
    const random = randomFrom(options.seed + number);
    while (Date.now() < end) {
      const seed = Math.floor(random() * 1e9);
      const goes = random() < 0.2 && !options.gentle;
      const abort = goes ? { signal: AbortSignal.timeout(1 + Math.floor(random() * 30)) } : {};
      try {
        const path = `/mix?seed=${seed}${options.gentle ? "&gentle=1" : ""}`;
        seen.statuses.add((await nginx.request(path, abort)).status);
        seen.answered += 1;
      } catch {
        seen.aborted += 1;
      }
    }
  };
  await Promise.all(Array.from({ length: CLIENTS }, client));
  return seen;
}

export async function untilNothingWaits(nginx: Nginx): Promise<void> {
  let state = "";
  await until(
    async () => {
      state = await nginx.get("/state");
      return state === "0 0 0;0 0 0;";
    },
    20_000,
    () => `calls are left (seed ${SEED}): ${state}`,
  );
}

/** The first of them: one fault may fill the log. */
export function badLines(nginx: Nginx): string[] {
  const lines = nginx.errorLog().split("\n");
  return lines.filter((line) => BAD.test(line)).slice(0, 10);
}

function residentBytes(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  return Number(/^VmRSS:\s*(\d+)/m.exec(status)?.[1]) * 1024;
}

export const mixedLoad = (prefix: string, workers: number): NginxOptions => ({
  prefix,
  workers,
  main: "worker_shutdown_timeout 3s;",
  http: `lua_package_path "@DIR@/lua/?.lua;;"; lua_check_client_abort on;
    lua_shared_dict counts 1m; keepalive_requests 1000000;`,
  files: {
    "stress.mjs": MODULE,
    "lua/stress.lua": LUA.replaceAll("ECHO", join(prefix, "nffi/lib/libnffi_echo.so")),
  },
  server: ["mix", "state", "counts", "memory"]
    .map((name) => `location = /${name} { content_by_lua_block { require("stress").${name}() } }`)
    .join("\n"),
});

export interface Memory {
  /** Bytes of Lua's heap and of Node's. */
  readonly lua: number;
  readonly node: number;
  /** Runtimes that have been closed. */
  readonly closed: number;
  /** Bytes of the worker. */
  readonly resident: number;
  readonly descriptors: number;
}

/** Of one worker, when no call waits. */
export async function measureMemory(nginx: Nginx): Promise<Memory> {
  await untilNothingWaits(nginx);
  // a process that has just died is not there yet
  let answer = "";
  let heaps: number[] = [];
  await until(
    async () => {
      answer = await nginx.get("/memory");
      heaps = answer.split(" ", 3).map(Number);
      return (heaps[1] ?? -1) > 0;
    },
    40_000, // a process that often ends is restarted after 30 s
    () => `no heap of Node: ${answer}`,
  );
  const [worker = 0] = nginx.workers();
  const [lua = 0, node = 0, closed = 0] = heaps;
  const descriptors = readdirSync(`/proc/${worker}/fd`).length;
  return { lua, node, closed, resident: residentBytes(worker), descriptors };
}
