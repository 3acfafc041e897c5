-- Calls runtimes and reads streams: a coroutine yields until C resumes it.


local abi = require "resty.nffi.abi"
local base = require "resty.core.base"
local ffi = require "ffi"
local glue = require "resty.nffi.glue"


local C = abi.C
local failure = abi.failure
local ffi_string = ffi.string
local gc = ffi.gc
local ngx = ngx
local read_failure = abi.read_failure


local FFI_AGAIN = base.FFI_AGAIN
local FFI_DECLINED = base.FFI_DECLINED
local FFI_DONE = base.FFI_DONE
local FFI_OK = base.FFI_OK

local OK = abi.OK
local RC = abi.RC
local FAILED = abi.FAILED
local ENDED = abi.ENDED


-- Another way of waiting; nil where the glue is built in.
local attached = glue.is_attached and require "resty.nffi.attached"
local get_request = attached and attached.get_request or base.get_request
local enter = attached and attached.enter
-- Called without arguments: ngx_lua expects no values from a coroutine that
-- waits, and its debug build ends the worker over one.
local wait = attached and attached.wait or glue.yield

-- Found once: the interpreter looks up a symbol of C slowly.
local submit_call = C and C.ngx_http_lua_nonblocking_ffi_call
local submit_stream = C and C.ngx_http_lua_nonblocking_ffi_stream

-- Filled in and read without a yield in between, so one per VM is enough.
local chunk = ffi.new("ngx_http_lua_nffi_read_t")


local _M = {}


-- Returns the message of ngx_lua for a phase where no coroutine can yield.
local function wrong_phase()
    return "API disabled in the context of " .. ngx.get_phase() .. "_by_lua*",
           "wrong_phase"
end


-- Returns the request of a coroutine that may call; else nil, message, code.
local function request_of_call()
    local r = get_request()

    if not r then
        return nil, wrong_phase()
    end

    if enter then
        local why, code = enter()

        if why then
            return nil, why, code
        end
    end

    return r
end


-- Returns true if a coroutine may wait for a runtime; else nil, message, code.
function _M.may_wait()
    local r, why, code = request_of_call()

    if not r then
        return nil, why, code
    end

    if C.ngx_http_lua_nonblocking_ffi_may_wait(r, failure) ~= FFI_OK then
        return nil, read_failure()
    end

    return true
end


-- Submits a task through `entry`, a function of C. `limit`: its last number.
-- Returns the value of `entry`; nil, message, code if no call is possible here.
local function submit(entry, pointer, method, bytes, limit)
    local r, why, code = request_of_call()

    if not r then
        return nil, why, code
    end

    -- no tail call: LuaJIT does not compile a function that ends with a call of
    -- C, and later none of its callers
    local result = entry(r, pointer, method, method and #method or 0,
                         bytes, bytes and #bytes or 0, limit, failure)

    return result
end


-- Submits a task and yields until it has a response. Returns OK, bytes or nil;
-- RC, rc, bytes or nil; or FAILED, message, code, detail or nil. `timeout`:
-- milliseconds, 0 for none.
function _M.call(pointer, method, bytes, timeout)
    local rc, why, code = submit(submit_call, pointer, method, bytes, timeout)

    if rc == FFI_AGAIN then
        return wait()
    end

    if why then
        return FAILED, why, code
    end

    return FAILED, read_failure()
end


-- Submits a task with a streamed response. Returns a pointer whose collection
-- closes the stream, or nil, message, code. `window`: max unread bytes.
function _M.stream(pointer, method, bytes, window)
    local stream, why, code = submit(submit_stream, pointer, method, bytes,
                                     window)

    if why then
        return nil, why, code
    end

    if stream == nil then
        return nil, read_failure()
    end

    -- no tail call either
    local collected = gc(stream, C.ngx_http_lua_nonblocking_ffi_stream_free)

    return collected
end


-- All values of a yield are its arguments, so that LuaJIT ends the trace of a
-- read there; see attached.lua.
local function received(kind, a, b, c)
    return kind, a, b, c
end


-- Reads one chunk, and yields until it has arrived. Returns OK, bytes or nil;
-- ENDED; or RC and FAILED as call() does. The caller keeps `stream` alive.
function _M.read(stream, timeout)
    local r, why, code = request_of_call()

    if not r then
        return FAILED, why, code
    end

    local rc = C.ngx_http_lua_nonblocking_ffi_stream_read(r, stream, timeout,
                                                          chunk, failure)
    if rc == FFI_OK then
        return OK, ffi_string(chunk.data, chunk.size)
    end

    if rc == FFI_AGAIN then
        return received(wait())
    end

    if rc == FFI_DONE then
        return ENDED
    end

    if rc ~= FFI_DECLINED then
        return FAILED, read_failure()
    end

    local text = chunk.size > 0 and ffi_string(chunk.data, chunk.size) or nil

    if chunk.rc ~= 0 then
        return RC, chunk.rc, text
    end

    return FAILED, text or "", ffi_string(chunk.code),
           chunk.detail ~= nil
           and ffi_string(chunk.detail, chunk.detail_size) or nil
end


function _M.close_stream(stream)
    C.ngx_http_lua_nonblocking_ffi_stream_close(stream)
end


local function log_unread(note)
    C.ngx_http_lua_nonblocking_ffi_unread_free(note, 0)
end


-- Notes the error of a stream, which is logged when the request ends or the
-- note is collected. Returns nil if there is no request or no memory.
function _M.note_unread(runtime, message)
    local r = get_request()

    if not r then
        return nil
    end

    local note = C.ngx_http_lua_nonblocking_ffi_unread(r, runtime, message,
                                                       #message)

    return note ~= nil and ffi.gc(note, log_unread) or nil
end


-- Frees a note: its error was read.
function _M.forget_unread(note)
    C.ngx_http_lua_nonblocking_ffi_unread_free(ffi.gc(note, nil), 1)
end


return _M
