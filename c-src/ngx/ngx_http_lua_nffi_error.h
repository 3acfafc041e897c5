/*
 * ngx_http_lua_nffi_error.h - an error, as Lua receives it.
 */

#ifndef _NGX_HTTP_LUA_NFFI_ERROR_H_INCLUDED_
#define _NGX_HTTP_LUA_NFFI_ERROR_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


typedef struct {
    u_char                         message[1024];
    size_t                         size;
    const char                    *code;     /* static, NUL-terminated */
    int                            rc;       /* from the entry of a public
                                                library */
} ngx_http_lua_nffi_error_t;


/* Fills in `err` and returns NGX_ERROR. */
ngx_int_t ngx_http_lua_nffi_fail(ngx_http_lua_nffi_error_t *err,
    const char *code, const char *fmt, ...);


#endif /* _NGX_HTTP_LUA_NFFI_ERROR_H_INCLUDED_ */
