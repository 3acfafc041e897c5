-- A runtime in Node: a process, started by the worker, that runs
-- PREFIX/nffi/node/main.js with the user's module.


local bridge = require "resty.nffi.bridge"
local child = require "resty.nffi.child"
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


local MAX_THREADS = 256

-- Node's default. With inspect = true the ports of a runtime begin here.
local INSPECT_PORT = 9229


-- read when this module is loaded, not for each runtime
local PROGRAMS = { "/usr/local/bin/node", "/usr/bin/node" }
local BUILT_WITH = product.manifest().nodeProgram


if BUILT_WITH then
    insert(PROGRAMS, 1, BUILT_WITH)
end


-- Node hangs while it starts if its data may not have this size: the abort of
-- V8 waits for a lock.
local MIN_MEMORY = 48 * 1024 * 1024


local function check_memory(limits)
    local memory = type(limits) == "table" and tonumber(limits.memory)

    if memory and memory > 0 and memory < MIN_MEMORY then
        raise(format("limits.memory must be at least %d (48 MiB), since Node "
                     .. "does not start with less; got %s", MIN_MEMORY,
                     tostring(limits.memory)))
    end
end


local function check(options)
    local program = options.program

    check_memory(options.limits)

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

    misuse.text("profile_dir", options.profile_dir, "a path")
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


return bridge.new({
    name = "node",
    title = "Node",
    module_example = "\"file.ts\"",
    programs = PROGRAMS,
    options = { threads = true, inspect = true, profile_dir = true },
    process_options = { node_args = true },
    lists = { "node_args" },
    paths = { "profile_dir" },
    check = check,

    settings = function(options, settings)
        settings.module = child.absolute(options.module)
        settings.name = options.module
        settings.program = nil
        settings.threads = options.threads and tonumber(options.threads)
        settings.inspect = inspect_ports(options)
        settings.profile_dir = options.profile_dir
                               and child.absolute(options.profile_dir)
    end,

    argv = function(program, options)
        local argv = { program }

        child.append(argv, options.node_args)
        child.append(argv, { "--import", PRELOAD })

        if options.inspect then
            -- the SDK logs the URL, with its level
            argv[#argv + 1] = "--inspect-publish-uid=http"
        end

        argv[#argv + 1] = HOST_PROGRAM

        return argv
    end,
})
