/*
 * ngx_http_lua_nffi_library.h - native libraries that are hosted in the worker.
 */

#ifndef _NGX_HTTP_LUA_NFFI_LIBRARY_H_INCLUDED_
#define _NGX_HTTP_LUA_NFFI_LIBRARY_H_INCLUDED_


#include "ngx_http_lua_nffi_error.h"
#include "ngx_http_lua_nffi_runtime.h"
#include "ngx_http_lua_nffi_types.h"


ngx_http_lua_nffi_runtime_t *ngx_http_lua_nffi_library_load(
    const u_char *module, size_t module_size, const u_char *library,
    size_t library_size, const u_char *config, size_t config_size,
    const ngx_http_lua_nffi_limits_t *limits, ngx_http_lua_nffi_error_t *err);
ngx_int_t ngx_http_lua_nffi_library_add(ngx_http_lua_nffi_runtime_t *rt,
    ngx_queue_t *list, const u_char *library, size_t size,
    ngx_http_lua_nffi_error_t *err);


#endif /* _NGX_HTTP_LUA_NFFI_LIBRARY_H_INCLUDED_ */
