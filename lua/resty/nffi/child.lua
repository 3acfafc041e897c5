-- What every runtime that is a process has in common: its options, the key by
-- which the same one is found again, its environment, and its start.


local base = require "resty.core.nonblocking_ffi"
local ffi = require "ffi"
local hosting = require "resty.nffi.hosting"


local C = ffi.C
local error = error
local ipairs = ipairs
local ngx = ngx
local pairs = pairs
local sort = table.sort
local concat = table.concat
local tostring = tostring
local type = type


ffi.cdef[[
char *getcwd(char *buffer, size_t size);
]]


local RESET_CPUS = 1

-- A process takes less memory up front than threads may: its pages exist from
-- the start.
local DEFAULT_MAX_QUEUE = 16384

-- Room for a thousand concurrent calls of 4 KiB; a larger payload uses a memfd.
local DEFAULT_ARENA = 8 * 1024 * 1024

local DEFAULT_PATH = "/usr/local/bin:/usr/bin:/bin"


local _M = {
    -- in addition to the options of every runtime
    options = {
        program = true,
        env = true,
        directory = true,
        affinity = true,
        start_timeout = true,
    },
}


for name in pairs(hosting.options) do
    _M.options[name] = true
end


function _M.is_absolute(path)
    return path:sub(1, 1) == "/"
end


-- The same bytes for tables that are equal, whatever their order: the key of
-- the registry is made of them.
local function canonical(value)
    if type(value) ~= "table" then
        return type(value) .. ":" .. tostring(value)
    end

    local keys, parts = {}, {}

    for key in pairs(value) do
        keys[#keys + 1] = key
    end

    sort(keys, function(a, b)
        return type(a) .. tostring(a) < type(b) .. tostring(b)
    end)

    for i, key in ipairs(keys) do
        local item = canonical(value[key])

        parts[i] = canonical(key) .. "=" .. #item .. ":" .. item
    end

    return "{" .. concat(parts, ",") .. "}"
end


-- `above`: the tables that lead to this one.
local function holds_itself(value, above)
    if type(value) ~= "table" then
        return false
    end

    if above[value] then
        return true
    end

    above[value] = true

    for _, item in pairs(value) do
        if holds_itself(item, above) then
            return true
        end
    end

    above[value] = nil

    return false
end


-- Seen from nginx's prefix, which `nginx -p .` makes relative to the folder
-- that nginx was started in.
function _M.absolute(path)
    if _M.is_absolute(path) then
        return path
    end

    path = ngx.config.prefix() .. path

    if _M.is_absolute(path) then
        return path
    end

    local folder = ffi.new("char[4096]")

    if C.getcwd(folder, 4096) == nil then
        return path
    end

    return ffi.string(folder) .. "/" .. path
end


local function environment(options)
    local envp = {}
    local path = DEFAULT_PATH

    for name, value in pairs(options.env or {}) do
        if name == "PATH" then
            path = tostring(value)

        else
            envp[#envp + 1] = name .. "=" .. tostring(value)
        end
    end

    envp[#envp + 1] = "PATH=" .. path
    envp[#envp + 1] = "NFFI_ATTACH=1"

    return envp
end


-- C would cut it short: another program, file or value would be used.
local function no_nul(name, value, level)
    if value ~= nil and tostring(value):find("%z") then
        error(name .. " must not hold NUL bytes", level + 1)
    end
end


-- Raises on bad options. `lists`: names of options that are lists of strings,
-- `paths`: names of options that are paths. Level 1 is the caller's line.
function _M.check(options, lists, paths, level)
    level = level + 1

    for _, name in ipairs(lists) do
        if options[name] ~= nil and type(options[name]) ~= "table" then
            error(name .. " must be a table", level)
        end

        for _, argument in ipairs(options[name] or {}) do
            no_nul(name, argument, level)
        end
    end

    if options.env ~= nil and type(options.env) ~= "table" then
        error("env must be a table", level)
    end

    for name, value in pairs(options.env or {}) do
        if type(name) ~= "string" or name == "" or name:find("[=%z]") then
            error("env: bad name " .. tostring(name), level)
        end

        no_nul("env", value, level)
    end

    if options.affinity ~= nil and options.affinity ~= "all"
       and options.affinity ~= "inherit"
    then
        error("affinity must be \"all\" or \"inherit\"", level)
    end

    for _, name in ipairs(paths) do
        no_nul(name, options[name], level)
    end

    local directory = options.directory

    if directory ~= nil and (type(directory) ~= "string" or directory == "")
    then
        error("directory must be a string that is not empty", level)
    end

    hosting.check(options, level)
end


-- The limits of the queue between worker and process; raises on bad ones.
function _M.limits(options, level)
    local limits = base.limits(options, level + 1)

    if limits.max_queue == 0 then
        limits.max_queue = DEFAULT_MAX_QUEUE
    end

    if limits.arena == 0 then
        limits.arena = DEFAULT_ARENA
    end

    if limits.max_tasks == 0 then
        limits.max_tasks = limits.max_queue
    end

    return limits
end


-- The key of a runtime: `kind` and what decides, beside the options of every
-- process, whether it is the same. Raises on a configuration without an end.
function _M.key(kind, own, options, limits)
    if holds_itself(options.config, {}) then
        error("cannot encode config: a table holds itself", 4)
    end

    return kind .. "\0" .. canonical({
        own = own,
        config = options.config,
        program = options.program,
        env = options.env,
        directory = options.directory,
        affinity = options.affinity,
        max_queue = limits.max_queue,
        max_tasks = limits.max_tasks,
        arena = limits.arena,
        start_timeout = limits.start_timeout,
        spin = limits.spin_us,
        processes = options.processes,
        limits = options.limits,
        user = options.user,
        nice = options.nice,
        health = options.health,
    })
end


-- Starts the processes, each with the first of these programs that is there.
-- `config`: bytes, or nil for none; each process reads them with
-- nffi_queue_config(), from memory that it shares with the worker: an
-- environment or a command line can be read by others and is inherited.
-- Returns its pointer or nil, message, code; what is wrong with a program is
-- known later, by the calls.
function _M.start(key, name, programs, argv, config, options, limits)
    local spec = hosting.check(options, 1)

    spec.name = name
    spec.programs = programs
    spec.argv = argv
    spec.envp = environment(options)
    spec.config = config
    spec.directory = options.directory and _M.absolute(options.directory)
    spec.flags = options.affinity == "inherit" and 0 or RESET_CPUS

    return base.start(key, spec, limits)
end


return _M
