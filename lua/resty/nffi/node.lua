-- A runtime in Node: a process, started by the worker, that runs
-- PREFIX/nffi/node/main.js with the user's module.


local base = require "resty.core.nonblocking_ffi"
local child = require "resty.nffi.child"
local codecs = require "resty.nffi.codecs"
local misuse = require "resty.nffi.misuse"
local product = require "resty.nffi.product"


local format = string.format
local insert = table.insert
local ngx = ngx
local raise = misuse.raise
local tonumber = tonumber
local tostring = tostring
local type = type


local HOST_PROGRAM = product.ROOT .. "/node/main.js"

-- Threads and processes that a module starts inherit this preload, so that they
-- can load TypeScript as well. Node reads it as a URL. A VM of
-- ngx.run_worker_thread() has no ngx.escape_uri().
local PRELOAD = "file://"
                .. product.ROOT:gsub("[^%w/._~-]", function(byte)
                    return format("%%%02X", byte:byte())
                end)
                .. "/node/preload.js"


local _M = {
    codec = "json",

    -- in addition to the options of every process
    options = setmetatable({
        module = true,
        node_args = true,
        threads = true,
        inspect = true,
        profile_dir = true,
    }, { __index = child.options }),
}


local MAX_THREADS = 256

-- Node's default. With inspect = true the ports of a runtime begin here.
local INSPECT_PORT = 9229


-- read when this module is loaded, not for each runtime
local PROGRAMS = { "/usr/local/bin/node", "/usr/bin/node" }
local BUILT_WITH = product.manifest().nodeProgram


if BUILT_WITH then
    insert(PROGRAMS, 1, BUILT_WITH)
end


local function check(options)
    if type(options.module) ~= "string" or options.module == "" then
        raise("load(\"node\") requires { module = \"file.ts\" }")
    end

    local program = options.program

    if program ~= nil
       and (type(program) ~= "string" or not child.is_absolute(program))
    then
        raise("program must be an absolute path, got " .. tostring(program))
    end

    misuse.whole_number("threads", options.threads or 1, 1, MAX_THREADS)

    local port = options.inspect

    if port ~= nil and type(port) ~= "boolean"
       and not (type(port) == "number" and port >= 0 and port <= 65535
                and port % 1 == 0)
    then
        raise("inspect must be true or a port, got " .. tostring(port))
    end

    -- a wrong count of processes is reported later, with the other options
    if type(port) == "number" and port > 0
       and port + ngx.worker.count() * (tonumber(options.processes) or 1)
           > 65536
    then
        raise("inspect = " .. port .. " leaves too few ports for each process "
              .. "of each worker: the last one is 65535")
    end

    local folder = options.profile_dir

    if folder ~= nil and (type(folder) ~= "string" or folder == "") then
        raise("profile_dir must be a string that is not empty")
    end

    child.check(options, { "node_args" },
                { "module", "program", "directory", "profile_dir" })
end


-- Returns the ports of this worker's processes: the first one, 0 for any, and
-- their number.
local function inspect_ports(options)
    local port = options.inspect

    if not port then
        return nil
    end

    local count = tonumber(options.processes or 1)
    local first = port == true and INSPECT_PORT or port

    if first ~= 0 then
        first = first + (ngx.worker.id() or 0) * count
    end

    return { first = first, count = count }
end


-- Starts the process, or finds it. Returns its pointer, or nil, message, code.
function _M.start(options, codec)
    check(options)

    local limits = child.limits(options)
    local module = child.absolute(options.module)
    local programs = options.program and { options.program } or PROGRAMS
    local runtime_json = codecs.configuration({
        module = module,
        name = options.module,
        codec = codec.name == "json" and "json" or "raw",
        config = options.config,
        threads = options.threads and tonumber(options.threads),
        inspect = inspect_ports(options),
        profile_dir = options.profile_dir
                      and child.absolute(options.profile_dir),
    }, "")

    local argv = { programs[1] }

    child.append(argv, options.node_args)
    child.append(argv, { "--import", PRELOAD })

    if options.inspect then
        -- the SDK logs the URL, with its level
        argv[#argv + 1] = "--inspect-publish-uid=http"
    end

    argv[#argv + 1] = HOST_PROGRAM

    local key = child.key("node", { runtime_json, codec.name, n = 2 }, argv,
                          options, limits)

    local pointer = base.find(key)

    if pointer then
        return pointer
    end

    return child.start(key, options.module, programs, argv, runtime_json,
                       options, limits)
end


return _M
