-- One round: a light thread goes round in the event loop and notes the longest
-- time between two turns, while a runtime is loaded, and while its process is
-- killed and started again. Writes JSON: microseconds of each.


local ffi = require "ffi"
local nffi = require "resty.nffi"


ffi.cdef[[
typedef struct { long s, ns; } bench_time_t;
int clock_gettime(int clock, bench_time_t *time);
int kill(int pid, int signal);
]]


local time = ffi.new("bench_time_t")


local function now()
    ffi.C.clock_gettime(1, time)
    return tonumber(time.s) * 1e6 + tonumber(time.ns) / 1e3
end


local longest, running = 0, true


local function watch()
    local last = now()

    while running do
        ngx.sleep(0)

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
        program = ngx.var.arg_program, config = ngx.var.arg_round,
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
ngx.say(string.format("[%.0f,%.0f,%.0f]", idle, load, restart))
