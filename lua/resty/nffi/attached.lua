-- An attached glue: how a coroutine waits on a semaphore of ngx_lua, and
-- whether this nginx is the one that the product was proven with.


local abi = require "resty.nffi.abi"
local base = require "resty.core.base"
local ffi = require "ffi"
local glue = require "resty.nffi.glue"


local C = glue.C
local cast = ffi.cast
local ffi_string = ffi.string
local format = string.format
local match = string.match
local ngx = ngx
local pcall = pcall
local require = require
local running = coroutine.running
local tonumber = tonumber
local tostring = tostring
local yield = glue.yield


ffi.cdef[[
typedef struct {
    uint32_t         kind;
    int32_t          rc;
    const char      *data;
    size_t           size;
    const char      *detail;
    size_t           detail_size;
    const char      *code;
} ngx_http_lua_nffi_delivery_t;

const char *ngx_http_lua_nonblocking_ffi_subsystem(uint32_t is_stream);
uint32_t ngx_http_lua_nonblocking_ffi_compared(uint32_t done);
const ngx_http_lua_nffi_delivery_t *ngx_http_lua_nonblocking_ffi_result(void);
void ngx_http_lua_nonblocking_ffi_release_result(void);
void ngx_http_lua_nonblocking_ffi_eof(void *r);
size_t ngx_http_lua_nonblocking_ffi_build_id(const char *symbol,
    unsigned char *id, size_t size);
int ngx_http_lua_nonblocking_ffi_is_openresty(void);
int ngx_http_lua_nonblocking_ffi_waits_in_handshake(uint32_t is_hello);
int ngx_http_lua_nonblocking_ffi_self_test(uint32_t workers,
    ngx_http_lua_nffi_error_t *err);
]]


-- Results with more bytes than this are released after they were read.
local KEPT = 16384

local RC, FAILED = abi.RC, abi.FAILED

local IS_STREAM = ngx.config.subsystem == "stream"

local ID_SIZE = 128


local _M = {}


-- The request pointer for C. The lowest bit marks a request of stream {}.
local get_request = base.get_request

if IS_STREAM then
    local get = get_request

    function get_request()
        local r = get()

        return r and cast("char *", r) + 1
    end
end

_M.get_request = get_request


-- Returns the address of a coroutine, which ngx_lua's structure also has.
local function state_of(coroutine)
    local address = match(tostring(coroutine), "0x%x+")

    return cast("void *", cast("uintptr_t", tonumber(address)))
end


-- True once C has found one. LuaJIT does not compile coroutine.running().
local is_found = false


local function name_coroutine()
    local coroutine = running()
    local state = coroutine and state_of(coroutine) or nil

    is_found = C.ngx_http_lua_nonblocking_ffi_enter(IS_STREAM and 1 or 0, state)
               ~= 0
end


-- TLS phases of stream {}; not every nginx can wait in them.
local HANDSHAKE = { ssl_cert = 0, ssl_client_hello = 1 }


-- Prepares a call. Returns message, code if a phase of stream {} cannot wait; C
-- checks all other phases.
function _M.enter()
    if not is_found then
        name_coroutine()
    end

    if not IS_STREAM then
        return nil
    end

    local phase = ngx.get_phase()
    local kind = HANDSHAKE[phase]

    if kind and C.ngx_http_lua_nonblocking_ffi_waits_in_handshake(kind) == 0
    then
        return "API disabled in the context of " .. phase .. ": this nginx "
               .. "lacks OpenResty's patch with which its TLS handshake can "
               .. "wait there", "wrong_phase"
    end
end


local function text_of(data, size)
    if data == nil then
        return nil
    end

    if size <= KEPT then
        local text = ffi_string(data, size)

        return text
    end

    -- out of memory: the call fails, but Lua raises no error
    local made, text = pcall(ffi_string, data, size)

    if made then
        return text
    end

    return nil, true
end


local function results(result)
    local kind, rc, code = result.kind, result.rc, result.code
    local text, failed = text_of(result.data, result.size)

    if failed then
        return FAILED, "not enough memory for the response", "no_memory"
    end

    if kind == RC then
        return kind, rc, text
    end

    if kind == FAILED then
        local name = ffi_string(code)
        local detail = text_of(result.detail, result.detail_size)

        return kind, text or "", name, detail
    end

    return kind, text
end


-- Returns the result of the coroutine that was just resumed. `is_resumed`: what
-- its yield has returned.
local function read_result(is_resumed)
    if is_resumed == nil then
        return FAILED, "ngx_lua does not know this coroutine: use "
               .. "coroutine.create() or coroutine.wrap()", "wrong_phase"
    end

    local result = C.ngx_http_lua_nonblocking_ffi_result()
    local kind, a, b, c = results(result)

    if result.size + result.detail_size > KEPT then
        C.ngx_http_lua_nonblocking_ffi_release_result()
    end

    return kind, a, b, c
end


-- Yields until the semaphore that C has chosen for this coroutine is posted.
-- Returns the same values as the yield of a built glue.
--
-- All values of the yield are arguments, so LuaJIT ends its trace there, and
-- compiles read_result() by itself. Otherwise the next trace would begin after
-- the yield and go on in the user's code: if it cannot compile that, it would
-- never compile read_result() either.
function _M.wait()
    return read_result(yield())
end


local id = ffi.new("unsigned char[?]", ID_SIZE)
local failure = ffi.new("ngx_http_lua_nffi_error_t")


local function build_id(symbol)
    local size = C.ngx_http_lua_nonblocking_ffi_build_id(symbol, id, ID_SIZE)

    return size > 0 and ffi_string(id, size) or nil
end


-- 1026003 as 1.26.3
local function version_text(number)
    return format("%d.%d.%d", number / 1000000, number / 1000 % 1000,
                  number % 1000)
end


-- Returns the first difference from the nginx of the manifest, or nil.
local function difference(proven)
    local is_openresty = C.ngx_http_lua_nonblocking_ffi_is_openresty() ~= 0
    local version = version_text(ngx.config.nginx_version)
    local lua_version = version_text(ngx.config.ngx_lua_version)

    if proven.core and proven.core ~= version then
        return "is nginx " .. version .. ", not " .. proven.core
    end

    if proven.openresty ~= nil and proven.openresty ~= is_openresty then
        return is_openresty and "has OpenResty's core, not nginx's"
               or "has nginx's core, not OpenResty's"
    end

    if proven.ngxLua and not IS_STREAM and proven.ngxLua ~= lua_version then
        return "has ngx_lua " .. lua_version .. ", not " .. proven.ngxLua
    end

    if (proven.buildId and proven.buildId ~= build_id(nil))
       or (proven.ngxLuaBuildId and not IS_STREAM and
           proven.ngxLuaBuildId ~= build_id("ngx_http_lua_module"))
    then
        return "is another build"
    end
end


-- Runs once in each process. The self-test makes no system call.
local function compare()
    local manifest = require("resty.nffi.product").manifest()
    local other = difference(manifest.nginx or {})
    local ok = C.ngx_http_lua_nonblocking_ffi_self_test(
        ngx.worker and ngx.worker.count and ngx.worker.count() or 0, failure)

    if ok ~= base.FFI_OK then
        return ffi_string(failure.message, failure.size)
               .. ": run `nffi attach` again, or `nffi build`"
    end

    if other then
        ngx.log(ngx.WARN, "nffi: this nginx ", other, ", as the attached nffi "
                .. "was proven with; a self-test found no difference: run "
                .. "`nffi verify`")
    end
end


local refusal


-- Returns nil if the glue works in this nginx, else the reason.
function _M.refusal()
    if glue.missing then
        return glue.missing
    end

    if refusal then
        return refusal
    end

    local missing = C.ngx_http_lua_nonblocking_ffi_subsystem(IS_STREAM and 1
                                                             or 0)
    if missing ~= nil then
        return "this nginx does not export " .. ffi_string(missing)
               .. ": run `nffi attach` for it, or `nffi build`"
    end

    -- C refuses calls in a VM of ngx.run_worker_thread()
    if ngx.timer and C.ngx_http_lua_nonblocking_ffi_compared(0) == 0 then
        refusal = compare()

        if not refusal then
            C.ngx_http_lua_nonblocking_ffi_compared(1)
        end
    end

    return refusal
end


-- Notifies C of ngx.eof(): after it, reading a stream requires no client.
if C and ngx.eof then
    local eof = ngx.eof

    function ngx.eof()
        local done, err = eof()

        if not done then
            return nil, err
        end

        local r = get_request()

        if r then
            C.ngx_http_lua_nonblocking_ffi_eof(r)
        end

        return done
    end
end


return _M
