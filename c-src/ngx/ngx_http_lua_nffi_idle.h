/*
 * ngx_http_lua_nffi_idle.h - stops the processes of a runtime that has no
 * calls.
 */

#ifndef _NGX_HTTP_LUA_NFFI_IDLE_H_INCLUDED_
#define _NGX_HTTP_LUA_NFFI_IDLE_H_INCLUDED_


#include "ngx_http_lua_nffi_types.h"


/* Called when a process of the runtime was started. */
void ngx_http_lua_nffi_idle_watch(ngx_http_lua_nffi_runtime_t *rt);


#endif /* _NGX_HTTP_LUA_NFFI_IDLE_H_INCLUDED_ */
