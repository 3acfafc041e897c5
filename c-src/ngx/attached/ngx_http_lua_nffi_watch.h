/*
 * ngx_http_lua_nffi_watch.h - the attached glue: reports that a coroutine which
 * waits on a semaphore ends instead, since its thread was killed, or its phase
 * or request has ended.
 *
 * thread: event loop; blocks: no
 */

#ifndef _NGX_HTTP_LUA_NFFI_WATCH_H_INCLUDED_
#define _NGX_HTTP_LUA_NFFI_WATCH_H_INCLUDED_


#include "ngx_http_lua_nffi_error.h"
#include "ngx_http_lua_nffi_subsystem.h"


/* The owner sets `subsystem`, `sem` and `ended`, and keeps it in memory until
   watch_resume() or watch_drop(), or until ended() is called. */

typedef struct ngx_http_lua_nffi_watch_s  ngx_http_lua_nffi_watch_t;

struct ngx_http_lua_nffi_watch_s {
    ngx_http_lua_nffi_subsystem_t  *subsystem;
    void                           *sem;

    /* the coroutine no longer waits, and is never resumed */
    void                          (*ended)(ngx_http_lua_nffi_watch_t *watch);

    void                          **coctx;   /* NULL: it does not wait */
    void                          **thread;  /* its light thread; NULL: not
                                                watched */
    ngx_http_request_t             *request;
    void                           *ctx;     /* ngx_lua's, of the request */
};


/* Makes the current coroutine wait on the semaphore, without a timeout, before
   its yield. `lua_state`: the coroutine as Lua has named it, or NULL. Returns
   NGX_ERROR with `err` if it may not wait: ngx_lua does not allow it in this
   phase, or does not know the coroutine. Returns NGX_ABORT with `err` if
   ngx_lua's structure of a coroutine is another one than in versions 0.10.0 to
   0.10.32: the semaphore must not be used again, nor freed. In both cases the
   coroutine does not wait. */
ngx_int_t ngx_http_lua_nffi_watch_begin(ngx_http_lua_nffi_watch_t *watch,
    ngx_http_request_t *r, void *lua_state, ngx_http_lua_nffi_error_t *err);

/* Watches the coroutine of watch_begin(). */
void ngx_http_lua_nffi_watch_start(ngx_http_lua_nffi_watch_t *watch);

/* Fills in `err` for such a structure. */
ngx_int_t ngx_http_lua_nffi_watch_unsupported(ngx_http_lua_nffi_error_t *err);

/* Returns the coroutine of watch_begin(), a lua_State. */
void *ngx_http_lua_nffi_watch_lua_state(ngx_http_lua_nffi_watch_t *watch);

/* Resumes the coroutine, which runs until it waits for something or ends. If
   nginx has taken the request from ngx_lua, it is never resumed. */
void ngx_http_lua_nffi_watch_resume(ngx_http_lua_nffi_watch_t *watch);

/* Ends the wait; the coroutine is never resumed. */
void ngx_http_lua_nffi_watch_drop(ngx_http_lua_nffi_watch_t *watch);


#endif /* _NGX_HTTP_LUA_NFFI_WATCH_H_INCLUDED_ */
