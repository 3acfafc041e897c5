/*
 * ngx_http_lua_nffi_launch.h - starts a process, and releases it.
 */

#ifndef _NGX_HTTP_LUA_NFFI_LAUNCH_H_INCLUDED_
#define _NGX_HTTP_LUA_NFFI_LAUNCH_H_INCLUDED_


#include "ngx_http_lua_nffi_error.h"
#include "ngx_http_lua_nffi_types.h"


ngx_int_t ngx_http_lua_nffi_launch(ngx_http_lua_nffi_process_t *p,
    nffi_host_t *host, ngx_http_lua_nffi_error_t *err);
void ngx_http_lua_nffi_process_release(ngx_http_lua_nffi_process_t *p);
void ngx_http_lua_nffi_process_abandon(ngx_http_lua_nffi_process_t *p);
void ngx_http_lua_nffi_process_free(ngx_http_lua_nffi_process_t *p);


#endif /* _NGX_HTTP_LUA_NFFI_LAUNCH_H_INCLUDED_ */
