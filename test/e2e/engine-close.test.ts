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

/** Loads, calls once and closes; then returns what the worker has more than after a warm-up. */
const CYCLE_LUA = `
local ffi = require "ffi"
local nffi = require "resty.nffi"
-- traces and their machine code would count
jit.off()
ffi.cdef [[
struct nffi_test_mallinfo { size_t arena, ordblks, smblks, hblks, hblkhd, usmblks, fsmblks,
    uordblks, fordblks, keepcost; };
struct nffi_test_mallinfo mallinfo2(void);
int fcntl(int fd, int cmd, ...);
]]

local function measure()
    collectgarbage() collectgarbage()
    ngx.sleep(0.01)
    local found = { fds = 0, maps = 0 }
    for fd = 0, 4095 do
        if ffi.C.fcntl(fd, 1) ~= -1 then found.fds = found.fds + 1 end
    end
    for line in io.lines("/proc/self/maps") do found.maps = found.maps + 1 end
    local info = ffi.C.mallinfo2()
    found.bytes = tonumber(info.uordblks + info.hblkhd) + collectgarbage("count") * 1024
    return found
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
            host = "worker", config = { number = i }, jvm_args = { "-Xmx64m", "-XX:+UseSerialGC" } })
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
    rt:close()
end

return function(kind, cycles)
    -- as many as between two measurements: tables of Lua grow to what waits for the collector
    local warm_up = math.min(cycles, 300)
    for i = 1, warm_up do cycle(kind, i) end
    ngx.sleep(kind == "process" and 1.2 or 0.3)
    local before = measure()
    for i = 1, cycles do cycle(kind, warm_up + i) end
    local after
    for _ = 1, 200 do
        after = measure()
        if after.fds <= before.fds and (after.maps <= before.maps or kind == "java")
           and after.bytes - before.bytes < 100 * cycles
        then break end
        ngx.sleep(0.05)
    end
    return { fds = after.fds - before.fds, maps = after.maps - before.maps,
             bytes = (after.bytes - before.bytes) / cycles, runtimes = #nffi.metrics().runtimes }
end
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
    main: "thread_pool close threads=1; worker_shutdown_timeout 1s;",
    http: `lua_package_path "@DIR@/?.lua;;";`,
    server: `
      location = /cycles { content_by_lua_block {
        local result = require "cycles"(ngx.var.arg_kind, tonumber(ngx.var.arg_n))
        ngx.print(require "cjson.safe".encode(result))
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

describe("closing returns descriptors, maps and memory", () => {
  test.for([...KINDS, "python", "asyncio", "go", "java"])(
    "%s",
    { timeout: 3_600_000 },
    async (kind) => {
      const result = JSON.parse(await nginx.get(`/cycles?kind=${kind}&n=${CYCLES}`));
      console.log(kind, result);
      expect(result.runtimes).toBe(0);
      expect(result.fds).toBeLessThanOrEqual(0);
      // malloc() maps an arena when two threads meet in it, and an interpreter maps its own memory;
      // a leak would be one map for each cycle
      const isNative = KINDS.includes(kind);
      expect(result.maps).toBeLessThanOrEqual(isNative ? CYCLES / 50 : CYCLES / 5);
      expect(result.bytes).toBeLessThan(100);
    },
  );
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
