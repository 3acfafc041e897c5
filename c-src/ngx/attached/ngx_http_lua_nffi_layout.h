/*
 * ngx_http_lua_nffi_layout.h - where the running nginx has its fields. One
 * attached glue serves every nginx from 1.21.4 on: a field whose offset differs
 * between releases is never read at a fixed offset.
 *
 * thread: event loop; blocks: no
 */

#ifndef _NGX_HTTP_LUA_NFFI_LAYOUT_H_INCLUDED_
#define _NGX_HTTP_LUA_NFFI_LAYOUT_H_INCLUDED_


#include "ngx_http_lua_nffi_error.h"

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


/*
 * A request as the shared files pass it on. The lowest bit, which is 0 in
 * an address, marks a request of ngx_stream_lua.
 */

#define ngx_http_lua_nffi_is_stream(r)   (((uintptr_t) (r)) & 1)
#define ngx_http_lua_nffi_untagged(r)    ((void *) ((uintptr_t) (r) & ~1ul))

/* Returns the connection of a request of either subsystem. */
ngx_connection_t *ngx_http_lua_nffi_connection_of(ngx_http_request_t *r);

/* Returns the context of a module in a request of http. */
void *ngx_http_lua_nffi_module_ctx(ngx_http_request_t *r,
    const ngx_module_t *module);

/* Returns 1 if the core is OpenResty's. */
ngx_uint_t ngx_http_lua_nffi_is_openresty(void);

/* Returns 1 if the connection has failed or timed out, by the connection's own
   flags. */
ngx_uint_t ngx_http_lua_nffi_is_broken_connection(ngx_connection_t *c);

/* Sets the flag of a connection that has failed. */
void ngx_http_lua_nffi_break_connection(ngx_connection_t *c);

/* Returns 1 for a stream of HTTP/3, which shares its socket with others. */
ngx_uint_t ngx_http_lua_nffi_is_quic(ngx_connection_t *c);

/* Returns ngx_connection_t.ssl, which begins with the SSL of OpenSSL. */
void **ngx_http_lua_nffi_tls_of(ngx_connection_t *c);

/* Tests the fields that can be tested without leaving this turn of the event
   loop. Returns NGX_ERROR with `err` if one is not where it is expected.
   `workers`: the number of worker processes that Lua reports, 0: unknown. */
ngx_int_t ngx_http_lua_nffi_check_layout(ngx_uint_t workers,
    ngx_http_lua_nffi_error_t *err);


#endif /* _NGX_HTTP_LUA_NFFI_LAYOUT_H_INCLUDED_ */
