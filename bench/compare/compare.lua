-- Measures one way of calling from Lua: calls until `ms` have passed, from
-- `together` light threads of this request. Returns JSON: calls, seconds, and a
-- histogram of their times.
--
-- way      "nffi", "cosocket", "subrequest", "worker-thread" or "load_ffi"
-- size     bytes of a request and of its response
-- nffi:        load, options (JSON), method
-- cosocket:    socket, the path of a unix socket whose server reads and writes
--              a length of four bytes before each payload
-- subrequest:  location, which has a proxy_pass
-- load_ffi:    load, config, is_global; of: "nffi" or "lua-resty-ffi", whose
--              ngx.load_ffi() it must be
local bit = require "bit"
local ffi = require "ffi"


local band, rshift = bit.band, bit.rshift
local C = ffi.C
local char = string.char
local floor = math.floor
local frexp = math.frexp
local ngx = ngx
local tonumber = tonumber

ffi.cdef [[
typedef struct { long sec; long nsec; } nffi_bench_time_t;
int clock_gettime(int clock, nffi_bench_time_t *time);
]]

local CLOCK_MONOTONIC = 1
-- Each power of two of nanoseconds has as many buckets: 3 % between two.
local STEPS = 32
local BUCKETS = 50 * STEPS
local TIMEOUT = 20000

local time = ffi.new("nffi_bench_time_t")


-- Nanoseconds since some moment; exact in a double for 104 days.
local function now()
    C.clock_gettime(CLOCK_MONOTONIC, time)
    return tonumber(time.sec) * 1e9 + tonumber(time.nsec)
end


local function bucket_of(ns)
    local fraction, exponent = frexp(ns)
    return exponent * STEPS + floor((fraction - 0.5) * 2 * STEPS)
end


local function length(size)
    return char(band(rshift(size, 24), 255), band(rshift(size, 16), 255),
                band(rshift(size, 8), 255), band(size, 255))
end


local ways = {}


function ways.nffi(args, bytes)
    -- Debian's nginx has no lua-cjson
    local json = require "resty.nffi.json_decode"
    local options = args.options and assert(json.decode(args.options))
    local runtime = assert(require("resty.nffi").load(args.load, options))
    local call = { method = args.method, timeout = TIMEOUT }

    return function()
        return function()
            return runtime:call(bytes, call)
        end
    end
end


function ways.cosocket(args, bytes)
    local request = length(#bytes) .. bytes

    -- a connection for each light thread, which stays open
    return function()
        local socket = ngx.socket.tcp()
        socket:settimeout(TIMEOUT)
        assert(socket:connect("unix:" .. args.socket))

        return function()
            assert(socket:send(request))
            assert(socket:receive(4))
            return socket:receive(#bytes)
        end
    end
end


function ways.subrequest(args, bytes)
    local options = { method = ngx.HTTP_POST, body = bytes }

    return function()
        return function()
            local response = ngx.location.capture(args.location, options)
            return response.status == 200 and response.body,
                   "the server returned status " .. response.status
        end
    end
end


-- Both have a module resty_ffi that provides ngx.load_ffi().
function ways.load_ffi(args, bytes)
    require "resty_ffi"
    local is_nffi = package.loaded["resty.core.nonblocking_ffi"] ~= nil
    local owner = is_nffi and "nffi" or "another"
    assert(is_nffi == (args.of == "nffi"),
           "this nginx has ngx.load_ffi() of " .. owner)
    local load_ffi = rawget(ngx, "load_ffi")
    local options = { is_global = args.is_global == "true" }
    local runtime, code = load_ffi(args.load, args.config, options)

    if not runtime then
        error("libffi_init() returned " .. tostring(code))
    end

    return function()
        return function()
            local ok, response = runtime:echo(bytes)
            return ok and response, response
        end
    end
end


ways["worker-thread"] = function(_, bytes)
    return function()
        return function()
            local ok, response = ngx.run_worker_thread("bench", "echo",
                                                       "echo", bytes)
            return ok and response, response
        end
    end
end


local _M = {}


function _M.run(args)
    local size, together = tonumber(args.size), tonumber(args.together)
    local counts = ffi.new("uint32_t[?]", BUCKETS)
    local make = ways[args.way](args, ("x"):rep(size))
    local calls = {}

    for i = 1, together do
        calls[i] = make()
        assert(#assert(calls[i]()) == size)
    end

    local start = now()
    local stop = start + tonumber(args.ms) * 1e6
    local done = 0

    local function repeated(call)
        local before = now()

        while before < stop do
            assert(call())
            local after = now()
            local bucket = bucket_of(after - before)
            counts[bucket] = counts[bucket] + 1
            done = done + 1
            before = after
        end
    end

    local threads = {}

    for i = 1, together do
        threads[i] = ngx.thread.spawn(repeated, calls[i])
    end

    for i = 1, together do
        assert(ngx.thread.wait(threads[i]))
    end

    local seconds = (now() - start) / 1e9
    local histogram = {}

    for i = 0, BUCKETS - 1 do
        if counts[i] > 0 then
            histogram[#histogram + 1] = ("[%d,%d]"):format(i, counts[i])
        end
    end

    return ('{"calls":%d,"seconds":%.9f,"histogram":[%s]}'):format(
        done, seconds, table.concat(histogram, ","))
end


-- The processes of the runtimes that are loaded, with the modules they run.
function _M.processes()
    local found = {}

    local loaded = package.loaded["resty.nffi"]

    for _, runtime in ipairs(loaded and loaded.metrics().runtimes or {}) do
        for _, process in ipairs(runtime.processes or {}) do
            found[#found + 1] = ("[%d,%q]"):format(process.pid, runtime.name)
        end
    end

    return "[" .. table.concat(found, ",") .. "]"
end


return _M
