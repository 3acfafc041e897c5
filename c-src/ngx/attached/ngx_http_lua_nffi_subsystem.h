/*
 * ngx_http_lua_nffi_subsystem.h - the attached glue: the functions of ngx_lua
 * and of ngx_stream_lua with which a coroutine waits on a semaphore.
 *
 * thread: event loop; blocks: no
 */

#ifndef _NGX_HTTP_LUA_NFFI_SUBSYSTEM_H_INCLUDED_
#define _NGX_HTTP_LUA_NFFI_SUBSYSTEM_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


/* The functions are those that lua-resty-core also calls by FFI, and two of
   LuaJIT. The rest is found with the first wait. */

typedef struct {
    int                          (*sema_new)(void **sem, int n, char **err);
    int                          (*sema_post)(void *sem, int n);
    int                          (*sema_wait)(void *r, void *sem, int ms,
                                              u_char *err, size_t *err_size);
    int                          (*sema_count)(void *sem);
    void                         (*sema_gc)(void *sem);
    int                          (*is_yieldable)(void *lua_state);
    int                          (*yield)(void *lua_state, int n);

    /* may be NULL */
    int                          (*get_phase)(void *r, char **err);
    const ngx_module_t            *module;      /* of http only */

    /* what ngx_lua calls when a waiting coroutine ends, and where its structure
       of a coroutine has the address, in pointers; 0: not known */
    void                         (*cleanup)(void *coctx);
    ngx_uint_t                     cleanup_at;
    size_t                         link_at;     /* of the semaphore's queue */
    ngx_uint_t                     is_known;    /* and of the lua_State */
    ngx_uint_t                     is_unknown;  /* the structure is another */
} ngx_http_lua_nffi_subsystem_t;


#define NGX_HTTP_LUA_NFFI_SUBSYSTEMS   2


/* Returns the functions of the subsystem of `r`; NULL before Lua has called
   ngx_http_lua_nonblocking_ffi_subsystem() for it. */
ngx_http_lua_nffi_subsystem_t *ngx_http_lua_nffi_subsystem_of(
    ngx_http_request_t *r);

/* Returns those of stream {} or http {}, whether Lua has called or not. */
ngx_http_lua_nffi_subsystem_t *ngx_http_lua_nffi_subsystem_at(
    ngx_uint_t is_stream);

/* Returns a number from 0 to NGX_HTTP_LUA_NFFI_SUBSYSTEMS - 1. */
ngx_uint_t ngx_http_lua_nffi_subsystem_index(
    const ngx_http_lua_nffi_subsystem_t *subsystem);


#endif /* _NGX_HTTP_LUA_NFFI_SUBSYSTEM_H_INCLUDED_ */
