-- Reloads the code of a runtime without a reload of nginx: waits until the new
-- instances serve, while the old ones complete their calls.


local base = require "resty.core.nonblocking_ffi"


local error = error
local next = next
local ngx = ngx
local pcall = pcall
local tostring = tostring
local type = type


-- Seconds between two looks at processes that start, which takes longer.
local PERIOD = 0.005


local _M = {}


local function library_of(options, level)
    if options == nil then
        return nil
    end

    if type(options) ~= "table" then
        error("options must be a table, got " .. type(options), level + 1)
    end

    local library = options.library

    if library == nil and next(options) ~= nil then
        error("unknown option " .. tostring(next(options)), level + 1)
    end

    if library ~= nil and (type(library) ~= "string" or library == "") then
        error("library must be a path, got " .. tostring(library), level + 1)
    end

    return library
end


-- Yields. Returns true, or nil, message, code: then the old code serves on.
function _M.run(pointer, options, level)
    local library = library_of(options, level + 1)

    -- raises where no coroutine can wait, before anything is started
    local waits, why = pcall(ngx.sleep, 0)

    if not waits then
        return nil, why, "wrong_phase"
    end

    local reload, message, code = base.reload(pointer, library)

    if not reload then
        return nil, message, code
    end

    local done

    repeat
        done, message, code = base.reloaded(reload)

        if done == false then
            ngx.sleep(PERIOD)
        end
    until done ~= false

    return done, message, code
end


return _M
