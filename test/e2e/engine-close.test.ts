// Closing a runtime returns descriptors, maps and memory, for libraries, Go, Python and Java
// in the worker, and processes. NFFI_TEST_CYCLES=10000 is the long run.
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { buildGoRuntime, type GoRuntime } from "../sdk/go/go-runtime.js";
import { JavaClasses } from "../sdk/java/java-runtime.js";
import { systemPython } from "../sdk/python/python.js";
import { nativeProgram, nativeRuntime } from "../support/native-runtime.js";
import { type Nginx, startNginx, until } from "../support/nginx.js";
import { builtOpenresty } from "../support/openresty.js";

const CYCLES = Number(process.env.NFFI_TEST_CYCLES ?? 300);

/**
 * Loads, calls once and closes; then returns what the worker has more than after a warm-up.
 *
 * A language that allocates once, or frees later, seems to leak if it does so between two
 * measurements. So this comes before the first one: Go opens its epoll and an eventfd with the
 * first timer, and Java's collector unloads classes when it is called. Java's compilers are off:
 * they allocate when they have time. Where a language may still allocate once, a round that grows
 * is followed by two more: a leak grows in each.
 */
const CYCLE_LUA = `
local ffi = require "ffi"
local nffi = require "resty.nffi"
-- traces and their machine code would count
jit.off()
ffi.cdef [[
struct nffi_test_mallinfo { size_t arena, ordblks, smblks, hblks, hblkhd, usmblks, fsmblks,
    uordblks, fordblks, keepcost; };
struct nffi_test_mallinfo mallinfo2(void);
long readlink(const char *path, char *to, size_t size);
int dup(int fd);
void *malloc(size_t size);
]]

local PATH = ffi.new("char[256]")

-- by name, without the number of a socket or pipe
local function descriptors()
    local found = {}
    for fd = 0, 4095 do
        local size = tonumber(ffi.C.readlink("/proc/self/fd/" .. fd, PATH, 256))
        if size > 0 then
            local name = ffi.string(PATH, size):gsub(":%[%d+%]$", "")
            found[name] = (found[name] or 0) + 1
        end
    end
    return found
end

local function measure(collect)
    if collect then collect() end
    collectgarbage() collectgarbage()
    ngx.sleep(0.01)
    local found = { fds = descriptors(), maps = 0 }
    for line in io.lines("/proc/self/maps") do found.maps = found.maps + 1 end
    collectgarbage() collectgarbage()
    local info = ffi.C.mallinfo2()
    found.bytes = tonumber(info.uordblks + info.hblkhd) + collectgarbage("count") * 1024
    return found
end

-- the least of some moments: what a slow thread returns later would hide a leak
local function measure_least(collect)
    local least = measure(collect)
    for _ = 1, 6 do
        ngx.sleep(0.05)
        local now = measure(collect)
        for name, count in pairs(least.fds) do
            least.fds[name] = math.min(count, now.fds[name] or 0)
        end
        least.maps = math.min(least.maps, now.maps)
        least.bytes = math.min(least.bytes, now.bytes)
    end
    return least
end

local function new_descriptors(after, before)
    local found = {}
    for name, count in pairs(after.fds) do
        local more = count - (before.fds[name] or 0)
        if more > 0 then found[#found + 1] = more .. " " .. name end
    end
    table.sort(found)
    return table.concat(found, ", ")
end

local KINDS = {
    library = function() return nffi.load("@ECHO@", { config = "2" }) end,
    changing = function(i) return nffi.load("@ECHO@", { config = tostring(i % 3 + 1), arena = 65536 }) end,
    descriptor = function(i) return nffi.load("@WITNESS@", { config = tostring(i) }) end,
    public = function(i) return ngx.load_ffi("@WITNESS@", tostring(i)) end,
    failing = function(i) return nffi.load("@ECHO@", { config = "bad" .. i }) end,
    process = function(i)
        return nffi.load("process", { program = "@BRIEF@", config = { number = i }, max_queue = 16,
            arena = 65536 })
    end,
    python = function(i)
        return nffi.load("python", { module = "app.py", host = "worker", program = "@PYTHON@",
            config = { number = i } })
    end,
    asyncio = function(i)
        return nffi.load("python", { module = "later.py", host = "worker", program = "@PYTHON@",
            config = { number = i } })
    end,
    go = function(i)
        return nffi.load("@GO@", { config = { name = tostring(i) }, codec = "json" })
    end,
    java = function(i)
        return nffi.load("java", { module = "com.example.App", classpath = "@CLASSES@",
            host = "worker", config = { number = i },
            jvm_args = { "-Xmx64m", "-XX:+UseSerialGC", "-Xint" } })
    end,
}

-- by name: what a test of the measurement leaks
local LEAKS = {
    descriptor = function() ffi.C.dup(0) end,
    rarely = function(i) if i % 120 == 7 then ffi.C.dup(0) end end,
    memory = function() ffi.C.malloc(200) end,
}

-- bytes of a cycle; 90 of Java are names of class loaders, until it cleans its symbol table
local LIMITS = setmetatable({ java = 200 }, { __index = function() return 100 end })

local COLLECTORS = {
    java = function()
        local rt = KINDS.java("collects")
        assert(rt.methods:collect())
        rt:close()
    end,
}

local function cycle(kind, i)
    local rt, err = KINDS[kind](i)
    if kind == "failing" then
        assert(not rt)
        return
    end
    assert(rt, err)
    if kind == "public" then
        rt:hello("x")
        return rt:__unload()
    end
    local response, why, code
    if kind == "python" or kind == "asyncio" or kind == "java" or kind == "go" then
        response, why, code = rt.methods:hello("x")
    else
        response, why, code = rt:call("x")
    end
    -- some fixtures have no such method: they answer all the same
    if not response and code ~= "runtime_error" then error(why) end
    -- its first timer
    if kind == "go" and i == 1 then assert(rt.methods:wait(1)) end
    rt:close()
end

local function leaves_nothing(kind, before, after, more, cycles)
    return more == "" and after.maps - before.maps <= cycles / 50
           and after.bytes - before.bytes < LIMITS[kind] * cycles
end

-- bytes of each of some cycles, before Java collects
local function each_cycle(kind, cycles)
    local found = {}
    for i = 1, cycles do
        local before = measure()
        cycle(kind, i)
        ngx.sleep(0.05)
        found[i] = measure().bytes - before.bytes
    end
    return found
end

-- round 0 warms up: as many cycles as between two measurements, since tables of Lua grow to what
-- waits for the collector
local function in_round(kind, cycles, round, leak, seconds)
    local collect = COLLECTORS[kind]
    if round == 0 then
        for i = 1, cycles do cycle(kind, i) end
        ngx.sleep(kind == "process" and 1.2 or 0.1)
    end
    local before = measure_least(collect)
    local first = (round + 1) * cycles + 1
    for i = first, first + cycles - 1 do
        cycle(kind, i)
        if LEAKS[leak] then LEAKS[leak](i) end
    end
    local after, more
    local last = ngx.now() + seconds
    repeat
        ngx.sleep(0.05)
        after = measure(collect)
        more = new_descriptors(after, before)
    until leaves_nothing(kind, before, after, more, cycles) or ngx.now() > last
    return { fds = more, maps = after.maps - before.maps, limit = LIMITS[kind],
             bytes = (after.bytes - before.bytes) / cycles, runtimes = #nffi.metrics().runtimes }
end

return { in_round = in_round, each_cycle = each_cycle }
`;

/**
 * Loads what is loaded already, in a child that may make no system call but read, write and exit:
 * the kernel kills it at any other.
 */
const QUIET_LUA = `
local ffi = require "ffi"
local nffi = require "resty.nffi"
ffi.cdef [[
int fork(void); int pipe(int fds[2]); int close(int fd); int prctl(int option, ...);
long syscall(long number, ...); long read(int fd, void *data, size_t size);
long write(int fd, const void *data, size_t size);
]]

local SECCOMP, STRICT = 22, 1
local EXIT = jit.arch == "x64" and 60 or 93
local arguments = {
    { "@ECHO@", { config = "quiet", timeout = 5 } },
    { "process", { program = "@BRIEF@", config = { quiet = true }, arena = 65536 } },
    { "python", { module = "app.py", host = "worker", program = "@PYTHON@", config = { a = { 1, "2" } } } },
}

local function load_all(runtimes)
    for _ = 1, 100 do
        for i, of in ipairs(arguments) do
            if nffi.load(of[1], of[2]) ~= runtimes[i] then return false end
        end
    end
    return true
end

return function()
    arguments[1][2].config = "1"
    local runtimes = {}
    for i, of in ipairs(arguments) do runtimes[i] = assert(nffi.load(of[1], of[2])) end
    local fds, byte = ffi.new("int[2]"), ffi.new("char[1]")
    load_all(runtimes)
    ffi.C.pipe(fds)
    collectgarbage("stop")
    if ffi.C.fork() == 0 then
        ffi.C.prctl(SECCOMP, ffi.cast("long", STRICT))
        ffi.C.write(fds[1], load_all(runtimes) and "q" or "?", 1)
        ffi.C.syscall(EXIT, ffi.cast("long", 0))
    end
    collectgarbage("restart")
    ffi.C.close(fds[1])
    local n = ffi.C.read(fds[0], byte, 1)
    ffi.C.close(fds[0])
    for _, rt in ipairs(runtimes) do rt:close() end
    return n == 1 and ffi.string(byte, 1) == "q" and "no system call" or "killed"
end
`;

let prefix: string;
let nginx: Nginx;
let classes: JavaClasses;
let go: GoRuntime;

beforeAll(async () => {
  prefix = await builtOpenresty();
  classes = new JavaClasses("test/sdk/java/fixtures/app", prefix);
  go = buildGoRuntime("test/sdk/go/fixtures/native", prefix);
  const values: Record<string, string> = {
    ECHO: join(prefix, "nffi/lib/libnffi_echo.so"),
    WITNESS: nativeRuntime(prefix, "witness"),
    BRIEF: nativeProgram(prefix, "test/fixtures/runtimes/brief.c").program,
    PYTHON: systemPython,
    CLASSES: classes.classes,
    GO: go.library,
  };
  nginx = await startNginx({
    prefix,
    logLevel: "notice",
    // how many arenas and caches malloc() has depends on how threads meet
    env: {
      ...(process.env as Record<string, string>),
      GLIBC_TUNABLES: "glibc.malloc.arena_max=1:glibc.malloc.tcache_count=0",
    },
    main: "thread_pool close threads=1; worker_shutdown_timeout 1s;",
    // a connection that is kept would end between two measurements
    http: `lua_package_path "@DIR@/?.lua;;"; keepalive_timeout 0;`,
    server: `
      location = /cycles { content_by_lua_block {
        local args = ngx.req.get_uri_args()
        local result = require "cycles".in_round(args.kind, tonumber(args.n), tonumber(args.round), args.leak,
            tonumber(args.seconds))
        ngx.print(require "cjson.safe".encode(result))
      } }
      location = /each { content_by_lua_block {
        ngx.print(require "cjson.safe".encode(require "cycles".each_cycle("java", 11)))
      } }
      location = /kept { content_by_lua_block {
        local nffi = require "resty.nffi"
        local rt = assert(nffi.load("${nativeRuntime(prefix, "endless")}"))
        rt:close()
        ngx.print(nffi.metrics().kept, " ", rt:state().closed)
      } }
      location = /metrics { content_by_lua_block {
        ngx.print(require "resty.nffi".metrics("prometheus"))
      } }
      location = /thread { content_by_lua_block {
        local _, loaded, code, found, metrics = ngx.run_worker_thread("close", "in_thread", "load")
        ngx.print(tostring(loaded), "|", tostring(code), "|", tostring(found), "|", tostring(metrics))
      } }
      location = /quiet { content_by_lua_block { ngx.print(require "quiet"()) } }
      location = /again { content_by_lua_block {
        local nffi = require "resty.nffi"
        local options = { config = { a = 1, list = { 1, 2 } }, timeout = 1000 }
        local first = nffi.load("${values.WITNESS}", options)
        local same = nffi.load("${values.WITNESS}", { timeout = 1000, config = { a = 1, list = { 1, 2 } } })
        options.config.list[2] = 3
        local other = nffi.load("${values.WITNESS}", options)
        options.config.list[2] = 2
        local back = nffi.load("${values.WITNESS}", options)
        first:close()
        local new = nffi.load("${values.WITNESS}", options)
        ngx.print(tostring(first == back), " ", tostring(same:state().closed), " ",
                  tostring(other:state().closed), " ", tostring(new:state().closed))
        new:close() other:close()
      } }
    `,
    files: {
      "cycles.lua": CYCLE_LUA.replace(/@([A-Z]+)@/g, (_, name) => values[name] ?? ""),
      "app.py": "def hello(value):\n    return value\n",
      "quiet.lua": QUIET_LUA.replace(/@([A-Z]+)@/g, (_, name) => values[name] ?? ""),
      "later.py": "async def hello(value):\n    return value\n",
      "in_thread.lua": `
        local _M = {}
        function _M.load()
          local nffi = require "resty.nffi"
          local rt, err, code = nffi.load("${values.ECHO}", { config = "1" })
          local py = nffi.load("python", { module = "app.py", host = "worker" })
          return err, code, py == nil, #nffi.metrics().runtimes
        end
        return _M
      `,
    },
  });
}, 600_000);

afterAll(async () => {
  await nginx?.stop();
  classes?.remove();
  go?.remove();
});

const KINDS = ["library", "changing", "descriptor", "public", "failing", "process"];

interface Growth {
  /** The new descriptors: number and name of each kind. */
  readonly fds: string;
  readonly maps: number;
  /** Of one cycle. */
  readonly bytes: number;
  readonly limit: number;
  readonly runtimes: number;
}

/** `seconds`: the time for what the last cycles have to be returned. */
async function growth(kind: string, count: number, round = 0, leak = "", seconds = 12) {
  const query = `kind=${kind}&n=${count}&round=${round}&leak=${leak}&seconds=${seconds}`;
  return JSON.parse(await nginx.get(`/cycles?${query}`)) as Growth;
}

/** One round, or three if the memory grows in the first and the language may allocate once. */
async function rounds(kind: string, ...more: [count: number, leak?: string, seconds?: number]) {
  const [count, leak, seconds] = more;
  const all = [await growth(kind, count, 0, leak, seconds)];
  if (!isLeak(all) || KINDS.includes(kind)) return all;
  for (const round of [1, 2]) all.push(await growth(kind, count, round, leak, seconds));
  return all;
}

/** Memory grows in most rounds: what happens once is in one of them. */
function isLeak(rounds: readonly Growth[]): boolean {
  const grown = rounds.filter(({ bytes, limit }) => bytes >= limit);
  return grown.length > rounds.length / 2;
}

describe("closing returns descriptors, maps and memory", () => {
  test.for([...KINDS, "python", "asyncio", "go", "java"])(
    "%s",
    { timeout: 3_600_000 },
    async (kind) => {
      const all = await rounds(kind, CYCLES);
      console.log(kind, JSON.stringify(all));
      // an interpreter maps its own memory; a leak would be one map for each cycle
      const isNative = KINDS.includes(kind);
      for (const { runtimes, fds, maps, bytes } of all) {
        expect(runtimes).toBe(0);
        expect(fds).toBe("");
        expect(maps).toBeLessThanOrEqual(isNative ? CYCLES / 50 : CYCLES / 5);
        // the memory of a single runtime of Java, lost once, is as much
        expect(bytes).toBeLessThan(1000);
      }
      expect(isLeak(all), JSON.stringify(all)).toBe(false);
    },
  );
});

test("the memory of a runtime of Java is freed without the collector", async () => {
  const each: number[] = JSON.parse(await nginx.get("/each"));
  // less in one in which it collects; classes are left for it
  const [middle = 0] = each.toSorted((a, b) => a - b).slice(5);
  expect(middle, `${each}`).toBeLessThan(100_000);
});

describe.each(["library", "go", "java"])("a leak on purpose is found, %s", (kind) => {
  test.each([
    ["descriptor", "120 /dev/null"],
    ["rarely", "1 /dev/null"],
  ])("%s", async (leak, found) => {
    for (const { fds } of await rounds(kind, 120, leak, 1)) expect(fds).toBe(found);
  });

  test("200 bytes for each cycle", async () => {
    const all = await rounds(kind, 300, "memory", 1);
    expect(isLeak(all), JSON.stringify(all)).toBe(true);
  });
});

test("a load of the same arguments finds the runtime, of others another one", async () => {
  expect(await nginx.get("/again")).toBe("true true false false");
});

test("a load that finds its runtime makes no system call", async () => {
  expect(await nginx.get("/quiet")).toBe("no system call");
});

test("a queue that a library does not let go of is kept, logged and counted", async () => {
  expect(await nginx.get("/kept")).toBe("0 true");
  const isCounted = async () =>
    (await nginx.get("/metrics")).includes('nffi_kept_queues{worker="0"} 1\n');
  await until(isCounted, 10_000, () => nginx.errorLog());
  expect(nginx.errorLog()).toContain("is closed, but its queue stays in memory");
});

test("a VM of a thread can neither load nor see runtimes", async () => {
  const response = await nginx.get("/thread");
  expect(response).toContain("ngx.run_worker_thread()");
  expect(response.split("|").slice(1)).toEqual(["wrong_thread", "true", "0"]);
});
