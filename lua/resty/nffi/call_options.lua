-- Checks the options of calls and streams. Invalid options raise an error at
-- the line of the caller.


local misuse = require "resty.nffi.misuse"


local ceil = math.ceil
local next = next
local raise = misuse.raise
local tonumber = tonumber
local tostring = tostring
local type = type


-- The default timeout of calls, in milliseconds. 0 means no limit.
local DEFAULT_TIMEOUT = 60000

-- The default window of a stream, in bytes.
local DEFAULT_WINDOW = 65536

-- The maximum length of a method name, in bytes.
local MAX_METHOD = 255

local CALL_OPTIONS = { timeout = true, method = true }
local METHOD_OPTIONS = { timeout = true }
local STREAM_OPTIONS = { timeout = true, method = true, window = true }
local METHOD_STREAM_OPTIONS = { timeout = true, window = true }


local _M = {
    DEFAULT_TIMEOUT = DEFAULT_TIMEOUT,
    MAX_METHOD = MAX_METHOD,

    -- of runtime:call, runtime.methods, runtime:stream, runtime.streams
    CALL = CALL_OPTIONS,
    METHOD = METHOD_OPTIONS,
    STREAM = STREAM_OPTIONS,
    METHOD_STREAM = METHOD_STREAM_OPTIONS,
}


-- Returns `name`; raises unless it is nil or in the set `names`.
local function known(name, names)
    if name ~= nil and not names[name] then
        misuse.unknown("option", name, names)
    end

    return name
end


-- Raises unless `options` is a table with names of the set `names` only.
function _M.check(options, names)
    if type(options) ~= "table" then
        raise("options must be a table, got " .. type(options)
              .. (type(options) == "number"
                  and ": pass { timeout = " .. options .. " }" or ""))
    end

    -- no loop, with which LuaJIT does not compile the call around it; at most
    -- three names are known
    local name = known(next(options), names)
    name = name ~= nil and known(next(options, name), names) or nil
    name = name ~= nil and known(next(options, name), names) or nil

    if name ~= nil then
        known(next(options, name), names)
    end
end


-- Returns whole milliseconds: the option `timeout`, or `default` for nil.
function _M.timeout(timeout, default)
    if timeout == nil then
        return default
    end

    local ms = tonumber(timeout)

    -- NaN fails both comparisons; 0 means no limit, so a fraction of a
    -- millisecond must not become 0
    if not ms or not (ms >= 0 and ms <= 2147483647) then
        raise("timeout must be milliseconds, got " .. tostring(timeout))
    end

    -- no tail call: LuaJIT does not compile a function that ends with one of a
    -- built-in function
    local whole = ceil(ms)

    return whole
end


-- Returns the option `method`, or nil.
function _M.method(options)
    local method = options and options.method

    if method ~= nil and (type(method) ~= "string" or #method > MAX_METHOD)
    then
        raise("method must be a string of at most " .. MAX_METHOD
              .. " bytes, got " .. (type(method) == "string"
                                    and #method .. " bytes" or type(method)))
    end

    return method
end


-- Returns the option `window`, in bytes.
function _M.window(options)
    local window = options and options.window or DEFAULT_WINDOW

    if type(window) ~= "number" or not (window >= 1) or window > 1073741824 then
        raise("window must be bytes from 1 to 1073741824, got "
              .. tostring(window))
    end

    return window
end


return _M
