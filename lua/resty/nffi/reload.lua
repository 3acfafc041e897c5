-- Reloads the code of a runtime without a reload of nginx: waits until the new
-- instances serve, while the old ones complete their calls.


local calls = require "resty.nffi.calls"
local misuse = require "resty.nffi.misuse"
local runtimes = require "resty.nffi.runtimes"


local ngx = ngx


-- Seconds between two checks of processes that start. A start takes longer.
local PERIOD = 0.005

local OPTIONS = { library = true }


local _M = {}


local function library_of(options)
    if options == nil then
        return nil
    end

    misuse.check_names("option", options, OPTIONS)

    local library = options.library

    misuse.text("library", library, "a path")

    return library
end


-- Yields. Returns true, or nil, message, code: then the old code stays in use.
function _M.run(pointer, options)
    local library = library_of(options)

    -- check this before anything starts
    local waits, why, why_code = calls.may_wait()

    if not waits then
        return nil, why, why_code
    end

    local reload, message, code = runtimes.reload(pointer, library)

    if not reload then
        return nil, message, code
    end

    local done

    repeat
        done, message, code = runtimes.reloaded(reload)

        if done == false then
            ngx.sleep(PERIOD)
        end
    until done ~= false

    return done, message, code
end


return _M
