-- Loads the runtime of this project, or finds it: the same module and
-- configuration are loaded once in each worker.

local nffi = require "resty.nffi"

local PROJECT = ngx.config.prefix() .. "../"

local _M = {}

-- What `make venv` has made; the system's Python otherwise.
local function python()
    local program = PROJECT .. ".venv/bin/python"
    local file = io.open(program)

    if file then
        file:close()
        return program
    end
end

function _M.load()
    return assert(nffi.load("python", {
        module = "hello_runtime.handlers",
        path = PROJECT .. "src",
        program = python(),
        config = { greeting = "hello" },
        -- in the worker instead of in a process: host = "worker"
        host = "process",
    }))
end

return _M
