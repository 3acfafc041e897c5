/*
 * ngx_http_lua_nonblocking_ffi.h - the functions of the glue that Lua calls by
 * FFI (lua/resty/nffi/abi.lua). Runtimes, streams and reloads are opaque to
 * Lua.
 *
 * thread: event loop; blocks: no
 */

#ifndef _NGX_HTTP_LUA_NONBLOCKING_FFI_H_INCLUDED_
#define _NGX_HTTP_LUA_NONBLOCKING_FFI_H_INCLUDED_


#include "ngx_http_lua_nffi_error.h"
#include "ngx_http_lua_nffi_metrics.h"
#include "ngx_http_lua_nffi_program.h"
#include "ngx_http_lua_nffi_runtime.h"


typedef struct {
    const u_char                  *name;
    size_t                         name_size;
    uint32_t                       id;       /* the same in every worker */
    uint32_t                       process;  /* 0: a library in the worker */
} ngx_http_lua_nffi_identity_t;

typedef struct {
    int32_t                        pid;      /* 0: not running */
    uint32_t                       queued;
    uint32_t                       unanswered;
    uint64_t                       restarts;
    uint64_t                       shared_bytes;  /* of its queue */
    const char                    *state;    /* static, NUL-terminated */
} ngx_http_lua_nffi_process_info_t;

/* One read of a stream: a chunk or an error. Valid until the next read. */

typedef struct {
    const u_char                  *data;     /* a chunk or a message */
    size_t                         size;
    const u_char                  *detail;   /* NULL: none */
    size_t                         detail_size;
    const char                    *code;     /* static, NUL-terminated */
    int32_t                        rc;       /* 0: see `code` */
} ngx_http_lua_nffi_read_t;

/* grows with each change of a function or a structure that Lua knows, as does
   its number in lua/resty/nffi/glue.lua */
#define NGX_HTTP_LUA_NFFI_ABI        3

uint32_t ngx_http_lua_nonblocking_ffi_abi_version(void);

void *ngx_http_lua_nonblocking_ffi_find(const u_char *key, size_t key_size);

void *ngx_http_lua_nonblocking_ffi_load(const u_char *module,
    size_t module_size, const u_char *library, size_t library_size,
    const u_char *config, size_t config_size,
    const ngx_http_lua_nffi_limits_t *limits, ngx_http_lua_nffi_error_t *err);

void *ngx_http_lua_nonblocking_ffi_start(const u_char *key, size_t key_size,
    const ngx_http_lua_nffi_process_options_t *options,
    const ngx_http_lua_nffi_limits_t *limits, ngx_http_lua_nffi_error_t *err);

int ngx_http_lua_nonblocking_ffi_may_wait(ngx_http_request_t *r,
    ngx_http_lua_nffi_error_t *err);

int ngx_http_lua_nonblocking_ffi_call(ngx_http_request_t *r, void *runtime,
    const u_char *method, size_t method_size, const u_char *data, size_t size,
    uint32_t timeout_ms, ngx_http_lua_nffi_error_t *err);

void *ngx_http_lua_nonblocking_ffi_stream(ngx_http_request_t *r,
    void *runtime, const u_char *method, size_t method_size,
    const u_char *data, size_t size, uint32_t window,
    ngx_http_lua_nffi_error_t *err);

int ngx_http_lua_nonblocking_ffi_stream_read(ngx_http_request_t *r,
    void *stream, uint32_t timeout_ms, ngx_http_lua_nffi_read_t *read,
    ngx_http_lua_nffi_error_t *err);

void ngx_http_lua_nonblocking_ffi_stream_close(void *stream);

void ngx_http_lua_nonblocking_ffi_stream_free(void *stream);

void *ngx_http_lua_nonblocking_ffi_unread(ngx_http_request_t *r,
    void *runtime, const u_char *message, size_t size);

void ngx_http_lua_nonblocking_ffi_unread_free(void *data, uint32_t read);

void ngx_http_lua_nonblocking_ffi_close(void *runtime);

void ngx_http_lua_nonblocking_ffi_release(void *runtime);

int ngx_http_lua_nonblocking_ffi_is_open(void *runtime);

uint32_t ngx_http_lua_nonblocking_ffi_kept(void);

int ngx_http_lua_nonblocking_ffi_state(void *runtime,
    nffi_host_state_t *state);

void *ngx_http_lua_nonblocking_ffi_reload(void *runtime,
    const u_char *library, size_t size, ngx_http_lua_nffi_error_t *err);

int ngx_http_lua_nonblocking_ffi_reloaded(void *data,
    ngx_http_lua_nffi_error_t *err);

void ngx_http_lua_nonblocking_ffi_reload_free(void *data);

void *ngx_http_lua_nonblocking_ffi_next(void *runtime);

const char *ngx_http_lua_nonblocking_ffi_code(uint32_t index);

const ngx_http_lua_nffi_counts_t *ngx_http_lua_nonblocking_ffi_counts(
    void *runtime);

void ngx_http_lua_nonblocking_ffi_identity(void *runtime,
    ngx_http_lua_nffi_identity_t *identity);

int ngx_http_lua_nonblocking_ffi_process(void *runtime, uint32_t index,
    ngx_http_lua_nffi_process_info_t *info);

size_t ngx_http_lua_nonblocking_ffi_plain(const u_char *text, size_t size);


#endif /* _NGX_HTTP_LUA_NONBLOCKING_FFI_H_INCLUDED_ */
