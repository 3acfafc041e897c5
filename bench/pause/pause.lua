-- One round: a light thread calls the echo library in a loop, each call
-- a turn of the event loop, and notes the longest time between two answers,
-- while a process is loaded, and while it is killed and started again. Writes
-- JSON: microseconds of each.


local ffi = require "ffi"
local nffi = require "resty.nffi"


-- each request runs this file
if not pcall(ffi.typeof, "bench_time_t") then
    ffi.cdef[[
    typedef struct { long s, ns; } bench_time_t;
    int clock_gettime(int clock, bench_time_t *time);
    int kill(int pid, int signal);
    ]]
end


local time = ffi.new("bench_time_t")
local asked = ngx.req.get_uri_args()


local function now()
    ffi.C.clock_gettime(1, time)
    return tonumber(time.s) * 1e6 + tonumber(time.ns) / 1e3
end


local longest, running = 0, true


local echo = assert(nffi.load(asked.echo, { config = "1" }))


local function watch()
    local last = now()

    while running do
        assert(echo:call("x"))

        local this = now()

        longest = math.max(longest, this - last)
        last = this
    end
end


local function measured(run)
    ngx.sleep(0.02)
    longest = 0
    run()
    ngx.sleep(0.02)

    return longest
end


local thread = ngx.thread.spawn(watch)
local idle = measured(function() ngx.sleep(0.1) end)
local runtime
local load = measured(function()
    runtime = assert(nffi.load("process", {
        program = asked.program, config = asked.round,
    }))
    assert(runtime:call())
end)
local pid = tonumber((assert(runtime:call())))
local restart = measured(function()
    ffi.C.kill(pid, 9)

    local deadline = now() + 10e6

    while now() < deadline do
        local answer = runtime:call()

        if answer and tonumber(answer) ~= pid then
            return
        end

        ngx.sleep(0.005)
    end

    error("it does not come back")
end)

runtime:close()
running = false
ngx.thread.wait(thread)
ngx.print(string.format("[%.0f,%.0f,%.0f]", idle, load, restart))
