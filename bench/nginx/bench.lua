-- Calls a runtime from one request. Returns calls per second.
--
-- size      bytes of a request and of its answer
-- count     calls
-- together  light threads that call concurrently; without it the calls follow
--           one another
-- load      the first argument of nffi.load, and
-- options   its options as JSON
-- method    of the runtime
-- timeout   of each call, in milliseconds (20000)
-- loads     1: loads of the same runtime instead of calls. Its options are a
--           table literal, made for each load
-- pause     seconds to sleep before each call
-- cpu       1: microseconds of CPU time that the worker and the processes of
--           its runtimes have used, instead of calls
-- memory    "worker" or "process", instead of all of this: KB of private memory
--           of the worker, or of the processes of its runtimes
local nffi = require "resty.nffi"
local cjson = require "cjson"

local _M = {}


local function repeated(count, call)
    for _ = 1, count do
        assert(call())
    end
end


local function per_second(count, together, call)
    repeated(50, call)
    ngx.update_time()
    local start = ngx.now()

    if together == 1 then
        repeated(count, call)
    else
        local threads = {}

        for i = 1, together do
            threads[i] = ngx.thread.spawn(repeated, count / together, call)
        end

        for i = 1, together do
            assert(ngx.thread.wait(threads[i]))
        end
    end

    ngx.update_time()

    return count / (ngx.now() - start)
end


local function private(pid)
    local file = assert(io.open("/proc/" .. pid .. "/smaps_rollup"))
    local sum = 0

    for kb in file:read("*a"):gmatch("Private_%a+: +(%d+) kB") do
        sum = sum + kb
    end

    file:close()

    return sum
end


local function memory(of)
    if of == "worker" then
        collectgarbage()
        return private("self")
    end

    local sum = 0

    for _, runtime in ipairs(nffi.metrics().runtimes) do
        for _, process in ipairs(runtime.processes) do
            sum = sum + private(process.pid)
        end
    end

    return sum
end


local function cpu_of(pid)
    local sum = 0
    local threads = assert(io.popen("cat /proc/" .. pid .. "/task/*/schedstat"))

    for line in threads:lines() do
        sum = sum + tonumber(line:match("^%d+")) / 1000
    end

    threads:close()

    return sum
end


local function cpu()
    local sum = cpu_of(ngx.worker.pid())

    for _, runtime in ipairs(nffi.metrics().runtimes) do
        for _, process in ipairs(runtime.processes) do
            sum = sum + cpu_of(process.pid)
        end
    end

    return sum
end


function _M.run(args)
    if args.memory then
        return memory(args.memory)
    end

    if args.cpu then
        return cpu()
    end

    local bytes = ("x"):rep(tonumber(args.size))
    local count = tonumber(args.count)
    local together = tonumber(args.together or 1)

    if args.loads then
        local options = assert(loadstring("return " .. args.options))

        return per_second(count, 1, function()
            return nffi.load(args.load, options())
        end)
    end

    local loaded = args.options and cjson.decode(args.options)
    local runtime = assert(nffi.load(args.load, loaded))
    local timeout = tonumber(args.timeout or 20000)
    local options = { method = args.method, timeout = timeout }
    local pause = tonumber(args.pause)

    return per_second(count, together, function()
        if pause then
            ngx.sleep(pause)
        end

        return runtime:call(bytes, options)
    end)
end


return _M
