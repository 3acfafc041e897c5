-- Checks the arguments of nffi.load(). Wrong ones raise at the user's line,
-- with a suggestion.


local child = require "resty.nffi.child"
local codecs = require "resty.nffi.codecs"
local misuse = require "resty.nffi.misuse"


local concat = table.concat
local find = string.find
local ipairs = ipairs
local lower = string.lower
local match = string.match
local pairs = pairs
local raise = misuse.raise
local sort = table.sort
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


-- Returns the languages that have this option, or "a native library", for
-- messages; nil if no kind of runtime has it.
local function owners_of(option, languages)
    if LIBRARY_OPTIONS[option] then
        return "a native library"
    end

    local owners = {}

    for name, language in pairs(languages) do
        if language.options[option] then
            owners[#owners + 1] = "load(\"" .. name .. "\")"
        end
    end

    if #owners == 0 then
        return nil
    end

    sort(owners)
    local last = owners[#owners]
    owners[#owners] = nil

    return #owners == 0 and last or concat(owners, ", ") .. " and " .. last
end


-- Returns a suggestion if `option` is a module whose suffix names a language,
-- or `library` nearly does.
local function meant_language(option, value, library, languages)
    local suffix = option == "module" and type(value) == "string"
                   and match(value, "%.(%w+)$")
    local name = suffix and SUFFIXES[suffix]

    return name and "; did you mean load(\"" .. name .. "\")?"
           or _M.library_hint(library, languages)
end


-- Raises on options other than the common ones and the ones of `name`.
function _M.check_names(name, options, languages)
    local language = languages[name]
    local own = language and language.options or LIBRARY_OPTIONS

    for option, value in pairs(options) do
        if not COMMON_OPTIONS[option] and not own[option] then
            local owners = owners_of(option, languages)

            if owners then
                raise("unknown option \"" .. option .. "\" of "
                      .. (language and "load(\"" .. name .. "\")"
                          or "a native library")
                      .. "; it is an option of " .. owners
                      .. (language and ""
                          or meant_language(option, value, name, languages)))
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
