/*
 * ngx_http_lua_nffi_request.h - what the attached glue keeps of a request until
 * it ends.
 *
 * thread: event loop; blocks: no
 */

#ifndef _NGX_HTTP_LUA_NFFI_REQUEST_H_INCLUDED_
#define _NGX_HTTP_LUA_NFFI_REQUEST_H_INCLUDED_


#include "ngx_http_lua_nffi_coroutine.h"


/* Returns 1 if ngx.eof() was called after resty.nffi was loaded. */
ngx_uint_t ngx_http_lua_nffi_request_has_eof(ngx_http_request_t *r);


#endif /* _NGX_HTTP_LUA_NFFI_REQUEST_H_INCLUDED_ */
