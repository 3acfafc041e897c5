/*
 * ngx_http_lua_nffi_reload.h - loads the code of a runtime again.
 */

#ifndef _NGX_HTTP_LUA_NFFI_RELOAD_H_INCLUDED_
#define _NGX_HTTP_LUA_NFFI_RELOAD_H_INCLUDED_


#include "ngx_http_lua_nffi_error.h"
#include "ngx_http_lua_nffi_types.h"


typedef enum {
    NGX_HTTP_LUA_NFFI_RELOADING = 0,
    NGX_HTTP_LUA_NFFI_RELOADED,
    NGX_HTTP_LUA_NFFI_RELOAD_FAILED
} ngx_http_lua_nffi_reload_e;


/* One reload. Lua polls it and frees it. While it is in progress its runtime
   uses it as well. */

typedef struct {
    ngx_http_lua_nffi_runtime_t   *runtime;
    ngx_http_lua_nffi_reload_e     state;
    ngx_http_lua_nffi_error_t      reason;   /* of an error */
    unsigned                       freed:1;  /* by Lua, while in progress */
} ngx_http_lua_nffi_reload_t;


void ngx_http_lua_nffi_reload_close(ngx_http_lua_nffi_runtime_t *rt);


#endif /* _NGX_HTTP_LUA_NFFI_RELOAD_H_INCLUDED_ */
