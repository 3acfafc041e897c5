-- The module of nffi: loads a runtime, in any language, and calls it without
-- blocking the worker. Results are a value, or nil, message, code, detail.
-- The manual is docs/lua.md.


local base = require "resty.core.nonblocking_ffi"
local bridge = require "resty.nffi.bridge"
local java = require "resty.nffi.java"
local node = require "resty.nffi.node"
local process = require "resty.nffi.process"
local python = require "resty.nffi.python"
local codecs = require "resty.nffi.codecs"
local loaded = require "resty.nffi.loaded"
local markers = require "resty.nffi.json_markers"
local metrics = require "resty.nffi.metrics"
local reload = require "resty.nffi.reload"
local streams = require "resty.nffi.stream"


local base_call = base.call
local base_bytes = base.bytes
local ceil = math.ceil
local error = error
local find = string.find
local next = next
local pairs = pairs
local setmetatable = setmetatable
local tonumber = tonumber
local tostring = tostring
local type = type

local OK = base.OK
local RC = base.RC

-- Bytes of a stream that may wait to be read.
local DEFAULT_WINDOW = 65536

local STREAM_OPTIONS = { timeout = true, method = true, window = true }


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
Runtime.__index = Runtime


-- The options of a native library; a language has its own beside these.
local COMMON_OPTIONS = {
    config = true,
    codec = true,
    timeout = true,
    max_queue = true,
    max_tasks = true,
    arena = true,
    spin = true,
}

local NO_OPTIONS = {}

local LIBRARY_OPTIONS = { is_global = true, unpin = true }


local function check_names(options, more, level)
    for name in pairs(options) do
        if not COMMON_OPTIONS[name] and not more[name] then
            error("unknown option " .. tostring(name), level + 1)
        end
    end
end


-- Options of a call. Cheap, since it is made for each: a name that is wrong is
-- found where no other is right.
local function check_call_options(options, level)
    if type(options) ~= "table" then
        error("options must be a table, got " .. type(options), level + 1)
    end

    if options.timeout == nil and options.method == nil
       and next(options) ~= nil
    then
        error("unknown option " .. tostring(next(options)), level + 1)
    end
end


local function timeout_of(self, options, level)
    local timeout = options and options.timeout

    if timeout == nil then
        return self._timeout
    end

    local ms = tonumber(timeout)

    -- NaN fails both comparisons; 0 means no limit, so a fraction of a
    -- millisecond must not become 0
    if not ms or not (ms >= 0 and ms <= 2147483647) then
        error("timeout must be milliseconds, got " .. tostring(timeout),
              level + 1)
    end

    return ceil(ms)
end


-- rt.call(payload) for rt:call(payload) must not reach C with no pointer.
local function pointer_of(self, name)
    local pointer = type(self) == "table" and self._pointer

    if not pointer then
        error("call it as runtime:" .. name .. "()", 3)
    end

    return pointer
end


-- OK: bytes, never nil. Else nil, message, code, detail.
local function finish(kind, a, b, c)
    if kind == OK then
        return a or ""
    end

    if kind == RC then
        return nil, b or "the runtime answered with rc " .. a,
               "runtime_error", a
    end

    return nil, a, b, c
end


-- Sends bytes as they are and returns bytes. Options: timeout (ms), method.
function Runtime:call(payload, options)
    local pointer = pointer_of(self, "call")

    if options ~= nil then
        check_call_options(options, 2)
    end

    local method = options and options.method

    if method ~= nil and (type(method) ~= "string" or #method > 255) then
        error("method must be a string of at most 255 bytes", 2)
    end

    return finish(base_call(pointer, method, base_bytes(payload, 2),
                            timeout_of(self, options, 2)))
end


-- A stream of chunks, each as the runtime has written it. Options: timeout (ms
-- for each chunk), method, window (bytes). Never nil: its first read returns a
-- failure to start.
local function open_stream(self, method, bytes, options, decode, level)
    local window = DEFAULT_WINDOW

    if options ~= nil then
        if type(options) ~= "table" then
            error("options must be a table, got " .. type(options), level + 1)
        end

        for name in pairs(options) do
            if not STREAM_OPTIONS[name] then
                error("unknown option " .. tostring(name), level + 1)
            end
        end

        window = options.window or window

        if type(window) ~= "number" or not (window >= 1)
           or window > 1073741824
        then
            error("window must be bytes from 1 to 1073741824, got "
                  .. tostring(window), level + 1)
        end
    end

    local timeout = timeout_of(self, options, level + 1)
    local pointer, err, code = base.stream(self._pointer, method, bytes,
                                           window)
    if not pointer then
        return streams.failed(err, code)
    end

    return streams.new(pointer, timeout, decode)
end


function Runtime:stream(payload, options)
    pointer_of(self, "stream")

    local method = type(options) == "table" and options.method or nil

    if method ~= nil and (type(method) ~= "string" or #method > 255) then
        error("method must be a string of at most 255 bytes", 2)
    end

    return open_stream(self, method, base_bytes(payload, 2), options, nil, 2)
end


-- Closes the runtime to new calls; waiting calls still complete.
function Runtime:close()
    local pointer = pointer_of(self, "close")

    loaded.forget(pointer)
    base.close(pointer)
end


-- Reloads the code of the runtime; calls continue. A process is started beside
-- the old one; a bridge loads the module again; a native library needs the file
-- of its new version, { library = path }. Yields. Returns true, or nil,
-- message, code, detail.
function Runtime:reload(options)
    local pointer = pointer_of(self, "reload")

    if self._is_bridged and options == nil then
        return bridge.reload(pointer)
    end

    local done, message, code = reload.run(pointer, options, 2)

    if done then
        return true
    end

    return nil, message, code
end


-- A table of counts: queued, unanswered, awaited, bytes, refused; and closed.
function Runtime:state()
    return base.state(pointer_of(self, "state"))
end


local function call_method(self, name, value, options)
    if options ~= nil then
        check_call_options(options, 3)
    end

    local codec = self._codec
    local bytes, err = codec.encode(value)

    if bytes == nil and err then
        return nil, "cannot encode the payload: " .. err, "codec_error"
    end

    local reply, message, code, detail =
        finish(base_call(self._pointer, name, base_bytes(bytes, 3),
                         timeout_of(self, options, 3)))

    if not reply then
        return nil, message, code, detail
    end

    local result, decode_err = codec.decode(reply)

    if result == nil and decode_err then
        return nil, "cannot decode the response: " .. decode_err, "codec_error"
    end

    return result
end


local function stream_method(self, name, value, options)
    local codec = self._codec
    local bytes, err = codec.encode(value)

    if bytes == nil and err then
        return streams.failed("cannot encode the payload: " .. err,
                              "codec_error")
    end

    return open_stream(self, name, base_bytes(bytes, 3), options,
                       codec.decode, 3)
end


-- rt.methods and rt.streams: every name is a method of the runtime; the tables
-- have no fields that could hide one.
local function methods_of(runtime, field, call)
    local kept = 0

    return setmetatable({}, {
        __index = function(methods, name)
            if type(name) ~= "string" or #name > 255 then
                error("a method's name is a string of at most 255 bytes", 2)
            end

            local function method(this, value, options)
                if this ~= methods then
                    error("call it as runtime." .. field .. ":" .. name .. "()",
                          2)
                end

                return call(runtime, name, value, options)
            end

            if kept < base.MOST_METHODS then
                kept = kept + 1
                methods[name] = method
            end

            return method
        end,
    })
end


-- What a library or program gets: a string as it is, a table as JSON, nil for
-- none.
local function config_bytes(config, level)
    if config == nil or type(config) == "string" then
        return config
    end

    if type(config) ~= "table" then
        error("config must be a string or a table, got " .. type(config),
              level + 1)
    end

    local json = codecs.configuration(config, "config", level + 1)

    return json
end


-- Loads a runtime: a language ("node", "python", "java") or a native library
-- ("demo" for libdemo.so, or a path). The same arguments return the same
-- runtime.
function _M.load(name, options)
    if type(name) ~= "string" or name == "" then
        error("load() requires the name of a language or a library", 2)
    end

    if options ~= nil and type(options) ~= "table" then
        error("options must be a table, got " .. type(options), 2)
    end

    options = options or NO_OPTIONS

    local found = loaded.find(name, options)

    if found then
        return found
    end

    local language = languages[name]

    check_names(options, language and language.options or LIBRARY_OPTIONS, 2)

    local codec = codecs.find(options.codec,
                              language and language.codec or "raw", 2)
    local timeout = timeout_of({ _timeout = 0 }, options, 2)
    local pointer, err, code

    if language == process then
        pointer, err, code = process.start(options, codec,
                                           config_bytes(options.config, 2))

    elseif language then
        pointer, err, code = language.start(options, codec)

    else
        pointer, err, code = base.load(name, config_bytes(options.config, 2),
                                       base.limits(options, 2))
    end

    if not pointer then
        if not language and find(name, "%.[cm]?[jt]s$") then
            err = err .. "; a module is loaded by load(\"node\", { module = \""
                  .. name .. "\" })"
        end

        return nil, err, code
    end

    local runtime = setmetatable({
        _pointer = pointer,
        _codec = codec,
        _timeout = timeout,
        _is_bridged = language ~= nil and options.host == "worker",
    }, Runtime)

    runtime.methods = methods_of(runtime, "methods", call_method)
    runtime.streams = methods_of(runtime, "streams", stream_method)
    loaded.keep(name, options, runtime)

    return runtime
end


-- What became of the calls of this worker's runtimes: a table, or with
-- "prometheus" the text of that format. Works in every phase.
function _M.metrics(kind)
    if kind == nil then
        return metrics.read()
    end

    if kind == "prometheus" then
        return metrics.prometheus()
    end

    error("metrics() takes nothing or \"prometheus\", got " .. tostring(kind),
          2)
end


return _M
