/*
 * ngx_http_lua_nffi_layout.h - where the running nginx has its fields. One
 * attached glue serves every nginx from 1.21.4 on: nothing that is at another
 * place in one of them is read at a fixed place.
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
 * A request as the shared files pass it on. Requests of ngx_stream_lua have
 * the lowest bit set, which an address never has.
 */

#define ngx_http_lua_nffi_is_stream(r)   (((uintptr_t) (r)) & 1)
#define ngx_http_lua_nffi_untagged(r)    ((void *) ((uintptr_t) (r) & ~1ul))

/* Returns the connection of a request of either subsystem. */
ngx_connection_t *ngx_http_lua_nffi_connection_of(ngx_http_request_t *r);

/* Returns 1 in OpenResty's core. */
ngx_uint_t ngx_http_lua_nffi_is_openresty(void);

/* Returns 1 if the connection has failed or timed out, by the connection's own
   flags. */
ngx_uint_t ngx_http_lua_nffi_is_broken_connection(ngx_connection_t *c);

/* Sets the flag of a connection that has failed. */
void ngx_http_lua_nffi_break_connection(ngx_connection_t *c);

/* Returns 1 for a stream of HTTP/3, whose socket is shared. */
ngx_uint_t ngx_http_lua_nffi_is_quic(ngx_connection_t *c);

/* Returns ngx_connection_t.ssl, which begins with the SSL of OpenSSL. */
void **ngx_http_lua_nffi_tls_of(ngx_connection_t *c);

/* Compares what can be compared in one turn of the event loop: NGX_ERROR with
   `err` if a field is not where it is expected. `workers`: as Lua knows the
   number of worker processes, 0: it does not. */
ngx_int_t ngx_http_lua_nffi_check_layout(ngx_uint_t workers,
    ngx_http_lua_nffi_error_t *err);


#endif /* _NGX_HTTP_LUA_NFFI_LAYOUT_H_INCLUDED_ */
