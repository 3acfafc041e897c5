-- How the processes of a runtime are hosted: how many there are, their limits,
-- user and priority, and whether they are asked for signs of life.


local error = error
local format = string.format
local pairs = pairs
local tonumber = tonumber
local tostring = tostring
local type = type


local MOST_PROCESSES = 256

-- LuaJIT's numbers are exact up to here.
local MOST = 9007199254740992

local LIMITS = { memory = true, files = true, cpu = true, core = true }

-- A lower limit leaves no room for the descriptors of every process.
local FEWEST_FILES = 32

local HEALTH = { interval = true, timeout = true }


local _M = {
    options = {
        processes = true,
        limits = true,
        user = true,
        nice = true,
        health = true,
    },
}


local function check_number(name, value, least, most, level)
    local n = tonumber(value)

    if not n or n < least or n > most or n % 1 ~= 0 then
        error(format("%s must be a whole number from %d to %.0f, got %s", name,
                     least, most, tostring(value)), level + 1)
    end

    return n
end


local function check_table(options, name, names, level)
    local value = options[name]

    if value == nil then
        return {}
    end

    if type(value) ~= "table" then
        error(name .. " must be a table", level + 1)
    end

    for key in pairs(value) do
        if not names[key] then
            error("there is no " .. name .. "." .. tostring(key), level + 1)
        end
    end

    return value
end


local function check_limits(options, level)
    local limits, checked = check_table(options, "limits", LIMITS, level + 1),
                            {}

    for name, value in pairs(limits) do
        checked[name] = check_number("limits." .. name, value,
                                     name == "files" and FEWEST_FILES
                                     or name == "core" and 0 or 1,
                                     MOST, level + 1)
    end

    return checked
end


local function check_health(options, level)
    local health = check_table(options, "health", HEALTH, level + 1)

    if options.health == nil then
        return 0, 0
    end

    return check_number("health.interval", health.interval or 1000, 10,
                        2147483647, level + 1),
           check_number("health.timeout", health.timeout or 10000, 10,
                        2147483647, level + 1)
end


-- Raises on bad options at `level`, 1 for the caller's line. Returns what
-- base.start() gets of them.
function _M.check(options, level)
    local limits = check_limits(options, level + 1)
    local interval, timeout = check_health(options, level + 1)
    local user = options.user

    if user ~= nil
       and (type(user) ~= "string" or user == "" or user:find("%z"))
    then
        error("user must be the name of a user, got " .. tostring(user),
              level + 1)
    end

    return {
        user = user,
        processes = check_number("processes", options.processes or 1, 1,
                                 MOST_PROCESSES, level + 1),
        nice = check_number("nice", options.nice or 0, -20, 19, level + 1),
        health_interval = interval,
        health_timeout = timeout,
        memory = limits.memory,
        files = limits.files,
        cpu = limits.cpu,
        core = limits.core,
    }
end


return _M
