-- Messages of calls that the worker ended: they name the runtime, the method
-- and the limit. They are created only when a call has failed.


local runtimes = require "resty.nffi.runtimes"


local find = string.find
local format = string.format
local name_of = runtimes.name


-- Codes of the worker. The message of a handler's error is not changed.
local OF_HOST = {
    abi_mismatch = true,
    exiting = true,
    load_failed = true,
    no_program = true,
    queue_full = true,
    runtime_down = true,
    timeout = true,
}


-- ngx_lua's message of a phase names neither the runtime nor what to do.
local DISABLED = "API disabled in the context of "
local ELSEWHERE = "; call it in access_by_lua* or content_by_lua*, or from "
                  .. "ngx.timer.at()"


local _M = {}


-- `what`: the event that did not happen within `timeout` milliseconds.
-- `is_default`: the caller set no timeout.
local function timed_out(name, what, timeout, is_default)
    return format("the runtime \"%s\" %s within %d ms%s", name, what, timeout,
                  is_default
                  and " (the default; { timeout = ms } sets another, 0 none)"
                  or "")
end


-- Returns the message for Lua.
function _M.message(runtime, method, message, code, what, timeout)
    if code == "wrong_phase" and find(message, DISABLED, 1, true) == 1 then
        message = "the runtime \"" .. name_of(runtime._pointer)
                  .. "\" cannot be called here: " .. message
                  .. (find(message, ": ", 1, true) and "" or ELSEWHERE)

    elseif not OF_HOST[code] then
        return message
    end

    if code == "timeout" then
        message = timed_out(name_of(runtime._pointer), what, timeout,
                            runtime._has_default_timeout
                            and timeout == runtime._timeout)
    end

    if method then
        return "method \"" .. method .. "\": " .. message
    end

    return message
end


return _M
