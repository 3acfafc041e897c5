-- Errors for misuse of resty.nffi. They are raised at the line of the user's
-- code, with a suggestion for a misspelled word.


local concat = table.concat
local error = error
local format = string.format
local getinfo = debug.getinfo
local ipairs = ipairs
local math_min = math.min
local pairs = pairs
local sort = table.sort
local sub = string.sub
local tonumber = tonumber
local tostring = tostring
local type = type


-- "@PREFIX/lualib/resty/", the start of the chunk names of these files
local DIRECTORY = getinfo(1, "S").source:match("^(@.*)nffi/[^/]*$") or "@"
local OURS = DIRECTORY .. "nffi/"
local OTHERS = {
    [DIRECTORY .. "nffi.lua"] = true,
    [DIRECTORY .. "core/nonblocking_ffi.lua"] = true,
}

-- Longer words are not typing errors, and comparing them costs too much.
local MAX_WORD = 64


local _M = {}


-- Raises at the first line outside of these files. A fixed level would be wrong
-- after a tail call, which leaves no frame.
function _M.raise(message)
    local level = 2
    local info = getinfo(level, "S")

    while info and (info.what == "C" or OTHERS[info.source]
                    or sub(info.source, 1, #OURS) == OURS)
    do
        level = level + 1
        info = getinfo(level, "S")
    end

    error(message, info and level or 0)
end


local raise = _M.raise


-- Returns the option `name` as a number. Raises unless it is a whole number
-- from `min` to `max`.
function _M.whole_number(name, value, min, max)
    local n = tonumber(value)

    if not n or n < min or n > max or n % 1 ~= 0 then
        raise(format("%s must be a whole number from %d to %.0f, got %s", name,
                     min, max, tostring(value)))
    end

    return n
end


-- Raises unless an option is nil or a string that is not empty. `what`: the
-- expected value.
function _M.text(name, value, what)
    if value ~= nil and (type(value) ~= "string" or value == "") then
        raise(name .. " must be " .. what .. ", got "
              .. (value == "" and "an empty string" or tostring(value)))
    end
end


-- Returns the edit distance of two words; a swap of neighbours is one edit.
-- Three rows of the usual table are enough.
local function distance(a, b)
    local before, row = {}, {}

    for j = 0, #b do
        row[j] = j
    end

    for i = 1, #a do
        local next_row = { [0] = i }

        for j = 1, #b do
            local same = a:byte(i) == b:byte(j)

            next_row[j] = math_min(row[j] + 1, next_row[j - 1] + 1,
                                   row[j - 1] + (same and 0 or 1))

            if i > 1 and j > 1 and a:byte(i) == b:byte(j - 1)
               and a:byte(i - 1) == b:byte(j)
            then
                next_row[j] = math_min(next_row[j], before[j - 2] + 1)
            end
        end

        before, row = row, next_row
    end

    return row[#b]
end


-- Returns the word of the set `words` that is nearest to `word`, or nil if none
-- is near. Ignores case, and treats "-" as "_".
function _M.nearest(word, words)
    if type(word) ~= "string" or #word > MAX_WORD then
        return nil
    end

    local sorted, best, shortest = {}, nil, nil

    for candidate in pairs(words) do
        sorted[#sorted + 1] = candidate
    end

    sort(sorted)
    word = word:lower():gsub("-", "_")

    for _, candidate in ipairs(sorted) do
        local steps = distance(word, candidate)
        local max = #word > #candidate and #word or #candidate

        if steps <= (max + 1) / 3 and (not best or steps < shortest) then
            best, shortest = candidate, steps
        end
    end

    return best
end


-- Returns "; did you mean ...?", or "".
function _M.hint(word, words)
    local nearest = _M.nearest(word, words)

    return nearest and "; did you mean \"" .. nearest .. "\"?" or ""
end


-- Raises for a name that is not in the set `words`.
function _M.unknown(kind, name, words)
    raise("unknown " .. kind .. " \"" .. tostring(name) .. "\""
          .. _M.hint(name, words))
end


-- Raises unless `options` is a table whose names are all in `words`.
function _M.check_names(kind, options, words)
    if type(options) ~= "table" then
        raise(kind .. "s must be a table, got " .. type(options))
    end

    for name in pairs(options) do
        if not words[name] then
            _M.unknown(kind, name, words)
        end
    end
end


-- Raises for a value that is not in the list `values`.
function _M.not_one_of(name, value, values)
    local quoted, set = {}, {}

    for i, each in ipairs(values) do
        quoted[i] = "\"" .. each .. "\""
        set[each] = true
    end

    raise(name .. " must be " .. concat(quoted, " or ") .. ", got "
          .. tostring(value) .. _M.hint(value, set))
end


return _M
