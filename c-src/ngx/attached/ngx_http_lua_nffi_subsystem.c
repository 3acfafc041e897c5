/*
 * ngx_http_lua_nffi_subsystem.c - the attached glue: finds the functions of
 * ngx_lua and of ngx_stream_lua in the running nginx.
 */

#include "ngx_http_lua_nffi_subsystem.h"
#include "ngx_http_lua_nffi_attached.h"
#include "ngx_http_lua_nffi_layout.h"

#include <dlfcn.h>


/* number of functions that a subsystem must have, so that coroutines wait */
#define NGX_HTTP_LUA_NFFI_NEEDED        7


static ngx_http_lua_nffi_subsystem_t
    ngx_http_lua_nffi_subsystems[NGX_HTTP_LUA_NFFI_SUBSYSTEMS];

static ngx_uint_t
    ngx_http_lua_nffi_has_subsystem[NGX_HTTP_LUA_NFFI_SUBSYSTEMS];


const char *
ngx_http_lua_nonblocking_ffi_subsystem(uint32_t is_stream)
{
    size_t       i;
    void       **functions = (void **)
                                 &ngx_http_lua_nffi_subsystems[is_stream];
    const char  *name;

    static const char  *names[NGX_HTTP_LUA_NFFI_SUBSYSTEMS][10] = {
        { "ngx_http_lua_ffi_sema_new", "ngx_http_lua_ffi_sema_post",
          "ngx_http_lua_ffi_sema_wait", "ngx_http_lua_ffi_sema_count",
          "ngx_http_lua_ffi_sema_gc", "lua_isyieldable", "lua_yield",
          "ngx_http_lua_ffi_get_phase", "ngx_http_lua_module", NULL },
        { "ngx_stream_lua_ffi_sema_new", "ngx_stream_lua_ffi_sema_post",
          "ngx_stream_lua_ffi_sema_wait", "ngx_stream_lua_ffi_sema_count",
          "ngx_stream_lua_ffi_sema_gc", "lua_isyieldable", "lua_yield",
          "ngx_stream_lua_ffi_get_phase", NULL }
    };

    for (i = 0; (name = names[is_stream][i]) != NULL; i++) {
        functions[i] = dlsym(RTLD_DEFAULT, name);

        if (functions[i] == NULL && i < NGX_HTTP_LUA_NFFI_NEEDED) {
            return name;
        }
    }

    ngx_http_lua_nffi_has_subsystem[is_stream] = 1;

    return NULL;
}


ngx_http_lua_nffi_subsystem_t *
ngx_http_lua_nffi_subsystem_of(ngx_http_request_t *r)
{
    ngx_uint_t  i = ngx_http_lua_nffi_is_stream(r);

    return ngx_http_lua_nffi_has_subsystem[i]
           ? &ngx_http_lua_nffi_subsystems[i] : NULL;
}


ngx_http_lua_nffi_subsystem_t *
ngx_http_lua_nffi_subsystem_at(ngx_uint_t is_stream)
{
    return &ngx_http_lua_nffi_subsystems[is_stream];
}


ngx_uint_t
ngx_http_lua_nffi_subsystem_index(
    const ngx_http_lua_nffi_subsystem_t *subsystem)
{
    return subsystem - ngx_http_lua_nffi_subsystems;
}
