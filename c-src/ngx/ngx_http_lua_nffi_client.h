/*
 * ngx_http_lua_nffi_client.h - the connection of a request: whether its client
 * has disconnected, and its log.
 *
 * thread: event loop; blocks: no
 */

#ifndef _NGX_HTTP_LUA_NFFI_CLIENT_H_INCLUDED_
#define _NGX_HTTP_LUA_NFFI_CLIENT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_lua_nffi_coroutine.h"


/*
 * Returns 1 if nothing more can be sent to the client: a write failed or timed
 * out, or the connection or its HTTP/2 or HTTP/3 stream was reset. A client
 * that only shut down its sending side counts as connected. With `ask` the
 * function also asks the kernel, by a system call that does not block.
 */
ngx_uint_t ngx_http_lua_nffi_client_is_gone(ngx_http_request_t *r,
    ngx_uint_t ask);

/* Returns the log of the waiter's request, with its context; NULL if the
   request may have ended. */
ngx_log_t *ngx_http_lua_nffi_request_log(ngx_http_lua_nffi_waiter_t *waiter);


#endif /* _NGX_HTTP_LUA_NFFI_CLIENT_H_INCLUDED_ */
