-- Loads the runtimes of this project, or finds them: the same library and
-- configuration are loaded once in each worker.

local nffi = require "resty.nffi"

local BUILD = ngx.config.prefix() .. "../build/"

-- As a process: replace `BUILD .. "lib...so", {` by
-- "process", { program = "../build/...", the same without lib and .so

local _M = {}

-- Many quick calls: a thread takes up to 32 of them together.
function _M.quick()
    return assert(nffi.load(BUILD .. "libhello-runtime.so", {
        codec = "json",
        config = { greeting = "hello", threads = 2, batch = 32 },
    }))
end

-- Few long ones: none waits for another one's thread. It is the same library.
function _M.busy()
    return assert(nffi.load(BUILD .. "libhello-runtime.so", {
        codec = "json",
        config = { threads = 4, batch = 1 },
    }))
end

-- What waits, with one thread for any number of calls.
function _M.loop()
    return assert(nffi.load(BUILD .. "libhello-runtime-loop.so", {
        codec = "json",
    }))
end

return _M
