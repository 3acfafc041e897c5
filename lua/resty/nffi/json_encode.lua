-- Encodes Lua values as JSON. Numbers are exact. A value that JSON cannot
-- represent is an error that names its path. Does not depend on lua-cjson, but
-- accepts its markers of lists (array_mt, empty_array).


local abi = require "resty.nffi.abi"
local ffi = require "ffi"
local markers = require "resty.nffi.json_markers"
local texts = require "resty.nffi.text"


local C = ffi.C
local glue = abi.C
local array_mt = markers.array_mt
local cast = ffi.cast
local concat = table.concat
local empty_array = markers.empty_array
local empty_array_mt = markers.empty_array_mt
local error = error
local ffi_copy = ffi.copy
local ffi_gc = ffi.gc
local ffi_string = ffi.string
local floor = math.floor
local format = string.format
local getmetatable = getmetatable
local is_type = ffi.istype
local match = string.match
local max = math.max
local next = next
local null = markers.null
local number_text = texts.of_number
local pcall = pcall
local rawget = rawget
local sort = table.sort
local sub = string.sub
local tonumber = tonumber
local tostring = tostring
local type = type


ffi.cdef[[
size_t ngx_http_lua_nonblocking_ffi_plain(const unsigned char *text,
    size_t size);
void *realloc(void *memory, size_t size);
void free(void *memory);
]]


-- Levels of lists and objects; the decoder has the same limit.
local MAX_DEPTH = 1000

-- A list with a larger share of holes is treated as a mistake, as in lua-cjson.
local SPARSE_RATIO, SPARSE_SAFE = 2, 10

-- The size of the buffer that is kept between two calls, in bytes.
local KEPT = 65536

-- A path in a message is cut after this many bytes.
local MAX_PATH = 200

local QUOTE, COMMA, COLON = 34, 44, 58
local OPEN_LIST, CLOSE_LIST, OPEN_OBJECT, CLOSE_OBJECT = 91, 93, 123, 125

local ESCAPES = { [34] = '\\"', [92] = "\\\\", [8] = "\\b", [9] = "\\t",
                  [10] = "\\n", [12] = "\\f", [13] = "\\r" }

for code = 0, 31 do
    ESCAPES[code] = ESCAPES[code] or format("\\u%04x", code)
end

local BYTES = ffi.typeof("const unsigned char *")
local MEMORY = ffi.typeof("unsigned char *")
local INT64, UINT64 = ffi.typeof("int64_t"), ffi.typeof("uint64_t")


-- One encoder per VM: it neither yields nor calls code of the user.
local buffer, size, used = cast(MEMORY, nil), 0, 0
local sorted = false
local any_bytes = false
local root
local path = {}     -- the key of each level


local function fail(depth, what)
    local parts = { root }

    for level = 1, depth do
        local key = path[level]

        parts[level + 1] = type(key) == "number" and "[" .. key .. "]"
                           or "." .. tostring(key)
    end

    local text = concat(parts)

    if #text > MAX_PATH then
        text = text:sub(1, MAX_PATH) .. "..."
    end

    error(text .. " " .. what, 0)
end


local function grow(more)
    local wanted = max(size * 2, used + more, KEPT)
    local moved = C.realloc(ffi_gc(buffer, nil), wanted)

    if moved == nil then
        buffer = ffi_gc(buffer, C.free)
        error("not enough memory for " .. format("%d", wanted) .. " bytes", 0)
    end

    buffer, size = ffi_gc(cast(MEMORY, moved), C.free), wanted
end


local function put(text)
    local length = #text

    if used + length > size then
        grow(length)
    end

    ffi_copy(buffer + used, text, length)
    used = used + length
end


local function put_byte(code)
    if used == size then
        grow(1)
    end

    buffer[used] = code
    used = used + 1
end


-- Writes the rest of a string, from a byte at `at` that needs an escape or is
-- not UTF-8. `bytes`: the address of `text`.
local function put_escaped(text, bytes, at, length, depth)
    while at < length do
        local escape = ESCAPES[bytes[at]]

        if not escape and not any_bytes then
            fail(depth, "is not UTF-8 (at byte " .. at + 1 .. ")")
        end

        put(escape or sub(text, at + 1, at + 1))
        at = at + 1

        local plain = tonumber(glue.ngx_http_lua_nonblocking_ffi_plain(
            bytes + at, length - at))
        if used + plain > size then
            grow(plain)
        end

        ffi_copy(buffer + used, bytes + at, plain)
        used = used + plain
        at = at + plain
    end
end


local function put_string(text, depth)
    local length = #text

    if used + length + 2 > size then
        grow(length + 2)
    end

    local bytes = cast(BYTES, text)
    local plain = tonumber(glue.ngx_http_lua_nonblocking_ffi_plain(bytes,
                                                                   length))

    buffer[used] = QUOTE
    ffi_copy(buffer + used + 1, text, plain)
    used = used + plain + 1

    if plain < length then
        put_escaped(text, bytes, plain, length, depth)
    end

    put_byte(QUOTE)
end


local function put_number(number, depth)
    if number - number ~= 0 then
        fail(depth, "is " .. (number ~= number and "NaN" or "infinite")
                    .. ", which JSON does not have")
    end

    -- 0 and -0 are equal, so they are the same key
    put(sorted and number == 0 and "0" or number_text(number))
end


-- Returns the length of a table that is a list, including its holes, or nil.
local function list_length(value, depth)
    local first = next(value)
    local mark = getmetatable(value)

    if first == nil then
        return (mark ~= nil and (mark == array_mt or mark == empty_array_mt))
               and 0 or nil
    end

    local count, last = 0, 0

    for key in next, value do
        if type(key) ~= "number" or key < 1 or floor(key) ~= key then
            if mark ~= nil and mark == array_mt then
                fail(depth, "is marked as a list and has the key "
                            .. tostring(key))
            end

            return nil
        end

        count = count + 1
        last = max(last, key)
    end

    if last > count * SPARSE_RATIO and last > SPARSE_SAFE then
        fail(depth, format("is a sparse list: its last index is %.0f, and it "
                           .. "has %d items", last, count))
    end

    return last
end


local function put_key(value, key, depth)
    if type(key) == "string" then
        return put_string(key, depth)
    end

    if type(key) ~= "number" or key - key ~= 0 then
        fail(depth, "has a key that is no string: a " .. type(key))
    end

    local text = number_text(key)

    if rawget(value, text) ~= nil then
        fail(depth, "has the keys " .. text .. " and \"" .. text .. "\"")
    end

    put_string(text, depth)
end


-- Names sort before numbers.
local function is_before(a, b)
    local kind_a, kind_b = type(a), type(b)

    if kind_a ~= kind_b then
        return kind_a == "string"
    end

    if kind_a ~= "string" and kind_a ~= "number" then
        return false    -- writing it raises the error
    end

    return a < b
end


local put_value


local function put_list(value, length, depth)
    local below = depth + 1

    put_byte(OPEN_LIST)

    for index = 1, length do
        if index > 1 then
            put_byte(COMMA)
        end

        path[below] = index
        put_value(rawget(value, index), below)
    end

    put_byte(CLOSE_LIST)
end


local function put_sorted(value, depth)
    local keys, below = {}, depth + 1

    for key in next, value do
        keys[#keys + 1] = key
    end

    sort(keys, is_before)
    put_byte(OPEN_OBJECT)

    for index = 1, #keys do
        if index > 1 then
            put_byte(COMMA)
        end

        put_key(value, keys[index], depth)
        put_byte(COLON)
        path[below] = keys[index]
        put_value(rawget(value, keys[index]), below)
    end

    put_byte(CLOSE_OBJECT)
end


local function put_object(value, depth)
    local below, any = depth + 1, false

    put_byte(OPEN_OBJECT)

    for key, item in next, value do
        if any then
            put_byte(COMMA)
        end

        any = true
        put_key(value, key, depth)
        put_byte(COLON)
        path[below] = key
        put_value(item, below)
    end

    put_byte(CLOSE_OBJECT)
end


local function put_table(value, depth)
    if depth == MAX_DEPTH then
        fail(depth, "is nested deeper than " .. MAX_DEPTH
                    .. " levels, or contains itself")
    end

    local length = list_length(value, depth)

    if length then
        return put_list(value, length, depth)
    end

    if sorted then
        return put_sorted(value, depth)
    end

    return put_object(value, depth)
end


local function put_other(value, kind, depth)
    if value == nil or value == null then
        return put("null")
    end

    if kind == "userdata" and value == empty_array then
        return put("[]")
    end

    if kind == "cdata" and (is_type(INT64, value) or is_type(UINT64, value))
    then
        return put(match(tostring(value), "^-?%d+"))
    end

    fail(depth, "is a " .. kind .. ", which JSON does not have")
end


function put_value(value, depth)
    local kind = type(value)

    if kind == "string" then
        return put_string(value, depth)
    end

    if kind == "number" then
        return put_number(value, depth)
    end

    if kind == "table" then
        return put_table(value, depth)
    end

    if kind == "boolean" then
        return put(value and "true" or "false")
    end

    return put_other(value, kind, depth)
end


local function encode(value)
    used = 0
    put_value(value, 0)

    return ffi_string(buffer, used)
end


local function run(value, name, is_sorted, takes_any_bytes)
    root, sorted, any_bytes = name or "value", is_sorted, takes_any_bytes

    -- also catches a lack of memory for the text
    local done, text = pcall(encode, value)

    if size > KEPT then
        C.free(ffi_gc(buffer, nil))
        buffer, size = cast(MEMORY, nil), 0
    end

    if not done then
        return nil, tostring(text)
    end

    return text
end


local _M = { MAX_DEPTH = MAX_DEPTH }


-- Returns text, or nil, message. `name`: of the value, for messages.
function _M.encode(value, name)
    return run(value, name, false, false)
end


-- The same with sorted keys: equal values have equal text, so that the key of a
-- runtime is the same.
function _M.canonical(value, name)
    return run(value, name, true, false)
end


-- The same for strings of any bytes. Different values have different
-- texts, which are not always JSON.
function _M.key(value)
    return run(value, "key", true, true)
end


return _M
