-- A runtime in Python: CPython runs PREFIX/nffi/python with the user's module,
-- as a process or hosted in the worker.


local bridge = require "resty.nffi.bridge"
local child = require "resty.nffi.child"
local misuse = require "resty.nffi.misuse"
local product = require "resty.nffi.product"


local find = string.find
local ipairs = ipairs
local ngx = ngx
local raise = misuse.raise
local tostring = tostring
local type = type
local whole_number = misuse.whole_number


local HOST_PROGRAM = product.ROOT .. "/python/nffi_process.py"

-- Max threads of a runtime. They share one lock when they compute.
local MAX_THREADS = 1024


-- "app.py" and "lib/app.py" are files, "package.module" is a name.
local function is_file(module)
    return find(module, "/", 1, true) ~= nil or find(module, "%.py$") ~= nil
end


local function directories_of(path)
    if path == nil then
        return nil
    end

    local directories = {}

    for i, directory in ipairs(type(path) == "table" and path or { path }) do
        if type(directory) ~= "string" or directory == ""
           or find(directory, "%z")
        then
            raise("path must be a directory or a list of directories, got "
                  .. tostring(directory))
        end

        directories[i] = child.absolute(directory)
    end

    return directories
end


local function threads_of(threads)
    if threads == nil then
        return nil
    end

    return whole_number("threads", threads, 1, MAX_THREADS)
end


return bridge.new({
    name = "python",
    title = "Python",
    module_example = "\"app.py\"",
    programs = { "/usr/local/bin/python3", "/usr/bin/python3" },
    options = { host = true, handler = true, path = true, threads = true },
    process_options = { python_args = true },
    lists = { "python_args" },

    settings = function(options, settings)
        settings.path = directories_of(options.path)
        settings.threads = threads_of(options.threads)
        settings.prefix = child.absolute(ngx.config.prefix())

        if is_file(options.module) then
            settings.file = child.absolute(options.module)
        end
    end,

    argv = function(program, options)
        local argv = { program }

        child.append(argv, options.python_args)
        argv[#argv + 1] = HOST_PROGRAM

        return argv
    end,
})
