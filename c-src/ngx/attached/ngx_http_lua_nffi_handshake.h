/*
 * ngx_http_lua_nffi_handshake.h - whether a call can wait in a phase of a TLS
 * handshake.
 *
 * thread: event loop; blocks: no
 */

#ifndef _NGX_HTTP_LUA_NFFI_HANDSHAKE_H_INCLUDED_
#define _NGX_HTTP_LUA_NFFI_HANDSHAKE_H_INCLUDED_


#include "ngx_http_lua_nffi_error.h"
#include "ngx_http_lua_nffi_subsystem.h"


/* Returns 1 if this nginx can wait in ssl_certificate_by_lua*, or, if
   `is_hello`, in ssl_client_hello_by_lua*. */
int ngx_http_lua_nonblocking_ffi_waits_in_handshake(uint32_t is_hello);

/* Returns NGX_OK outside of handshakes, and in a phase in which nginx waits. */
ngx_int_t ngx_http_lua_nffi_check_handshake(ngx_http_request_t *r,
    const ngx_http_lua_nffi_subsystem_t *subsystem,
    ngx_http_lua_nffi_error_t *err);


#endif /* _NGX_HTTP_LUA_NFFI_HANDSHAKE_H_INCLUDED_ */
