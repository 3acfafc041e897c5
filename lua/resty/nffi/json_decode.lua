-- Decodes JSON into Lua values. Numbers become the nearest double, half of a
-- surrogate pair becomes U+FFFD, and an empty list gets a marker, so that it is
-- encoded as a list again.


local ffi = require "ffi"
local markers = require "resty.nffi.json_markers"


local byte = string.byte
local cast = ffi.cast
local empty_array_mt = markers.empty_array_mt
local error = error
local ffi_copy = ffi.copy
local ffi_new = ffi.new
local ffi_string = ffi.string
local find = string.find
local null = markers.null
local pcall = pcall
local setmetatable = setmetatable
local sub = string.sub
local tonumber = tonumber
local tostring = tostring


-- Levels of lists and objects; the encoder has the same limit.
local MAX_DEPTH = 1000

-- Numbers with up to this many digits are computed digit by digit, exactly.
local MAX_DIGITS = 15

-- A string with escapes up to this size needs no new memory, in bytes.
local KEPT = 65536

local QUOTE, PLUS, COMMA, MINUS, DOT = 34, 43, 44, 45, 46
local ZERO, NINE, COLON = 48, 57, 58
local OPEN_LIST, BACKSLASH, CLOSE_LIST = 91, 92, 93
local OPEN_OBJECT, CLOSE_OBJECT = 123, 125
local UPPER_E, LOWER_E, LOWER_F, LOWER_N, LOWER_T, LOWER_U = 69, 101, 102, 110,
                                                           116, 117

local ESCAPED = { [34] = 34, [47] = 47, [92] = 92, [98] = 8, [102] = 12,
                  [110] = 10, [114] = 13, [116] = 9 }

local HEX = {}

for digit = 0, 9 do
    HEX[ZERO + digit] = digit
end

for digit = 10, 15 do
    HEX[55 + digit], HEX[87 + digit] = digit, digit
end

local POWERS = {}

for power = 0, MAX_DIGITS do
    POWERS[power] = 10 ^ power
end

local REPLACEMENT = 0xfffd

local BYTES = ffi.typeof("const unsigned char *")
local MEMORY = ffi.typeof("unsigned char[?]")


-- One decoder per VM: it neither yields nor calls code of the user.
local text
local at
local backslash     -- the first one that is not before the current string
local kept = ffi_new(MEMORY, KEPT)


local function fail(what)
    error("invalid JSON: " .. what .. " at byte " .. tostring(at), 0)
end


local function hex(from)
    local a, b, c, d = byte(text, from, from + 3)

    a, b, c, d = HEX[a], HEX[b], HEX[c], HEX[d]

    if not (a and b and c and d) then
        at = from
        fail("invalid \\u escape")
    end

    return a * 4096 + b * 256 + c * 16 + d
end


-- Returns the code point of an escape whose digits begin at `from`, and its
-- end.
local function code_point(from)
    local code = hex(from)

    from = from + 4

    if code < 0xd800 or code > 0xdfff then
        return code, from
    end

    if code < 0xdc00 and byte(text, from) == BACKSLASH
       and byte(text, from + 1) == LOWER_U
    then
        local low = hex(from + 2)

        if low >= 0xdc00 and low <= 0xdfff then
            return (code - 0xd800) * 1024 + low - 0xdc00 + 0x10000, from + 6
        end
    end

    return REPLACEMENT, from
end


-- Writes a code point as UTF-8. Returns the position after it.
local function put_code(into, length, code)
    if code < 0x80 then
        into[length] = code
        return length + 1
    end

    local last = code % 64
    local rest = (code - last) / 64

    if code < 0x800 then
        into[length], into[length + 1] = 0xc0 + rest, 0x80 + last
        return length + 2
    end

    local middle = rest % 64

    rest = (rest - middle) / 64

    if code < 0x10000 then
        into[length], into[length + 1] = 0xe0 + rest, 0x80 + middle
        into[length + 2] = 0x80 + last
        return length + 3
    end

    into[length], into[length + 1] = 0xf0 + (rest - rest % 64) / 64,
                                     0x80 + rest % 64
    into[length + 2], into[length + 3] = 0x80 + middle, 0x80 + last

    return length + 4
end


-- Returns the position of the closing quote of the string that begins at
-- `from`.
local function closing_quote(from)
    local quote
    local skip = backslash
    local start = from

    repeat
        quote = find(text, '"', start, true)

        if not quote then
            at = from - 1
            fail("unterminated string")
        end

        while skip and skip < quote do
            start = skip + 2
            skip = find(text, "\\", start, true)
        end
    until start <= quote

    return quote
end


-- Reads a string with escapes. The result is never longer than its JSON text.
local function read_escaped(from)
    local quote = closing_quote(from)
    local into = quote - from <= KEPT and kept
                 or ffi_new(MEMORY, quote - from)
    local bytes = cast(BYTES, text) - 1     -- counts from 1, as Lua does
    local length = 0

    while backslash and backslash < quote do
        local plain = backslash - from

        ffi_copy(into + length, bytes + from, plain)
        length = length + plain

        local kind = byte(text, backslash + 1)
        local simple = ESCAPED[kind]

        if simple then
            into[length] = simple
            length, from = length + 1, backslash + 2

        elseif kind == LOWER_U then
            local code

            code, from = code_point(backslash + 2)
            length = put_code(into, length, code)

        else
            at = backslash
            fail("invalid escape")
        end

        backslash = find(text, "\\", from, true)
    end

    ffi_copy(into + length, bytes + from, quote - from)
    at = quote + 1

    return ffi_string(into, length + quote - from)
end


-- `from`: the position after the opening quote.
local function read_string(from)
    if backslash and backslash < from then
        backslash = find(text, "\\", from, true)
    end

    local quote = find(text, '"', from, true)

    if not quote then
        at = from - 1
        fail("unterminated string")
    end

    if backslash and backslash < quote then
        return read_escaped(from)
    end

    at = quote + 1

    return sub(text, from, quote - 1)
end


-- Reads digits from `at` on, at least one. Returns `number` with them appended,
-- and the byte after them.
local function read_digits(number)
    local first = at
    local code = byte(text, at)

    while code and code >= ZERO and code <= NINE do
        number = number * 10 + (code - ZERO)
        at = at + 1
        code = byte(text, at)
    end

    if at == first then
        fail("invalid number")
    end

    return number, code
end


local function skip_exponent()
    at = at + 1

    local sign = byte(text, at)

    if sign == MINUS or sign == PLUS then
        at = at + 1
    end

    read_digits(0)
end


-- With at most 15 digits, the digits and the power of ten are exact, so one
-- division gives the nearest double. tonumber() converts all others.
local function read_number(code)
    local from, sign, fraction = at, 1, 0

    if code == MINUS then
        sign, at = -1, at + 1

    elseif not code or code < ZERO or code > NINE then
        fail("expected a value")
    end

    local number
    local first = at

    number, code = read_digits(0)

    local digits = at - first

    if digits > 1 and byte(text, first) == ZERO then
        at = from
        fail("invalid number")
    end

    if code == DOT then
        at = at + 1
        first = at
        number, code = read_digits(number)
        fraction = at - first
    end

    if code == LOWER_E or code == UPPER_E then
        skip_exponent()

    elseif digits + fraction <= MAX_DIGITS then
        return sign * number / POWERS[fraction]
    end

    number = tonumber(sub(text, from, at - 1))

    if not number or number - number ~= 0 then
        at = from
        fail("number out of range")
    end

    return number
end


-- Returns the next byte that is not blank. `at` is its position.
local function next_byte()
    local code = byte(text, at)

    while code == 32 or code == 10 or code == 13 or code == 9 do
        at = at + 1
        code = byte(text, at)
    end

    return code
end


local read_value


local function read_list(depth)
    local list, length = {}, 0

    at = at + 1

    if next_byte() == CLOSE_LIST then
        at = at + 1
        return setmetatable(list, empty_array_mt)
    end

    while true do
        length = length + 1
        list[length] = read_value(depth)

        local code = next_byte()

        if code == CLOSE_LIST then
            at = at + 1
            return list
        end

        if code ~= COMMA then
            fail('expected "," or "]"')
        end

        at = at + 1
    end
end


local function read_object(depth)
    local object = {}

    at = at + 1

    if next_byte() == CLOSE_OBJECT then
        at = at + 1
        return object
    end

    while true do
        if next_byte() ~= QUOTE then
            fail("expected a name")
        end

        local name = read_string(at + 1)

        if next_byte() ~= COLON then
            fail('expected ":"')
        end

        at = at + 1
        object[name] = read_value(depth)

        local code = next_byte()

        if code == CLOSE_OBJECT then
            at = at + 1
            return object
        end

        if code ~= COMMA then
            fail('expected "," or "}"')
        end

        at = at + 1
    end
end


local function read_word(word, value)
    local last = at + #word - 1

    if sub(text, at, last) ~= word then
        fail("expected a value")
    end

    at = last + 1

    return value
end


function read_value(depth)
    local code = next_byte()

    if code == QUOTE then
        return read_string(at + 1)
    end

    if code == OPEN_OBJECT or code == OPEN_LIST then
        if depth == MAX_DEPTH then
            fail("nested deeper than " .. MAX_DEPTH .. " levels")
        end

        return code == OPEN_OBJECT and read_object(depth + 1)
               or read_list(depth + 1)
    end

    if code == LOWER_T then
        return read_word("true", true)
    end

    if code == LOWER_F then
        return read_word("false", false)
    end

    if code == LOWER_N then
        return read_word("null", null)
    end

    return read_number(code)
end


local function decode()
    local value = read_value(0)

    if next_byte() then
        fail("unexpected text after the value")
    end

    return value
end


local _M = {}


-- Returns a value, never nil, or nil, message.
function _M.decode(bytes)
    text, at, backslash = bytes, 1, 0

    -- also catches a lack of memory for the value
    local done, value = pcall(decode)

    text = nil

    if not done then
        return nil, tostring(value)
    end

    return value
end


return _M
