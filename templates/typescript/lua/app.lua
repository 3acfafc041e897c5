-- What nginx.conf runs for each location. It is a module, not a part of
-- nginx.conf, so that editors see it: the types of the handlers are in
-- handlers.d.lua.

local failure = require "failure"
local nffi = require "resty.nffi"

local _M = {}

-- The runtime of this project: loaded once in each worker, then found.
---@return Handlers
local function runtime()
    return assert(nffi.load("node", { module = "../dist/handlers.js" })) --[[@as Handlers]]
end

function _M.hello()
    local name = ngx.var.arg_name
    name = name and ngx.unescape_uri(name) or "World"
    local methods = runtime().methods
    local response, message, code, detail = methods:hello({ name = name })

    if not response then
        return failure.respond(message, code, detail)
    end

    ngx.say(response.greeting)
end

-- Responds after a number of milliseconds; the worker serves other requests in
-- that time.
function _M.wait()
    local ms = tonumber(ngx.var.arg_ms) or 1000
    local methods = runtime().methods
    local response, message, code, detail = methods:wait({ ms = ms },
                                                      { timeout = 10000 })

    if not response then
        return failure.respond(message, code, detail)
    end

    ngx.say("waited ", response.waited, " ms")
end

return _M
