-- A response that is read in chunks: the result of runtime:stream() and
-- runtime.streams. It is its own iterator:
--
--     for chunk in stream do ... end
--     local message, code, detail = stream:error()
--
-- The loop ends at the end of the stream and at an error, since Lua ends a loop
-- at the first nil. error() distinguishes the two. The error of a loop is
-- logged if the request ends before error() is called.


local abi = require "resty.nffi.abi"
local calls = require "resty.nffi.calls"
local failure = require "resty.nffi.failure"
local misuse = require "resty.nffi.misuse"


local forget_unread = calls.forget_unread
local getmetatable = getmetatable
local note_unread = calls.note_unread
local read = calls.read
local setmetatable = setmetatable

local OK = abi.OK
local RC = abi.RC
local ENDED = abi.ENDED


local Stream = {}
Stream.__index = Stream


local CLOSED = "the stream is closed"


-- Notes an error that Lua drops, so that it is logged if it is never read. A
-- reader expects the error of a stream that it closed, or that has no client.
local function note(self, message, code)
    if self._note ~= nil or code == "client_gone" or message == CLOSED then
        return
    end

    local method = self._method

    if method and message:sub(1, 8) ~= "method \"" then
        message = "method \"" .. method .. "\": " .. message
    end

    self._note = note_unread(self._runtime._pointer,
                             message .. " (" .. code .. ")")
end


-- `_note` is false from the first read of the error on.
local function forget(self)
    if self._note then
        forget_unread(self._note)
    end

    self._note = false
end


local function fail(self, message, code, detail)
    self._over = true
    self._message, self._code, self._detail = message, code, detail

    if self._pointer then
        calls.close_stream(self._pointer)
    end

    return nil, message, code, detail
end


local function check_self(self, name)
    if getmetatable(self) ~= Stream then
        misuse.raise("call it as stream:" .. name .. "()")
    end
end


local function next_chunk(self)
    if self._over then
        return nil, self._message, self._code, self._detail
    end

    -- no tail call: this frame keeps the stream alive while it waits
    local kind, a, b, c = read(self._pointer, self._timeout)

    if kind == OK then
        self._timeout = self._more_timeout

        local decode = self._decode

        if not decode then
            return a or ""
        end

        local value, err = decode(a or "")

        if value == nil then
            return fail(self, "cannot decode a chunk: "
                              .. (err or "codec returned nil"), "codec_error")
        end

        return value
    end

    if kind == ENDED then
        self._over = true
        return nil
    end

    -- misuse by this reader does not end the stream
    if b == "busy" or b == "wrong_request" then
        return nil, a, b
    end

    if kind == RC then
        return fail(self, b or "the runtime responded with rc " .. a,
                    "runtime_error", a)
    end

    return fail(self, failure.message(self._runtime, self._method, a, b,
                                      "has not sent a chunk", self._timeout),
                b, c)
end


-- Returns the next chunk; nil at the end; nil, message, code, detail after an
-- error, and on each later read. Yields until a chunk has arrived.
function Stream:read()
    check_self(self, "read")

    local chunk, message, code, detail = next_chunk(self)

    if code then
        forget(self)
        return nil, message, code, detail
    end

    return chunk
end


-- Called by a loop, which drops all values but the first.
Stream.__call = function(self)
    local chunk, message, code, detail = next_chunk(self)

    if code then
        note(self, message, code)
        return nil, message, code, detail
    end

    return chunk
end


-- Returns message, code, detail of the error that ended the stream; nothing if
-- it ended without an error or has not ended.
function Stream:error()
    check_self(self, "error")

    if self._code then
        forget(self)
        return self._message, self._code, self._detail
    end
end


-- Cancels the task. Unread chunks are discarded.
function Stream:close()
    check_self(self, "close")

    if not self._over then
        fail(self, CLOSED, "closed")
    end
end


local _M = {}


-- Returns a stream over the result of calls.stream(), for a method (or nil) of
-- `runtime`. `timeout` is for the first chunk, `more_timeout` for each later
-- one, in milliseconds, 0 for none. `decode` converts a chunk to a value, or is
-- nil.
function _M.new(runtime, method, pointer, timeout, more_timeout, decode)
    -- no tail call: LuaJIT does not compile a function that ends with one of a
    -- built-in function
    local stream = setmetatable({
        _runtime = runtime,
        _method = method,
        _pointer = pointer,
        _timeout = timeout,
        _more_timeout = more_timeout,
        _decode = decode,
    }, Stream)

    return stream
end


-- Returns a stream that has already failed, so that a loop over the result of
-- runtime:stream() always works.
function _M.failed(runtime, method, message, code)
    local stream = setmetatable({ _runtime = runtime, _method = method },
                                Stream)

    fail(stream, message, code)
    note(stream, message, code)

    return stream
end


return _M
