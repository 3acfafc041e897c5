-- Loads the runtime of this project, or finds it: the same library and
-- configuration are loaded once in each worker.

local nffi = require "resty.nffi"

local LIBRARY = ngx.config.prefix() .. "../build/libhello-runtime.so"

-- As a process: nffi.load("process", { program = PROGRAM, ... })
-- local PROGRAM = "../build/hello-runtime"

local _M = {}

function _M.load()
    return assert(nffi.load(LIBRARY, {
        codec = "json",
        config = { greeting = "hello" },
    }))
end

return _M
