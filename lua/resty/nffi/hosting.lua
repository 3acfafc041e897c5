-- How the processes of a runtime are hosted: their number, their limits, user
-- and priority, and their health check.


local misuse = require "resty.nffi.misuse"


local pairs = pairs
local tostring = tostring
local raise = misuse.raise
local type = type
local whole_number = misuse.whole_number


local MAX_PROCESSES = 256

-- The largest integer that LuaJIT's numbers represent exactly.
local MAX_INTEGER = 9007199254740992

local LIMITS = { memory = true, files = true, cpu = true, core = true }

-- A lower limit is too small for the descriptors that every process needs.
local MIN_FILES = 32

local HEALTH = { interval = true, timeout = true }


local _M = {
    options = {
        processes = true,
        limits = true,
        user = true,
        nice = true,
        health = true,
        start = true,
        idle_timeout = true,
    },
}


local function check_table(options, name, names)
    local value = options[name]

    if value == nil then
        return {}
    end

    if type(value) ~= "table" then
        raise(name .. " must be a table, got " .. type(value))
    end

    for key in pairs(value) do
        if not names[key] then
            misuse.unknown("field of " .. name, key, names)
        end
    end

    return value
end


local function check_limits(options)
    local limits, checked = check_table(options, "limits", LIMITS), {}

    for name, value in pairs(limits) do
        checked[name] = whole_number("limits." .. name, value,
                                     name == "files" and MIN_FILES
                                     or name == "core" and 0 or 1,
                                     MAX_INTEGER)
    end

    return checked
end


local function check_health(options)
    local health = check_table(options, "health", HEALTH)

    if options.health == nil then
        return 0, 0
    end

    return whole_number("health.interval", health.interval or 1000, 10,
                        2147483647),
           whole_number("health.timeout", health.timeout or 10000, 10,
                        2147483647)
end


-- Returns when the processes start, and after how many ms without a call they
-- stop; 0 is never.
local function check_idle(options)
    local start = options.start or "load"

    if start ~= "load" and start ~= "first_call" then
        raise("start must be \"load\" or \"first_call\", got "
              .. tostring(start))
    end

    if options.idle_timeout == nil then
        return start, 0
    end

    return start, whole_number("idle_timeout", options.idle_timeout, 100,
                               2147483647)
end


-- Raises on bad options. Returns the fields for base.start().
function _M.check(options)
    local limits = check_limits(options)
    local interval, timeout = check_health(options)
    local start, idle_timeout = check_idle(options)
    local user = options.user

    if user ~= nil
       and (type(user) ~= "string" or user == "" or user:find("%z"))
    then
        raise("user must be the name of a user, got "
              .. (user == "" and "an empty string" or tostring(user)))
    end

    return {
        user = user,
        processes = whole_number("processes", options.processes or 1, 1,
                                 MAX_PROCESSES),
        nice = whole_number("nice", options.nice or 0, -20, 19),
        health_interval = interval,
        health_timeout = timeout,
        start = start,
        idle_timeout = idle_timeout,
        memory = limits.memory,
        files = limits.files,
        cpu = limits.cpu,
        core = limits.core,
    }
end


return _M
