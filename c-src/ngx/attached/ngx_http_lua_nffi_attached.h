/*
 * ngx_http_lua_nffi_attached.h - what Lua calls by FFI in an attached glue
 * only, in addition to ngx_http_lua_nonblocking_ffi.h.
 *
 * thread: event loop; blocks: no
 */

#ifndef _NGX_HTTP_LUA_NFFI_ATTACHED_H_INCLUDED_
#define _NGX_HTTP_LUA_NFFI_ATTACHED_H_INCLUDED_


#include "ngx_http_lua_nffi_error.h"
#include "ngx_http_lua_nffi_slot.h"


/* Finds the functions of ngx_lua or ngx_stream_lua. Returns NULL, or the name
   of one that is missing. */
const char *ngx_http_lua_nonblocking_ffi_subsystem(uint32_t is_stream);

/* Sets, and returns, whether this process has compared its nginx with the one
   that the glue was proven with: 0, it has not. */
uint32_t ngx_http_lua_nonblocking_ffi_compared(uint32_t done);

/* Returns the slot of the last coroutine that was parked. */
void *ngx_http_lua_nonblocking_ffi_parked(void);

/* Returns what a resumed coroutine gets, valid until the next call; NULL: it
   must wait on. An outcome with more than 16 KiB must be released. */
const ngx_http_lua_nffi_outcome_t *ngx_http_lua_nonblocking_ffi_outcome(
    void *data);
void ngx_http_lua_nonblocking_ffi_release_outcome(void *data);

/* Waits on: NGX_AGAIN, yield again. */
int ngx_http_lua_nonblocking_ffi_wait_on(ngx_http_request_t *r, void *data);

/* Sets the coroutine that makes the next call; NULL: it is none. */
void ngx_http_lua_nonblocking_ffi_enter(void *coroutine);

/* A coroutine inside a light thread that ngx.thread.kill() has killed is never
   resumed: if it waits, its call is cancelled. */
void ngx_http_lua_nonblocking_ffi_killed(void *coroutine);

/* ngx.eof() has ended the response of the request. */
void ngx_http_lua_nonblocking_ffi_eof(ngx_http_request_t *r);

/* Writes the build id of the executable (`symbol` is NULL) or of the object
   that has a symbol, in hexadecimal. Returns its length, 0: there is none. */
size_t ngx_http_lua_nonblocking_ffi_build_id(const char *symbol, u_char *id,
    size_t size);

/* Returns 1 in OpenResty's core, 0 in nginx's own. */
int ngx_http_lua_nonblocking_ffi_is_openresty(void);

/* Returns NGX_OK if this nginx has its fields where they are expected. */
int ngx_http_lua_nonblocking_ffi_self_test(uint32_t workers,
    ngx_http_lua_nffi_error_t *err);


#endif /* _NGX_HTTP_LUA_NFFI_ATTACHED_H_INCLUDED_ */
