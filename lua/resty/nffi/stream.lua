-- A response that is read in chunks: the result of runtime:stream() and
-- runtime.streams. It is its own iterator:
--
--     for chunk in stream do ... end
--     local message, code, detail = stream:error()
--
-- The loop ends at the end of the stream and at an error, since Lua ends a loop
-- at the first nil. error() distinguishes the two.


local abi = require "resty.nffi.abi"
local calls = require "resty.nffi.calls"
local failure = require "resty.nffi.failure"
local misuse = require "resty.nffi.misuse"


local getmetatable = getmetatable
local read = calls.read
local setmetatable = setmetatable

local OK = abi.OK
local RC = abi.RC
local ENDED = abi.ENDED


local Stream = {}
Stream.__index = Stream


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


-- Returns the next chunk; nil at the end; nil, message, code, detail after an
-- error, and on each later read. Yields until a chunk has arrived.
function Stream:read()
    check_self(self, "read")

    if self._over then
        return nil, self:error()
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


Stream.__call = Stream.read


-- Returns message, code, detail of the error that ended the stream; nothing if
-- it ended without an error or has not ended.
function Stream:error()
    check_self(self, "error")

    if self._code then
        return self._message, self._code, self._detail
    end
end


-- Cancels the task. Unread chunks are discarded.
function Stream:close()
    check_self(self, "close")

    if not self._over then
        fail(self, "the stream is closed", "closed")
    end
end


local _M = {}


-- Returns a stream over the result of calls.stream(), for a method (or nil) of
-- `runtime`. `timeout` is for the first chunk, `more_timeout` for each later
-- one, in milliseconds, 0 for none. `decode` converts a chunk to a value, or is
-- nil.
function _M.new(runtime, method, pointer, timeout, more_timeout, decode)
    return setmetatable({
        _runtime = runtime,
        _method = method,
        _pointer = pointer,
        _timeout = timeout,
        _more_timeout = more_timeout,
        _decode = decode,
    }, Stream)
end


-- Returns a stream that has already failed, so that a loop over the result of
-- runtime:stream() always works.
function _M.failed(message, code)
    local stream = setmetatable({}, Stream)

    fail(stream, message, code)

    return stream
end


return _M
