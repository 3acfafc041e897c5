-- Converts the values of rt.methods to bytes and back. A codec is a table with
-- encode(value) -> bytes | nil, err and decode(bytes) -> value | nil, err, and
-- an optional `name`, which is passed to the runtime.


local json_decode = require "resty.nffi.json_decode"
local json_encode = require "resty.nffi.json_encode"


local encode = json_encode.encode
local error = error
local type = type


local json = { name = "json", decode = json_decode.decode }

-- nothing is null, so that a method may be called without an argument
function json.encode(value)
    return encode(value, "payload")
end


local raw = { name = "raw" }

function raw.encode(value)
    return value
end

function raw.decode(bytes)
    return bytes
end


local _M = { json = json, raw = raw }


-- The JSON of a configuration, the same for two that are equal: it is part of
-- the key by which a runtime is found again. Raises at `level`, 1 for the
-- caller's line. `name`: the value's, for messages; "" where that is the name
-- of a field of it.
function _M.configuration(value, name, level)
    local text, err = json_encode.canonical(value, name)

    if not text then
        if name == "" then
            err = err:gsub("^%.", "")
        end

        error("cannot encode config: " .. err, level + 1)
    end

    return text
end


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
