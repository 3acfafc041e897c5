-- Converts the user's values to bytes: payloads, and the options of programs.


local misuse = require "resty.nffi.misuse"


local format = string.format
local raise = misuse.raise
local tonumber = tonumber
local tostring = tostring
local type = type


local _M = {}


-- Returns the shortest text that reads back as the same number: tostring()
-- keeps 14 digits of 17. A whole number has neither a fraction nor an exponent.
local function number_text(number)
    if number % 1 == 0 and number >= -0x1p63 and number < 0x1p63 then
        if number == 0 and 1 / number < 0 then
            return "-0"
        end

        return format("%d", number)
    end

    local text = format("%.15g", number)

    if tonumber(text) ~= number then
        text = format("%.16g", number)
    end

    if tonumber(text) ~= number then
        text = format("%.17g", number)
    end

    return text
end

_M.of_number = number_text


-- Returns the text of an option for a program: an argument or a variable.
function _M.of(value)
    if type(value) == "number" then
        return number_text(value)
    end

    return tostring(value)
end


-- Returns the bytes of a payload: a string, a number or nil. `hint`: the end of
-- the error message for a table.
function _M.bytes(payload, hint)
    local kind = type(payload)

    if kind == "string" or kind == "nil" then
        return payload
    end

    if kind == "number" then
        return number_text(payload)
    end

    raise("payload must be a string, got " .. kind
          .. (kind == "table" and hint or ""))
end


return _M
