-- Calls runtimes from Lua without blocking the worker: the FFI base of
-- resty.nffi, and the two functions of the public ABI that it installs on ngx.
-- lua-resty-core loads it in every http Lua VM.


local ffi = require "ffi"
local base = require "resty.core.base"
local glue = require "resty.nffi.glue"
local misuse = require "resty.nffi.misuse"


local C = glue.C
local error = error
local ffi_string = ffi.string
local format = string.format
local ngx = ngx
local raise = misuse.raise
local setmetatable = setmetatable
local tonumber = tonumber
local tostring = tostring
local type = type


if not glue.is_attached then
    base.allows_subsystem("http")
end


ffi.cdef[[
typedef struct {
    unsigned char    message[1024];
    size_t           size;
    const char      *code;
    int              rc;
} ngx_http_lua_nffi_error_t;

typedef struct {
    uint32_t         max_queue;
    uint32_t         max_tasks;
    uint32_t         arena;
    uint32_t         max_bytes;
    uint32_t         start_timeout;
    uint32_t         spin_us;
    uint32_t         is_global;
} ngx_http_lua_nffi_limits_t;

typedef struct {
    uint32_t         queued;
    uint32_t         unanswered;
    uint32_t         awaited;
    uint64_t         bytes;
    uint64_t         refused;
} nffi_host_state_t;

typedef struct {
    const char      *name;
    const char     **programs;
    const char     **argv;
    const char     **envp;
    const char      *config;
    size_t           config_size;
    const char      *directory;
    const char      *user;
    uint32_t         flags;
    uint32_t         processes;
    int32_t          nice;
    uint32_t         health_interval;
    uint32_t         health_timeout;
    uint64_t         memory;
    uint64_t         files;
    uint64_t         cpu;
    uint64_t         core;
} ngx_http_lua_nffi_process_options_t;

void *ngx_http_lua_nonblocking_ffi_find(const char *key, size_t key_size);

void *ngx_http_lua_nonblocking_ffi_load(const char *name, size_t name_size,
    const char *library, size_t library_size, const char *config,
    size_t config_size, const ngx_http_lua_nffi_limits_t *limits,
    ngx_http_lua_nffi_error_t *err);

void *ngx_http_lua_nonblocking_ffi_start(const char *key, size_t key_size,
    const ngx_http_lua_nffi_process_options_t *options,
    const ngx_http_lua_nffi_limits_t *limits, ngx_http_lua_nffi_error_t *err);

int ngx_http_lua_nonblocking_ffi_call(void *r, void *runtime,
    const char *method, size_t method_size, const char *data, size_t size,
    uint32_t timeout_ms, ngx_http_lua_nffi_error_t *err);

int ngx_http_lua_nonblocking_ffi_may_wait(void *r,
    ngx_http_lua_nffi_error_t *err);

typedef struct {
    const char      *data;
    size_t           size;
    const char      *detail;
    size_t           detail_size;
    const char      *code;
    int32_t          rc;
} ngx_http_lua_nffi_read_t;

void *ngx_http_lua_nonblocking_ffi_stream(void *r,
    void *runtime, const char *method, size_t method_size, const char *data,
    size_t size, uint32_t window, ngx_http_lua_nffi_error_t *err);

int ngx_http_lua_nonblocking_ffi_stream_read(void *r,
    void *stream, uint32_t timeout_ms, ngx_http_lua_nffi_read_t *read,
    ngx_http_lua_nffi_error_t *err);

void ngx_http_lua_nonblocking_ffi_stream_close(void *stream);

void ngx_http_lua_nonblocking_ffi_stream_free(void *stream);

void ngx_http_lua_nonblocking_ffi_close(void *runtime);

void ngx_http_lua_nonblocking_ffi_release(void *runtime);

int ngx_http_lua_nonblocking_ffi_is_open(void *runtime);

void *ngx_http_lua_nonblocking_ffi_reload(void *runtime, const char *library,
    size_t size, ngx_http_lua_nffi_error_t *err);

int ngx_http_lua_nonblocking_ffi_reloaded(void *reload,
    ngx_http_lua_nffi_error_t *err);

void ngx_http_lua_nonblocking_ffi_reload_free(void *reload);

int ngx_http_lua_nonblocking_ffi_state(void *runtime,
    nffi_host_state_t *state);
]]


-- the glue and this file are installed together
local ABI_VERSION = 1

local FFI_AGAIN = base.FFI_AGAIN
local FFI_DECLINED = base.FFI_DECLINED
local FFI_DONE = base.FFI_DONE
local FFI_OK = base.FFI_OK

-- The first value that a resumed coroutine receives.
local OK = 0          -- bytes
local RC = 1          -- rc, bytes
local FAILED = 2      -- message, code, detail
local ENDED = 3       -- end of a stream: nothing

local DEFAULT_SPIN = 200 -- us
local DEFAULT_MAX_QUEUE = 65536

local UNLIMITED = 0xffffffffffffffffULL

-- The number of cached methods. It is limited, since a name may come from a
-- client.
local MAX_METHODS = 1000


-- Another way of waiting; nil where the glue is built in.
local attached = glue.is_attached and require "resty.nffi.attached"
local get_request = attached and attached.get_request or base.get_request
local enter = attached and attached.enter
-- Called without arguments: ngx_lua expects no values from a coroutine that
-- waits, and its debug build ends the worker over one.
local wait = attached and attached.wait or coroutine._yield


if C and C.ngx_http_lua_nonblocking_ffi_abi_version() ~= ABI_VERSION then
    error("resty.core.nonblocking_ffi is for ABI " .. ABI_VERSION
          .. ", this nginx has ABI "
          .. C.ngx_http_lua_nonblocking_ffi_abi_version())
end


-- Filled in and read without a yield in between, so one per VM is enough.
local failure = ffi.new("ngx_http_lua_nffi_error_t")
local state = ffi.new("nffi_host_state_t")
local chunk = ffi.new("ngx_http_lua_nffi_read_t")


local _M = {
    C = C,
    version = base.version,
    OK = OK,
    RC = RC,
    FAILED = FAILED,
    ENDED = ENDED,
    MAX_METHODS = MAX_METHODS,
}


local function read_failure()
    return ffi_string(failure.message, failure.size), ffi_string(failure.code)
end


-- Returns a count from the options: nil, or a whole number up to `max`.
local function count(options, name, max)
    local value = options[name]

    if value == nil then
        return 0
    end

    return misuse.whole_number(name, value, 1, max)
end


-- Returns microseconds; 0 means none.
local function spin(options)
    local value = options.spin

    if value == 0 then
        return 0
    end

    return value and count(options, "spin", 1000) or DEFAULT_SPIN
end


-- Returns the limits in `options` as a C structure. Raises on bad options.
function _M.limits(options)
    return ffi.new("ngx_http_lua_nffi_limits_t", {
        max_queue = count(options, "max_queue", 1048576),
        max_tasks = count(options, "max_tasks", 1048576),
        arena = count(options, "arena", 1073741824),
        max_bytes = count(options, "max_bytes", 1073741824),
        start_timeout = count(options, "start_timeout", 2147483647),
        spin_us = spin(options),
        is_global = options.is_global and 1 or 0,
    })
end


-- Makes Lua's garbage collector release a pointer from C.
local function keep(pointer)
    return ffi.gc(pointer, C.ngx_http_lua_nonblocking_ffi_release)
end


-- A VM of ngx.run_worker_thread() has no phase. C refuses there.
local function is_init()
    return ngx.get_phase and ngx.get_phase() == "init"
end


-- Returns message, code if this nginx cannot host runtimes. The master does not
-- check: nothing is loaded there.
function _M.refusal()
    local message = attached and not is_init() and attached.refusal()

    if message then
        return message, "unsupported_nginx"
    end
end


-- Returns the runtime of a native library and its configuration, a string or
-- nil. Equal arguments return the same runtime. The result is a pointer that
-- keeps the runtime in memory, or nil, message, code, and the rc that the entry
-- of a library of the public ABIs returned. `name`: of the runtime in messages
-- and metrics; nil: the library's name.
function _M.load(library, config, limits, name)
    if is_init() then
        return nil, "a runtime cannot be loaded in init_by_lua*: threads and "
                    .. "child processes do not survive the fork of the "
                    .. "workers; load it in init_worker_by_lua* or later",
               "wrong_process"
    end

    local reason, reason_code = _M.refusal()

    if reason then
        return nil, reason, reason_code
    end

    name = name or library

    local pointer = C.ngx_http_lua_nonblocking_ffi_load(name, #name, library,
        #library, config, config and #config or 0, limits, failure)

    if pointer == nil then
        local message, code = read_failure()
        local rc = failure.rc

        return nil, message, code, rc ~= 0 and rc or nil
    end

    return keep(pointer)
end


-- Returns a C array of strings that ends with NULL. `strings` must outlive it.
local function c_strings(strings)
    local array = ffi.new("const char *[?]", #strings + 1)

    for i = 1, #strings do
        array[i - 1] = strings[i]
    end

    array[#strings] = nil

    return array
end


-- Returns the runtime whose processes are children of this worker. Equal keys
-- return the same runtime. `spec`: the fields of the C structure, with argv and
-- envp as lists. For a nil field, the setting of the worker applies.
function _M.start(key, spec, limits)
    if is_init() then
        return nil, "a runtime cannot be started in init_by_lua*: it would "
                    .. "be a child of the master; load it in "
                    .. "init_worker_by_lua* or later", "wrong_process"
    end

    local reason, reason_code = _M.refusal()

    if reason then
        return nil, reason, reason_code
    end

    -- keeps the strings and arrays alive until C has copied them
    local programs = c_strings(spec.programs)
    local argv, envp = c_strings(spec.argv), c_strings(spec.envp)
    local wanted = ffi.new("ngx_http_lua_nffi_process_options_t")

    wanted.name = spec.name
    wanted.programs = programs
    wanted.argv = argv
    wanted.envp = envp
    wanted.config = spec.config
    wanted.config_size = spec.config and #spec.config or 0
    wanted.directory = spec.directory
    wanted.user = spec.user
    wanted.flags = spec.flags
    wanted.processes = spec.processes
    wanted.nice = spec.nice
    wanted.health_interval = spec.health_interval
    wanted.health_timeout = spec.health_timeout
    wanted.memory = spec.memory or UNLIMITED
    wanted.files = spec.files or UNLIMITED
    wanted.cpu = spec.cpu or UNLIMITED
    wanted.core = spec.core or UNLIMITED

    local pointer = C.ngx_http_lua_nonblocking_ffi_start(key, #key, wanted,
                                                         limits, failure)

    if pointer == nil then
        return nil, read_failure()
    end

    return keep(pointer)
end


function _M.find(key)
    if not C then
        return nil
    end

    local pointer = C.ngx_http_lua_nonblocking_ffi_find(key, #key)

    if pointer ~= nil then
        return keep(pointer)
    end
end


-- Returns true if the runtime takes calls, false once it is closed.
function _M.is_open(pointer)
    return C.ngx_http_lua_nonblocking_ffi_is_open(pointer) ~= 0
end


-- Returns a key for tables, which is equal for two pointers to the same
-- runtime.
function _M.address(pointer)
    return tonumber(ffi.cast("uintptr_t", pointer))
end


-- Returns the shortest text that reads back as the same number: tostring()
-- keeps 14 digits of 17. A whole number has neither a fraction nor an exponent.
local function number_text(number)
    if number % 1 == 0 and number >= -0x1p63 and number < 0x1p63 then
        if number == 0 and 1 / number < 0 then
            return "-0"
        end

        return format("%d", number)
    end

    local text = format("%.15g", number)

    if tonumber(text) ~= number then
        text = format("%.16g", number)
    end

    if tonumber(text) ~= number then
        text = format("%.17g", number)
    end

    return text
end

_M.number_text = number_text


-- Returns the text of an option for a program: an argument or a variable.
function _M.text(value)
    if type(value) == "number" then
        return number_text(value)
    end

    return tostring(value)
end


-- Returns the bytes of a payload: a string, a number, or nil for none. `hint`:
-- is added to the error for a table.
function _M.bytes(payload, hint)
    local kind = type(payload)

    if kind == "string" or kind == "nil" then
        return payload
    end

    if kind == "number" then
        return number_text(payload)
    end

    raise("payload must be a string, got " .. kind
          .. (kind == "table" and hint or ""))
end


-- Returns the message of ngx_lua for a phase in which no coroutine can yield.
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


-- Submits a task and yields until it is answered. Returns OK, bytes or nil; RC,
-- rc, bytes or nil; or FAILED, message, code, detail or nil. `timeout`:
-- milliseconds, 0 for none.
function _M.call(pointer, method, bytes, timeout)
    local r, why, code = request_of_call()

    if not r then
        return FAILED, why, code
    end

    local rc = C.ngx_http_lua_nonblocking_ffi_call(r, pointer,
        method, method and #method or 0, bytes, bytes and #bytes or 0,
        timeout, failure)

    if rc ~= FFI_AGAIN then
        return FAILED, read_failure()
    end

    return wait()
end


-- Submits a task with a streamed response. Returns a pointer whose collection
-- closes the stream, or nil, message, code. `window`: max unread bytes.
function _M.stream(pointer, method, bytes, window)
    local r, why, code = request_of_call()

    if not r then
        return nil, why, code
    end

    local stream = C.ngx_http_lua_nonblocking_ffi_stream(r, pointer,
        method, method and #method or 0, bytes, bytes and #bytes or 0,
        window, failure)

    if stream == nil then
        return nil, read_failure()
    end

    return ffi.gc(stream, C.ngx_http_lua_nonblocking_ffi_stream_free)
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
        return wait()
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


function _M.close(pointer)
    C.ngx_http_lua_nonblocking_ffi_close(pointer)
end


-- Starts to reload the code of the runtime, a native library from the file
-- `library`. Returns the argument of reloaded(), or nil, message, code.
function _M.reload(pointer, library)
    local reload = C.ngx_http_lua_nonblocking_ffi_reload(pointer, library,
        library and #library or 0, failure)

    if reload == nil then
        return nil, read_failure()
    end

    return ffi.gc(reload, C.ngx_http_lua_nonblocking_ffi_reload_free)
end


-- Returns true when the new code serves, false while it does not yet; nil,
-- message, code if the old code stays in use.
function _M.reloaded(reload)
    local rc = C.ngx_http_lua_nonblocking_ffi_reloaded(reload, failure)

    if rc == FFI_AGAIN then
        return false
    end

    if rc ~= FFI_OK then
        return nil, read_failure()
    end

    return true
end


-- Returns the counts of the runtime's queue, and whether it is closed.
function _M.state(pointer)
    local rc = C.ngx_http_lua_nonblocking_ffi_state(pointer, state)

    return {
        closed = rc ~= FFI_OK,
        queued = state.queued,
        unanswered = state.unanswered,
        awaited = state.awaited,
        bytes = tonumber(state.bytes),
        refused = tonumber(state.refused),
    }
end


-- The public ABI: any name is a method, so the object has no field that could
-- hide one. Only native libraries use the name.

local pointers = setmetatable({}, { __mode = "k" })


local function results(kind, a, b)
    if kind == OK then
        return true, a
    end

    if kind == RC then
        return false, a, b
    end

    -- a is the message, b the code
    return nil, b, a
end


local function pointer_of(runtime, name)
    local pointer = pointers[runtime]

    if not pointer then
        raise("call it as runtime:" .. name .. "()")
    end

    return pointer
end


local kept = 0

local methods = setmetatable({
    __unload = function(runtime)
        C.ngx_http_lua_nonblocking_ffi_close(pointer_of(runtime, "__unload"))
        return true
    end,
}, {
    __index = function(cache, name)
        name = tostring(name)

        local function method(runtime, payload)
            local pointer = pointer_of(runtime, name)

            return results(_M.call(pointer, name, _M.bytes(payload), 0))
        end

        if kept < MAX_METHODS then
            kept = kept + 1
            cache[name] = method
        end

        return method
    end,
})


local runtime_mt = {
    __index = methods,

    __call = function(runtime, payload)
        return results(_M.call(pointers[runtime], nil, _M.bytes(payload), 0))
    end,
}


-- The runtimes by address, so that the same library and configuration return
-- the same object. The object holds the pointer, so no other runtime can have
-- the address during its lifetime.
local runtimes = setmetatable({}, { __mode = "v" })


local function load_library(library, config, options)
    if type(library) ~= "string" then
        raise("library must be a string, got " .. type(library))
    end

    if config ~= nil and type(config) ~= "string" then
        raise("configuration must be a string, got " .. type(config))
    end

    options = options or {}

    local limits = _M.limits(options)

    if limits.max_queue == 0 then
        limits.max_queue = DEFAULT_MAX_QUEUE
    end

    -- `unpin` permits to close the library after unload. It is accepted, but
    -- the library stays mapped, since its threads may still run its code.

    local pointer, err, code, rc = _M.load(library, config, limits)

    if not pointer then
        -- assert() would only show the code
        if rc then
            ngx.log(ngx.ERR, err)
            return nil, rc, err
        end

        return nil, err, code
    end

    local address = _M.address(pointer)
    local runtime = runtimes[address]

    if not runtime then
        runtime = setmetatable({}, runtime_mt)
        pointers[runtime] = pointer
        runtimes[address] = runtime
    end

    return runtime
end


ngx.load_nonblocking_ffi = load_library
ngx.load_ffi = load_library


return _M
