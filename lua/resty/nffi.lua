-- The module of nffi: loads a runtime, in any language, and calls it without
-- blocking the worker. Results are a value, or nil, message, code, detail.
-- The manual is docs/lua.md.


local abi = require "resty.nffi.abi"
local bridge = require "resty.nffi.bridge"
local calls = require "resty.nffi.calls"
local java = require "resty.nffi.java"
local node = require "resty.nffi.node"
local process = require "resty.nffi.process"
local python = require "resty.nffi.python"
local codecs = require "resty.nffi.codecs"
local loaded = require "resty.nffi.loaded"
local markers = require "resty.nffi.json_markers"
local metrics = require "resty.nffi.metrics"
local reload = require "resty.nffi.reload"
local runtimes = require "resty.nffi.runtimes"
local call_options = require "resty.nffi.call_options"
local failure = require "resty.nffi.failure"
local load_options = require "resty.nffi.load_options"
local misuse = require "resty.nffi.misuse"
local streams = require "resty.nffi.stream"
local text = require "resty.nffi.text"


-- installs ngx.load_ffi(), also where lua-resty-core does not
require "resty.core.nonblocking_ffi"


local bytes_of = text.bytes
local call = calls.call
local check = call_options.check
local config_bytes = load_options.config_bytes
local failure_message = failure.message
local pairs = pairs
local raise = misuse.raise
local setmetatable = setmetatable
local tostring = tostring
local type = type
local timeout_of = call_options.timeout

local OK = abi.OK
local RC = abi.RC

local CALL, METHOD = call_options.CALL, call_options.METHOD
local STREAM, METHOD_STREAM = call_options.STREAM, call_options.METHOD_STREAM
local MAX_METHOD = call_options.MAX_METHOD


local _M = {
    _VERSION = "0.1.0",
    null = markers.null,
    array_mt = markers.array_mt,
    empty_array_mt = markers.empty_array_mt,
}


-- Any other first argument of load() is a native library.
local languages = { node = node, process = process, python = python,
                    java = java }


local Runtime = {}
local FIELDS = { methods = true, streams = true }

Runtime.__index = setmetatable(Runtime, {
    -- called only for fields that a runtime does not have
    __index = function(_, name)
        local hint = misuse.hint(name, FIELDS)

        if hint == "" and type(name) == "string" then
            hint = "; a method is called as runtime.methods:" .. name .. "()"
        end

        raise("a runtime has no field \"" .. tostring(name) .. "\"" .. hint)
    end,
})


local NO_OPTIONS = {}

local HINT = "; runtime.methods with codec = \"json\" sends tables"


-- Checks `self`: rt.call(payload) instead of rt:call(payload) must not reach C
-- without a pointer.
local function pointer_of(self, name)
    local pointer = type(self) == "table" and self._pointer

    if not pointer then
        raise("call it as runtime:" .. name .. "()")
    end

    return pointer
end


-- Returns bytes, never nil, for OK; else nil, message, code, detail.
local function finish(self, method, timeout, kind, a, b, c)
    if kind == OK then
        return a or ""
    end

    if kind == RC then
        return nil, b or "the runtime responded with rc " .. a,
               "runtime_error", a
    end

    return nil, failure_message(self, method, a, b, "has not responded",
                                timeout), b, c
end


-- Sends bytes unchanged and returns bytes. Options: timeout (ms), method.
function Runtime:call(payload, options)
    local pointer = pointer_of(self, "call")
    local timeout, method = self._timeout, nil

    if options ~= nil then
        check(options, CALL)
        timeout = timeout_of(options.timeout, timeout)
        method = call_options.method(options)
    end

    local bytes = bytes_of(payload, HINT)

    return finish(self, method, timeout,
                  call(pointer, method, bytes, timeout))
end


-- Returns a stream of chunks, each as the runtime has written it. Options:
-- timeout (ms per chunk), method, window (bytes). Never nil: the first read
-- returns an error of the start.
local function open_stream(self, method, bytes, options, decode)
    local timeout, more_timeout = self._timeout, self._timeout

    if options and options.timeout ~= nil then
        timeout = timeout_of(options.timeout)
        more_timeout = timeout

    elseif self._has_default_timeout then
        -- a stream may be idle for a long time once it has begun
        more_timeout = 0
    end

    local pointer, err, code = calls.stream(self._pointer, method, bytes,
                                           call_options.window(options))
    if not pointer then
        return streams.failed(self, method,
                              failure_message(self, method, err, code), code)
    end

    return streams.new(self, method, pointer, timeout, more_timeout, decode)
end


function Runtime:stream(payload, options)
    pointer_of(self, "stream")

    if options ~= nil then
        check(options, STREAM)
    end

    return open_stream(self, call_options.method(options),
                       bytes_of(payload, HINT), options, nil)
end


-- Closes the runtime to new calls; waiting calls still complete.
function Runtime:close()
    local pointer = pointer_of(self, "close")

    loaded.forget(pointer)
    runtimes.close(pointer)
end


-- Reloads the code of the runtime, while calls continue. A new process starts
-- beside the old one; a bridge loads the module again; a native library needs
-- the file of its new version, { library = path }. Yields. Returns true, or
-- nil, message, code, detail.
function Runtime:reload(options)
    local pointer = pointer_of(self, "reload")

    if self._is_bridged and options == nil then
        return bridge.reload(pointer)
    end

    local done, message, code = reload.run(pointer, options)

    if done then
        return true
    end

    return nil, message, code
end


-- Returns a table of counts: queued, unanswered, awaited, bytes, refused; and
-- closed.
function Runtime:state()
    return runtimes.state(pointer_of(self, "state"))
end


local function call_method(self, name, value, options)
    local timeout = self._timeout

    if options ~= nil then
        check(options, METHOD)
        timeout = timeout_of(options.timeout, timeout)
    end

    local codec = self._codec
    local bytes, err = codec.encode(value)

    if bytes == nil and err then
        return nil, "cannot encode the payload: " .. err, "codec_error"
    end

    local response, message, code, detail =
        finish(self, name, timeout,
               call(self._pointer, name, bytes_of(bytes, HINT), timeout))

    if not response then
        return nil, message, code, detail
    end

    local result, decode_err = codec.decode(response)

    if result == nil and decode_err then
        return nil, "cannot decode the response: " .. decode_err, "codec_error"
    end

    return result
end


local function stream_method(self, name, value, options)
    if options ~= nil then
        check(options, METHOD_STREAM)
    end

    local codec = self._codec
    local bytes, err = codec.encode(value)

    if bytes == nil and err then
        return streams.failed(self, name, "cannot encode the payload: " .. err,
                              "codec_error")
    end

    return open_stream(self, name, bytes_of(bytes, HINT), options,
                       codec.decode)
end


-- Creates rt.methods or rt.streams. Every name is a method of the runtime, so
-- the tables have no fields that could hide one.
local function methods_of(runtime, field, invoke)
    local kept = 0

    return setmetatable({}, {
        __index = function(methods, name)
            if type(name) ~= "string" or #name > MAX_METHOD then
                raise("a method's name must be a string of at most "
                      .. MAX_METHOD .. " bytes")
            end

            local function method(this, value, options)
                if this ~= methods then
                    raise("call it as runtime." .. field .. ":" .. name
                          .. "()")
                end

                return invoke(runtime, name, value, options)
            end

            if kept < abi.MAX_METHODS then
                kept = kept + 1
                methods[name] = method
            end

            return method
        end,
    })
end


for name in pairs(Runtime) do
    FIELDS[name] = name ~= "__index" or nil
end


-- Loads a runtime: a language ("node", "python", "java") or a native library
-- ("demo" for libdemo.so, or a path). The same arguments return the same
-- runtime.
function _M.load(name, options)
    load_options.check(name, options, languages, _M)
    options = options or NO_OPTIONS

    local found = loaded.find(name, options)

    if found then
        return found
    end

    local language = languages[name]

    load_options.check_names(name, options, languages)

    local codec = codecs.find(options.codec, language and language.codec
                                             or "raw")
    local timeout = timeout_of(options.timeout, call_options.DEFAULT_TIMEOUT)
    local pointer
    local err, code = runtimes.refusal()

    if err then
        return nil, err, code
    end

    if language == process then
        pointer, err, code = process.start(options, codec,
                                           config_bytes(options.config))

    elseif language then
        pointer, err, code = language.start(options, codec)

    else
        pointer, err, code = runtimes.load(name, config_bytes(options.config),
                                       runtimes.limits(options))
    end

    if not pointer then
        if code == "no_library" and not language then
            err = err .. load_options.library_hint(name, languages)
        end

        return nil, err, code
    end

    local runtime = setmetatable({
        _pointer = pointer,
        _codec = codec,
        _timeout = timeout,
        _has_default_timeout = options.timeout == nil,
        _is_bridged = language ~= nil and options.host == "worker",
    }, Runtime)

    runtime.methods = methods_of(runtime, "methods", call_method)
    runtime.streams = methods_of(runtime, "streams", stream_method)
    loaded.keep(name, options, runtime)

    return runtime
end


-- Returns the call counts of this worker's runtimes: a table, or with
-- "prometheus" text in that format. Works in every phase.
function _M.metrics(kind)
    if kind == nil then
        return metrics.read()
    end

    if kind == "prometheus" then
        return metrics.prometheus()
    end

    raise("metrics() expects nothing or \"prometheus\", got " .. tostring(kind)
          .. misuse.hint(kind, { prometheus = true }))
end


return _M
