-- What nginx.conf runs for each location. It is a module, not a part of
-- nginx.conf, so that editors and linters see it.

local failure = require "failure"
local runtime = require "runtime"

local _M = {}

function _M.hello()
    local name = ngx.req.get_uri_args().name or "World"
    local methods = runtime.load().methods
    local response, message, code, detail = methods:hello({ name = name })

    if not response then
        return failure.respond(message, code, detail)
    end

    ngx.say(response.greeting)
end

-- Responds after a number of milliseconds; the worker serves other requests.
function _M.wait()
    local ms = tonumber(ngx.var.arg_ms) or 1000
    local methods = runtime.load().methods
    local response, message, code, detail = methods:wait({ ms = ms },
                                                      { timeout = 10000 })

    if not response then
        return failure.respond(message, code, detail)
    end

    ngx.say("waited ", response.waited, " ms")
end

-- A line now and then, as the client reads them.
function _M.ticks()
    local count = tonumber(ngx.var.arg_count) or 10
    local stream = runtime.load().streams:ticks(count)

    for number in stream do
        ngx.say("tick ", number)
        ngx.flush(true)
    end

    local message, code, detail = stream:error()

    if message then
        return failure.respond(message, code, detail)
    end
end

return _M
