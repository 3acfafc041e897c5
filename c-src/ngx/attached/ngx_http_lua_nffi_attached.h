/*
 * ngx_http_lua_nffi_attached.h - functions that Lua calls by FFI only in an
 * attached glue, in addition to ngx_http_lua_nonblocking_ffi.h.
 *
 * thread: event loop; blocks: no
 */

#ifndef _NGX_HTTP_LUA_NFFI_ATTACHED_H_INCLUDED_
#define _NGX_HTTP_LUA_NFFI_ATTACHED_H_INCLUDED_


#include "ngx_http_lua_nffi_delivery.h"
#include "ngx_http_lua_nffi_error.h"


/* Finds the functions of ngx_lua or ngx_stream_lua. Returns NULL, or the
   name of a missing one. */
const char *ngx_http_lua_nonblocking_ffi_subsystem(uint32_t is_stream);

/* Returns 1 if this process has compared its nginx with the one of the proof.
   `done` 1 records that it has. */
uint32_t ngx_http_lua_nonblocking_ffi_compared(uint32_t done);

/* Returns the result for the coroutine that was just resumed, valid until it
   yields. The caller releases one of more than 16 KiB. */
const ngx_http_lua_nffi_delivery_t *ngx_http_lua_nonblocking_ffi_result(void);
void ngx_http_lua_nonblocking_ffi_release_result(void);

/* Sets the coroutine that makes the next call; NULL: no coroutine makes it.
   Returns 1 if calls need this no longer: the glue has found a coroutine where
   ngx_lua, or ngx_stream_lua, keeps it. */
uint32_t ngx_http_lua_nonblocking_ffi_enter(uint32_t is_stream,
    void *coroutine);

/* A function of Lua: yields the coroutine that was parked. Its result is nil if
   ngx_lua does not know the current one, so that the call is cancelled. */
int ngx_http_lua_nonblocking_ffi_yield(void *L);

/* Records that ngx.eof() has ended the response of the request. */
void ngx_http_lua_nonblocking_ffi_eof(ngx_http_request_t *r);

/* Writes the build id of the executable (`symbol` is NULL) or of the object
   that defines the symbol, in hexadecimal. Returns its length; 0: none. */
size_t ngx_http_lua_nonblocking_ffi_build_id(const char *symbol, u_char *id,
    size_t size);

/* Returns 1 if the core is OpenResty's, 0 if it is nginx's. */
int ngx_http_lua_nonblocking_ffi_is_openresty(void);

/* Returns NGX_OK if nginx has its fields where the glue expects them. */
int ngx_http_lua_nonblocking_ffi_self_test(uint32_t workers,
    ngx_http_lua_nffi_error_t *err);


#endif /* _NGX_HTTP_LUA_NFFI_ATTACHED_H_INCLUDED_ */
