-- Converts the values of rt.methods to bytes and back. A codec is a table with
-- encode(value) -> bytes | nil, err and decode(bytes) -> value | nil, err, and
-- an optional `name`, which is passed to the runtime.


local json_decode = require "resty.nffi.json_decode"
local json_encode = require "resty.nffi.json_encode"
local misuse = require "resty.nffi.misuse"


local encode = json_encode.encode
local tostring = tostring
local type = type


local json = { name = "json", decode = json_decode.decode }

-- no value is null, so that a method can be called without an argument
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


-- Returns the JSON of a configuration. Equal configurations give equal text,
-- since it is part of the key of the runtime. Raises if it cannot be encoded.
-- `name`: of the value, for messages; "" if its fields have names.
function _M.configuration(value, name)
    local text, err = json_encode.canonical(value, name)

    if not text then
        if name == "" then
            err = err:gsub("^%.", "")
        end

        misuse.raise("cannot encode config: " .. err)
    end

    return text
end


-- Returns the codec of an option: nil, a name, or a table of the user.
function _M.find(option, default)
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

    misuse.raise("codec must be \"json\", \"raw\" or a table with encode and "
                 .. "decode, got " .. tostring(option)
                 .. misuse.hint(option, { json = true, raw = true }))
end


return _M
