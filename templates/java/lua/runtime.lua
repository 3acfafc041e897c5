-- Loads the runtime of this project, or finds it: the same class and
-- configuration are loaded once in each worker.

local nffi = require "resty.nffi"

local TARGET = "../target/"

local _M = {}

-- In the worker instead of in a process: add host = "worker".
function _M.load()
    return assert(nffi.load("java", {
        module = "com.example.App",
        -- what `make` compiles; in production the jar instead of the classes
        classpath = { TARGET .. "classes", TARGET .. "lib/*" },
        jvm_args = { "-Xmx256m" },
        config = { greeting = "hello" },
    }))
end

return _M
