/*
 * ngx_http_lua_nffi_reap.h - frees instances and runtimes that have ended.
 */

#ifndef _NGX_HTTP_LUA_NFFI_REAP_H_INCLUDED_
#define _NGX_HTTP_LUA_NFFI_REAP_H_INCLUDED_


#include "ngx_http_lua_nffi_types.h"


ngx_int_t ngx_http_lua_nffi_reap_init(void);
void ngx_http_lua_nffi_reap_soon(void);
void ngx_http_lua_nffi_reap_instance(ngx_http_lua_nffi_instance_t *inst);
void ngx_http_lua_nffi_reap_runtime(ngx_http_lua_nffi_runtime_t *rt);
void ngx_http_lua_nffi_unused(void *data);
ngx_uint_t ngx_http_lua_nffi_kept_queues(void);


#endif /* _NGX_HTTP_LUA_NFFI_REAP_H_INCLUDED_ */
