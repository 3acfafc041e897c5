-- The common part of languages whose code is a module: Node, Python and Java.
-- They run in a process, or in the worker with PREFIX/nffi/lib/libnffi_NAME.so.
-- Both get the same settings, one JSON object: module, name, handler, codec,
-- config, program, and additions of the language. bridge.new() creates one row
-- for each language, which nffi.load() starts.


local abi = require "resty.nffi.abi"
local calls = require "resty.nffi.calls"
local child = require "resty.nffi.child"
local codecs = require "resty.nffi.codecs"
local misuse = require "resty.nffi.misuse"
local product = require "resty.nffi.product"
local runtimes = require "resty.nffi.runtimes"


local ipairs = ipairs
local pairs = pairs
local raise = misuse.raise
local type = type
local unpack = unpack


-- The method that makes a runtime hosted in the worker reload its code. No
-- function name contains such a byte.
local RELOAD = "\0reload"


local _M = {}


-- Refuses options that only a process uses.
local function refuse_process_options(spec, options)
    for name in pairs(options) do
        if name ~= "program" and (child.options[name]
           or spec.process_options[name])
        then
            raise(name .. " is an option of host = \"process\"")
        end
    end
end


local function check(spec, options)
    if type(options.module) ~= "string" or options.module == "" then
        raise("load(\"" .. spec.name .. "\") requires { module = "
              .. spec.module_example .. " }")
    end

    if spec.check then
        spec.check(options)
    end

    local host = options.host

    if host ~= nil and host ~= "process" and host ~= "worker" then
        misuse.not_one_of("host", host, { "process", "worker" })
    end

    misuse.text("handler", options.handler, "a name")
    misuse.text("program", options.program, "a path")

    if host == "worker" then
        refuse_process_options(spec, options)
    end

    child.check(options, spec.lists,
                { "module", "program", "directory", unpack(spec.paths or {}) })
end


-- Returns the list of programs. The supervisor runs the first one that exists.
local function programs_of(spec, option)
    if option ~= nil then
        return { child.absolute(option) }
    end

    return spec.programs
end


local function start_process(spec, options, settings, limits)
    local programs = programs_of(spec, options.program)
    local argv = spec.argv(programs[1], options)
    local key = child.key(spec.name, settings, argv, options, limits)
    local pointer = runtimes.find(key)

    if pointer then
        return pointer
    end

    return child.start(key, {
        name = options.module,
        programs = programs,
        argv = argv,
        config = settings,
        hint = options.program and "is " .. options.program .. " "
               .. spec.title .. "?",
    }, options, limits)
end


-- Returns a language. `spec`:
--   name             the language, as load() gets it, and its library
--   title            what its program is, for messages
--   module_example   for messages
--   programs         absolute paths, tried in this order by default
--   options          names of its options, for both hosts; `host` if it has two
--   process_options  names of options for a process only
--   lists            names of options that are lists of strings
--   paths            optional: names of options that are paths
--   check(options)   optional: raises on bad options, before all other checks
--   settings(options, settings)  adds to the settings of the runtime; raises on
--                    bad options
--   argv(program, options)  of the process, for the first of its programs
--   missing()        optional: returns why this product cannot run the language
function _M.new(spec)
    local language = {
        codec = "json",
        options = { module = true },
    }

    for _, names in ipairs({ child.options, spec.options,
                             spec.process_options })
    do
        for name in pairs(names) do
            language.options[name] = true
        end
    end

    -- Starts the runtime, or finds it. Returns its pointer, or nil, message,
    -- code.
    function language.start(options, codec)
        check(spec, options)

        local worker = options.host == "worker"
        local limits = (worker and runtimes or child).limits(options)
        local settings = {
            module = options.module,
            handler = options.handler,
            codec = codec.name == "json" and "json" or "raw",
            config = options.config,
            -- in the worker, the bridge finds the default program, or already
            -- has one
            program = options.program and child.absolute(options.program),
        }

        spec.settings(options, settings)

        local reason = spec.missing and spec.missing()

        if reason then
            return nil, reason, "no_language"
        end

        local json = codecs.configuration(settings, "")

        if not worker then
            return start_process(spec, options, json, limits)
        end

        local library = product.ROOT .. "/lib/libnffi_" .. spec.name .. ".so"

        return runtimes.load(library, json, limits, options.module)
    end

    return language
end


-- Reloads the code of a runtime that is hosted in the worker, by a call that
-- its threads respond when the new code serves. Yields. Returns true, or nil,
-- message, code, detail: then the old code stays in use.
function _M.reload(pointer)
    local kind, message, code, detail = calls.call(pointer, RELOAD, nil, 0)

    if kind == abi.OK then
        return true
    end

    if kind == abi.RC then
        return nil, code or "the runtime responded with rc " .. message,
               "reload_failed"
    end

    return nil, message, code == "runtime_error" and "reload_failed" or code,
           detail
end


return _M
