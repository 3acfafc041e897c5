-- A runtime that is any program that attaches to its queue with nffi_attach():
-- a process, started by the worker. It reads its configuration with
-- nffi_queue_config(), as the same bytes that a library receives.


local child = require "resty.nffi.child"
local misuse = require "resty.nffi.misuse"
local runtimes = require "resty.nffi.runtimes"


local type = type


local HINT = "does the program attach to its queue, with nffi_attach() and "
             .. "nffi_attach_ready() in C, nffi.Main() in Go, nffi::main() in "
             .. "Rust?"


local _M = {
    codec = "raw",

    -- in addition to the options of every process
    options = setmetatable({ args = true }, { __index = child.options }),
}


local function check(options)
    if type(options.program) ~= "string" or options.program == "" then
        misuse.raise("load(\"process\") requires "
                     .. "{ program = \"/path/of/program\" }")
    end

    child.check(options, { "args" }, { "program", "directory" })
end


-- Starts the process, or finds it. `config`: bytes, or nil for none. Returns
-- its pointer, or nil, message, code.
function _M.start(options, _, config)
    check(options)

    local limits = child.limits(options)
    local program = child.absolute(options.program)
    local argv = { program }

    child.append(argv, options.args)

    local key = child.key("process", config, argv, options, limits)
    local pointer = runtimes.find(key)

    if pointer then
        return pointer
    end

    return child.start(key, {
        name = options.program,
        programs = { program },
        argv = argv,
        config = config,
        hint = HINT,
    }, options, limits)
end


return _M
