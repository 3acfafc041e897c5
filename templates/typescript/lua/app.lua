-- What nginx.conf asks for each location. In a module, not in nginx.conf, since
-- here an editor sees it: the types of the handlers are in handlers.d.lua.

local nffi = require "resty.nffi"

local _M = {}

-- The runtime of this project: loaded once in each worker, then found.
---@return Handlers
local function runtime()
    return assert(nffi.load("node", { module = "../dist/handlers.js" })) --[[@as Handlers]]
end

local function fail(message)
    ngx.status = 500
    ngx.say(message)
end

function _M.hello()
    local name = ngx.var.arg_name
    name = name and ngx.unescape_uri(name) or "World"
    local reply, message = runtime().methods:hello({ name = name })

    if not reply then
        return fail(message)
    end

    ngx.say(reply.greeting)
end

-- Responds after a number of milliseconds; the worker serves other requests in
-- that time.
function _M.wait()
    local ms = tonumber(ngx.var.arg_ms) or 1000
    local reply, message = runtime().methods:wait({ ms = ms },
                                                  { timeout = 10000 })

    if not reply then
        return fail(message)
    end

    ngx.say("waited ", reply.waited, " ms")
end

return _M
