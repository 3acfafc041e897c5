/*
 * ngx_http_lua_nffi_unread.h - the error of a stream that nothing has read.
 *
 * thread: event loop; blocks: no
 */

#ifndef _NGX_HTTP_LUA_NFFI_UNREAD_H_INCLUDED_
#define _NGX_HTTP_LUA_NFFI_UNREAD_H_INCLUDED_


#include "ngx_http_lua_nffi_runtime.h"


/* Logs one line in the log of the request. `code`: NULL if the message has
   it. */
void ngx_http_lua_nffi_log_unread(ngx_http_request_t *r,
    ngx_http_lua_nffi_runtime_t *rt, const u_char *message, size_t size,
    const char *code);


#endif /* _NGX_HTTP_LUA_NFFI_UNREAD_H_INCLUDED_ */
