-- The glue as Lua calls it: its C functions, the results that a call returns,
-- and the error that a C function fills in.


local ffi = require "ffi"
local base = require "resty.core.base"
local glue = require "resty.nffi.glue"


local C = glue.C
local ffi_string = ffi.string


-- first: in a VM of stream {}, the declarations would end nginx
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
    size_t           name_size;
    uint32_t         id;
    uint32_t         process;
} ngx_http_lua_nffi_identity_t;

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
    uint32_t         idle_timeout;
    uint32_t         on_first_call;
    uint64_t         memory;
    uint64_t         files;
    uint64_t         cpu;
    uint64_t         core;
    const char      *hint;
} ngx_http_lua_nffi_process_options_t;

void *ngx_http_lua_nonblocking_ffi_find(const char *key, size_t key_size);

void *ngx_http_lua_nonblocking_ffi_load(const char *module,
    size_t module_size, const char *library, size_t library_size,
    const char *config, size_t config_size,
    const ngx_http_lua_nffi_limits_t *limits, ngx_http_lua_nffi_error_t *err);

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

void *ngx_http_lua_nonblocking_ffi_unread(void *r, void *runtime,
    const char *message, size_t size);

void ngx_http_lua_nonblocking_ffi_unread_free(void *unread, uint32_t read);

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

void ngx_http_lua_nonblocking_ffi_identity(void *runtime,
    ngx_http_lua_nffi_identity_t *identity);
]]


-- Filled in and read without a yield in between, so one per VM is enough.
local failure = ffi.new("ngx_http_lua_nffi_error_t")


local _M = {
    C = C,
    failure = failure,

    -- The first value that a resumed coroutine receives.
    OK = 0,             -- bytes
    RC = 1,             -- rc, bytes
    FAILED = 2,         -- message, code, detail
    ENDED = 3,          -- end of a stream: nothing

    -- The number of cached methods. It is limited, since a name may come from a
    -- client.
    MAX_METHODS = 1000,
}


-- Returns message, code of the C function that has just failed.
function _M.read_failure()
    return ffi_string(failure.message, failure.size), ffi_string(failure.code)
end


return _M
