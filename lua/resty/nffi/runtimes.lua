-- Loads runtimes, finds, reloads and closes them, and reads their state. A
-- runtime is a pointer that keeps it in memory.


local abi = require "resty.nffi.abi"
local base = require "resty.core.base"
local ffi = require "ffi"
local glue = require "resty.nffi.glue"
local misuse = require "resty.nffi.misuse"


local C = abi.C
local failure = abi.failure
local ngx = ngx
local read_failure = abi.read_failure
local tonumber = tonumber


local FFI_AGAIN = base.FFI_AGAIN
local FFI_OK = base.FFI_OK

local DEFAULT_SPIN = 200 -- us

local UNLIMITED = 0xffffffffffffffffULL


local attached = glue.is_attached and require "resty.nffi.attached"

-- Filled in and read without a yield in between, so one per VM is enough.
local state = ffi.new("nffi_host_state_t")
local identity = ffi.new("ngx_http_lua_nffi_identity_t")


local _M = {}


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


-- A VM of ngx.run_worker_thread() has no ngx.timer. Its phase is "init" in
-- ngx_lua 0.10.23 and missing in later versions. C refuses there.
local function is_init()
    return ngx.timer and ngx.get_phase() == "init"
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
-- of a library of the public ABIs returned. `module`: the user's, if the
-- library is of a bridge.
function _M.load(library, config, limits, module)
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

    local pointer = C.ngx_http_lua_nonblocking_ffi_load(module,
        module and #module or 0, library, #library, config,
        config and #config or 0, limits, failure)

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
    wanted.idle_timeout = spec.idle_timeout
    wanted.on_first_call = spec.start == "first_call" and 1 or 0
    wanted.memory = spec.memory or UNLIMITED
    wanted.files = spec.files or UNLIMITED
    wanted.cpu = spec.cpu or UNLIMITED
    wanted.core = spec.core or UNLIMITED
    wanted.hint = spec.hint

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


-- Returns the C structure with name, name_size, id and process. The next call
-- overwrites it.
function _M.identity(pointer)
    C.ngx_http_lua_nonblocking_ffi_identity(pointer, identity)

    return identity
end


-- Returns the name of the runtime in messages, the log and metrics.
function _M.name(pointer)
    local found = _M.identity(pointer)

    return ffi.string(found.name, found.name_size)
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


return _M
