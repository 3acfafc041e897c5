/*
 * ngx_http_lua_nffi_error.h - why something failed, as Lua gets it.
 */

#ifndef _NGX_HTTP_LUA_NFFI_ERROR_H_INCLUDED_
#define _NGX_HTTP_LUA_NFFI_ERROR_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


typedef struct {
    u_char                         message[1024];
    size_t                         size;
    const char                    *code;     /* static, NUL-terminated */
    int                            rc;       /* of a public library's entry */
} ngx_http_lua_nffi_error_t;


/* fills in `err`; returns NGX_ERROR */
ngx_int_t ngx_http_lua_nffi_fail(ngx_http_lua_nffi_error_t *err,
    const char *code, const char *fmt, ...);


#endif /* _NGX_HTTP_LUA_NFFI_ERROR_H_INCLUDED_ */
