/*
 * ngx_http_lua_nffi_client.h - whether the client of a request has
 * disconnected.
 *
 * thread: event loop; blocks: no
 */

#ifndef _NGX_HTTP_LUA_NFFI_CLIENT_H_INCLUDED_
#define _NGX_HTTP_LUA_NFFI_CLIENT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


/*
 * Returns 1 if nothing more can be sent to the client: a write failed or timed
 * out, or the connection or its HTTP/2 or HTTP/3 stream was reset. A client
 * that only shut down its sending side counts as connected. With `ask` the
 * function also asks the kernel, by a system call that does not block.
 */
ngx_uint_t ngx_http_lua_nffi_client_is_gone(ngx_http_request_t *r,
    ngx_uint_t ask);


#endif /* _NGX_HTTP_LUA_NFFI_CLIENT_H_INCLUDED_ */
