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

return _M
