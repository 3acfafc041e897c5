-- Checks the arguments of nffi.load(). Wrong ones raise at the user's line,
-- with a suggestion.


local child = require "resty.nffi.child"
local codecs = require "resty.nffi.codecs"
local misuse = require "resty.nffi.misuse"


local find = string.find
local ipairs = ipairs
local lower = string.lower
local match = string.match
local pairs = pairs
local raise = misuse.raise
local type = type


-- The options of a native library. A language has more.
local COMMON_OPTIONS = {
    config = true,
    codec = true,
    timeout = true,
    max_queue = true,
    max_tasks = true,
    arena = true,
    max_bytes = true,
    spin = true,
}

local LIBRARY_OPTIONS = { is_global = true, unpin = true }

-- Other names of the languages.
local OTHER_NAMES = {
    bun = "node", deno = "node", javascript = "node", js = "node",
    nodejs = "node", ts = "node", typescript = "node",
    cpython = "python", py = "python", python3 = "python",
    jvm = "java", kotlin = "java", scala = "java",
    executable = "process", program = "process",
}

-- Suffixes of modules, which are not libraries.
local SUFFIXES = {
    js = "node", cjs = "node", mjs = "node",
    ts = "node", cts = "node", mts = "node",
    py = "python",
}

local WITHOUT_RUNTIME = {
    go = "a Go program is load(\"process\", { program = \"/path\" }), a Go "
         .. "library load(\"/path/of/lib.so\")",
    rust = "a Rust library is load(\"/path/of/lib.so\")",
    c = "a C library is load(\"/path/of/lib.so\")",
}

WITHOUT_RUNTIME.golang = WITHOUT_RUNTIME.go


local _M = {}


-- Raises on wrong arguments of load(). `languages`: by name; `module`: the
-- table that contains load().
function _M.check(name, options, languages, module)
    if name == module then
        raise("call it as nffi.load(), with a dot")
    end

    if type(name) ~= "string" or name == "" then
        raise("load() requires the name of a language or a library, got "
              .. (name == "" and "an empty string" or type(name)))
    end

    if options == nil or type(options) == "table" then
        return
    end

    local hint = ""

    if languages[name] and type(options) == "string" then
        hint = "; did you mean { " .. (name == "process" and "program"
                                       or "module")
               .. " = \"" .. options .. "\" }?"
    end

    raise("options must be a table, got " .. type(options) .. hint)
end


-- Returns the name of a language or "native library" that has this option, for
-- messages, or nil.
local function owner_of(option, languages)
    if LIBRARY_OPTIONS[option] then
        return "a native library"
    end

    for name, language in pairs(languages) do
        if language.options[option] then
            return "load(\"" .. name .. "\")"
        end
    end
end


-- Raises on options other than the common ones and the ones of `name`.
function _M.check_names(name, options, languages)
    local language = languages[name]
    local own = language and language.options or LIBRARY_OPTIONS

    for option in pairs(options) do
        if not COMMON_OPTIONS[option] and not own[option] then
            local owner = owner_of(option, languages)

            if owner then
                raise("unknown option \"" .. option .. "\" of "
                      .. (language and "load(\"" .. name .. "\")"
                          or "a native library")
                      .. "; it is an option of " .. owner)
            end

            local names = {}

            -- pairs() does not visit inherited keys of `own`
            for _, set in ipairs({ COMMON_OPTIONS, own,
                                   language and child.options })
            do
                for each in pairs(set) do
                    names[each] = true
                end
            end

            misuse.unknown("option", option, names)
        end
    end
end


-- Returns the bytes for a library or program: a string unchanged, a table as
-- JSON, or nil.
function _M.config_bytes(config)
    if config == nil or type(config) == "string" then
        return config
    end

    if type(config) ~= "table" then
        raise("config must be a string or a table, got " .. type(config))
    end

    return codecs.configuration(config, "config")
end


-- Returns an addition to the message "library not found": the caller may have
-- meant a language.
function _M.library_hint(name, languages)
    local language = SUFFIXES[match(name, "%.(%w+)$")]

    if language then
        return "; a module is loaded by load(\"" .. language
               .. "\", { module = \"" .. name .. "\" })"
    end

    if find(name, "[/.]") then
        return ""
    end

    local word = lower(name)

    if WITHOUT_RUNTIME[word] then
        return "; " .. WITHOUT_RUNTIME[word]
    end

    word = OTHER_NAMES[word] or misuse.nearest(name, languages)

    return word and "; did you mean load(\"" .. word .. "\")?" or ""
end


return _M
