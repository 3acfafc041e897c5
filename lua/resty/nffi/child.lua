-- The common part of all runtimes that are processes: their options, the key
-- that finds an equal runtime again, their environment, and their start.


local ffi = require "ffi"
local hosting = require "resty.nffi.hosting"
local json_encode = require "resty.nffi.json_encode"
local misuse = require "resty.nffi.misuse"
local runtimes = require "resty.nffi.runtimes"
local text = require "resty.nffi.text"


local C = ffi.C
local ipairs = ipairs
local ngx = ngx
local pairs = pairs
local raise = misuse.raise
local sort = table.sort
local text_of = text.of
local tostring = tostring
local type = type


ffi.cdef[[
char *getcwd(char *buffer, size_t size);
]]


local RESET_CPUS = 1

-- The default is lower than for threads, since the rings of a process have
-- pages from the start.
local DEFAULT_MAX_QUEUE = 16384

-- Pages are allocated as they are needed. A payload above an eighth of it uses
-- a memfd, which is slower.
local DEFAULT_ARENA = 64 * 1024 * 1024

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


-- Resolves a path relative to the nginx prefix. `nginx -p .` makes the prefix
-- relative to the directory where nginx was started.
function _M.absolute(path)
    if _M.is_absolute(path) then
        return path
    end

    path = ngx.config.prefix() .. path

    if _M.is_absolute(path) then
        return path
    end

    local directory = ffi.new("char[4096]")

    if C.getcwd(directory, 4096) == nil then
        return path
    end

    return ffi.string(directory) .. "/" .. path
end


-- Returns the environment, sorted, since it is part of the key.
local function environment(options)
    local envp = {}
    local path = DEFAULT_PATH

    for name, value in pairs(options.env or {}) do
        if name == "PATH" then
            path = text_of(value)

        else
            envp[#envp + 1] = name .. "=" .. text_of(value)
        end
    end

    sort(envp)
    envp[#envp + 1] = "PATH=" .. path
    envp[#envp + 1] = "NFFI_ATTACH=1"

    return envp
end


-- Refuses a NUL: C would cut the text there, and use another program, file or
-- value.
local function no_nul(name, value)
    if value ~= nil and tostring(value):find("%z") then
        raise(name .. " must not contain NUL bytes")
    end
end


-- Raises on bad options. `lists`: names of options that are lists of strings,
-- `paths`: names of options that are paths.
function _M.check(options, lists, paths)
    for _, name in ipairs(lists) do
        if options[name] ~= nil and type(options[name]) ~= "table" then
            raise(name .. " must be a table, got " .. type(options[name]))
        end

        for _, argument in ipairs(options[name] or {}) do
            no_nul(name, argument)
        end
    end

    if options.env ~= nil and type(options.env) ~= "table" then
        raise("env must be a table, got " .. type(options.env))
    end

    for name, value in pairs(options.env or {}) do
        if type(name) ~= "string" or name == "" or name:find("[=%z]") then
            raise("env: invalid name " .. tostring(name))
        end

        no_nul("env", value)
    end

    if options.affinity ~= nil and options.affinity ~= "all"
       and options.affinity ~= "inherit"
    then
        misuse.not_one_of("affinity", options.affinity, { "all", "inherit" })
    end

    for _, name in ipairs(paths) do
        no_nul(name, options[name])
    end

    misuse.text("directory", options.directory, "a path")

    hosting.check(options)
end


-- Returns the limits of the queue between worker and process. Raises on bad
-- options.
function _M.limits(options)
    local limits = runtimes.limits(options)

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


-- Returns the key of a runtime, exact in each number and byte. `config`: the
-- bytes that the process reads, or nil. `argv`: its command line.
function _M.key(kind, config, argv, options, limits)
    local parts = hosting.check(options)

    parts.kind = kind
    parts.config = config
    parts.argv = argv
    parts.envp = environment(options)
    parts.program = options.program
    parts.directory = options.directory
    parts.affinity = options.affinity

    for _, name in ipairs({ "max_queue", "max_tasks", "arena",
                            "max_bytes", "start_timeout", "spin_us" })
    do
        parts[name] = limits[name]
    end

    local key, err = json_encode.key(parts)

    return key or raise(err)
end


-- Appends the arguments in an option to a command line.
function _M.append(argv, arguments)
    for _, argument in ipairs(arguments or {}) do
        argv[#argv + 1] = text_of(argument)
    end
end


-- Starts the processes. `what`:
--   name      the module or program, as the user wrote it
--   programs  absolute paths; the first one that exists is started
--   argv      the command line
--   config    bytes, or nil for none. Each process reads them with
--             nffi_queue_config() from memory that it shares with the worker,
--             since an environment or a command line can be read by others and
--             is inherited
--   hint      a question for the error of a process that is never ready, or nil
-- Returns its pointer, or nil, message, code. Calls report errors of a program
-- later.
function _M.start(key, what, options, limits)
    local spec = hosting.check(options)

    for field, value in pairs(what) do
        spec[field] = value
    end

    spec.envp = environment(options)
    spec.directory = options.directory and _M.absolute(options.directory)
    spec.flags = options.affinity == "inherit" and 0 or RESET_CPUS

    return runtimes.start(key, spec, limits)
end


return _M
