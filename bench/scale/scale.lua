-- Load of one worker, for run.mjs: `together` calls in flight of `runtimes`
-- runtimes, from the moment that it is asked for until it is over. Adds the
-- calls to the shared dictionary.
local nffi = require "resty.nffi"

-- ngx_lua looks through all light threads of a request: many cost more
local THREADS = 50
local shared = ngx.shared.scale

local _M = {}


-- Each light thread calls one runtime; a single one calls them in turns.
local function calls(runtimes, first, bytes, step)
    local at = first

    while shared:get("state") == "run" do
        for _ = 1, 20 do
            at = (at - 1 + step) % #runtimes + 1
            assert(runtimes[at]:call(bytes))
        end

        shared:incr("calls", 20)
    end
end


local function waits(runtimes, first)
    local runtime = runtimes[first % #runtimes + 1]

    while shared:get("state") ~= "end" do
        runtime:call("100000", { method = "sleep", timeout = 2000 })
    end
end


local function group(premature, work, runtimes, first, count, bytes, step)
    local threads = {}

    for i = 1, premature and 0 or count do
        threads[i] = ngx.thread.spawn(work, runtimes, first + i, bytes, step)
    end

    for i = 1, #threads do
        assert(ngx.thread.wait(threads[i]))
    end

    shared:incr("groups", -1)
end


-- Starts the load of this worker and returns. The libraries are
-- DIRECTORY/1.so, DIRECTORY/2.so and so on.
function _M.start(directory, options)
    local runtimes, together = {}, options.together
    local work = options.waits and waits or calls

    for i = 1, options.runtimes do
        runtimes[i] = assert(nffi.load(directory .. "/" .. i .. ".so",
                                     { spin = options.spin }))
    end

    for first = 0, together - 1, THREADS do
        local count = math.min(THREADS, together - first)
        shared:incr("groups", 1)
        assert(ngx.timer.at(0, group, work, runtimes, first, count,
                            ("x"):rep(512), together == 1 and 1 or 0))
    end
end


return _M
