/*
 * ngx_http_lua_nffi_error.c - the glue: an error, as Lua receives it.
 *
 * thread: event loop; blocks: no
 */

#ifndef DDEBUG
#define DDEBUG 0
#endif
#include "ddebug.h"


#include "ngx_http_lua_nffi_error.h"


ngx_int_t
ngx_http_lua_nffi_fail(ngx_http_lua_nffi_error_t *err, const char *code,
    const char *fmt, ...)
{
    va_list  args;

    va_start(args, fmt);
    err->size = ngx_vslprintf(err->message,
                              err->message + sizeof(err->message), fmt, args)
                - err->message;
    va_end(args);

    err->code = code;
    err->rc = 0;

    return NGX_ERROR;
}
