-- A runtime in Node: a process of its own, started by the worker, that runs
-- PREFIX/nffi/node/main.js with the user's module.


local base = require "resty.core.nonblocking_ffi"
local codecs = require "resty.nffi.codecs"
local ffi = require "ffi"


local C = ffi.C
local concat = table.concat
local debug_getinfo = debug.getinfo
local error = error
local io_open = io.open
local ipairs = ipairs
local ngx = ngx
local pairs = pairs
local sort = table.sort
local tostring = tostring
local type = type


ffi.cdef[[
int access(const char *path, int mode);
char *getcwd(char *buffer, size_t size);
]]


local X_OK = 1
local RESET_CPUS = 1

-- A process takes less memory up front than threads may: its pages exist from
-- the start.
local DEFAULT_MAX_QUEUE = 16384

-- Room for a thousand calls of 4 KiB at once; what does not fit takes a memfd.
local DEFAULT_ARENA = 8 * 1024 * 1024

local DEFAULT_PATH = "/usr/local/bin:/usr/bin:/bin"


-- PREFIX/nffi, seen from PREFIX/lualib/resty/nffi/node.lua
local ROOT = debug_getinfo(1, "S").source:match("^@(.*)/lualib/resty/nffi/")
             or "/usr/local/openresty"

local HOST_PROGRAM = ROOT .. "/nffi/node/main.js"


local _M = {
    codec = "json",

    -- beside those that every runtime has
    options = {
        module = true,
        program = true,
        node_args = true,
        env = true,
        directory = true,
        affinity = true,
        start_timeout = true,
    },
}


local function is_absolute(path)
    return path:sub(1, 1) == "/"
end


-- The Node that the build saw, from the manifest.
local function built_with()
    local file = io_open(ROOT .. "/nffi/nffi.json")

    if not file then
        return nil
    end

    local manifest = codecs.json.decode(file:read("*a"))

    file:close()

    return type(manifest) == "table" and manifest.nodeProgram or nil
end


-- The first program that this user may run; every place tried is listed.
local function find_program(option)
    local tried = {}

    if option ~= nil then
        if type(option) ~= "string" or not is_absolute(option) then
            error("program must be an absolute path, got " .. tostring(option),
                  5)
        end

        return option
    end

    for _, path in ipairs({ built_with() or "/usr/local/bin/node",
                            "/usr/local/bin/node", "/usr/bin/node" })
    do
        if C.access(path, X_OK) == 0 then
            return path
        end

        tried[#tried + 1] = path
    end

    return nil, "no Node that this user may run; tried "
                .. concat(tried, ", ")
                .. ": name one with { program = \"/path/of/node\" }",
           "no_program"
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


-- Seen from nginx's prefix, which `nginx -p .` makes relative to the folder
-- that nginx was started in.
local function absolute(path)
    if is_absolute(path) then
        return path
    end

    path = ngx.config.prefix() .. path

    if is_absolute(path) then
        return path
    end

    local folder = ffi.new("char[4096]")

    if C.getcwd(folder, 4096) == nil then
        return path
    end

    return ffi.string(folder) .. "/" .. path
end


local function environment(options, runtime_json)
    local envp = {}
    local path = DEFAULT_PATH

    for name, value in pairs(options.env or {}) do
        if type(name) ~= "string" or name == "" or name:find("[=%z]") then
            error("env: bad name " .. tostring(name), 5)
        end

        if name == "PATH" then
            path = tostring(value)

        else
            envp[#envp + 1] = name .. "=" .. tostring(value)
        end
    end

    envp[#envp + 1] = "PATH=" .. path
    envp[#envp + 1] = "NFFI_ATTACH=1"
    envp[#envp + 1] = "NFFI_RUNTIME=" .. runtime_json

    return envp
end


-- C would cut it short: another program, file or value would be used.
local function no_nul(name, value)
    if value ~= nil and tostring(value):find("%z") then
        error(name .. " must not hold NUL bytes", 5)
    end
end


local function check(options)
    if type(options.module) ~= "string" or options.module == "" then
        error("load(\"node\") wants { module = \"file.ts\" }", 4)
    end

    for _, name in ipairs({ "env", "node_args" }) do
        if options[name] ~= nil and type(options[name]) ~= "table" then
            error(name .. " must be a table", 4)
        end
    end

    if options.affinity ~= nil and options.affinity ~= "all"
       and options.affinity ~= "inherit"
    then
        error("affinity must be \"all\" or \"inherit\"", 4)
    end

    for _, name in ipairs({ "module", "program", "directory" }) do
        no_nul(name, options[name])
    end

    for _, argument in ipairs(options.node_args or {}) do
        no_nul("node_args", argument)
    end

    for _, value in pairs(options.env or {}) do
        no_nul("env", value)
    end
end


-- Starts the process, or finds it. Returns its pointer or nil, message, code.
function _M.start(options, codec)
    check(options)

    local limits = base.limits(options, 3)

    if limits.max_queue == 0 then
        limits.max_queue = DEFAULT_MAX_QUEUE
    end

    if limits.arena == 0 then
        limits.arena = DEFAULT_ARENA
    end

    if limits.max_tasks == 0 then
        limits.max_tasks = limits.max_queue
    end

    local module = absolute(options.module)
    local key = "node\0" .. module .. "\0" .. canonical({
        config = options.config,
        codec = codec.name or "raw",
        program = options.program,
        node_args = options.node_args,
        env = options.env,
        directory = options.directory,
        affinity = options.affinity,
        max_queue = limits.max_queue,
        max_tasks = limits.max_tasks,
        arena = limits.arena,
        start_timeout = limits.start_timeout,
    })

    local pointer = base.find(key)

    if pointer then
        return pointer
    end

    local program, err, code = find_program(options.program)

    if not program then
        return nil, err, code
    end

    local runtime_json, json_err = codecs.json.encode({
        module = module,
        name = options.module,
        codec = codec.name == "json" and "json" or "raw",
        config = options.config,
    })

    if not runtime_json then
        error("cannot encode config: " .. json_err, 3)
    end

    local argv = { program }

    for _, argument in ipairs(options.node_args or {}) do
        argv[#argv + 1] = tostring(argument)
    end

    argv[#argv + 1] = HOST_PROGRAM

    return base.start(key, {
        name = options.module,
        program = program,
        argv = argv,
        envp = environment(options, runtime_json),
        directory = options.directory and absolute(options.directory),
        flags = options.affinity == "inherit" and 0 or RESET_CPUS,
    }, limits)
end


return _M
