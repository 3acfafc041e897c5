-- Converts the values of rt.methods to bytes and back. A codec is a table with
-- encode(value) -> bytes | nil, err and decode(bytes) -> value | nil, err, and
-- an optional `name`, which is passed to the runtime.


local error = error
local pcall = pcall
local require = require
local tostring = tostring
local type = type


local cjson


-- The first JSON call loads cjson, so users of raw bytes do not need it.
local function load_cjson()
    if not cjson then
        local found, module = pcall(require, "cjson.safe")

        if not found then
            return nil, "lua-cjson is not installed: " .. tostring(module)
        end

        cjson = module.new and module.new() or module
    end

    return cjson
end


local json = { name = "json" }

function json.encode(value)
    local codec, err = load_cjson()

    if not codec then
        return nil, err
    end

    -- nothing is null, so that a method may be called without an argument
    if value == nil then
        return "null"
    end

    return codec.encode(value)
end

function json.decode(bytes)
    local codec, err = load_cjson()

    if not codec then
        return nil, err
    end

    return codec.decode(bytes)
end


local raw = { name = "raw" }

function raw.encode(value)
    return value
end

function raw.decode(bytes)
    return bytes
end


local _M = { json = json, raw = raw }


-- The codec of an option: nil, a name, or a table of the user's.
function _M.find(option, default, level)
    if option == nil then
        return _M[default]
    end

    if option == "json" or option == "raw" then
        return _M[option]
    end

    if type(option) == "table" and type(option.encode) == "function"
       and type(option.decode) == "function"
    then
        return option
    end

    error("codec must be \"json\", \"raw\" or a table with encode and decode",
          level + 1)
end


return _M
