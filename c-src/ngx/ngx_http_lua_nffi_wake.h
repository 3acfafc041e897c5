/*
 * ngx_http_lua_nffi_wake.h - how a thread of a runtime wakes the event loop:
 * by the thread pool's done queue (_wake.c) where nginx is built with our
 * patch, by an eventfd (attached/) where it is not.
 */

#ifndef _NGX_HTTP_LUA_NFFI_WAKE_H_INCLUDED_
#define _NGX_HTTP_LUA_NFFI_WAKE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


typedef struct ngx_http_lua_nffi_wake_s  ngx_http_lua_nffi_wake_t;

typedef void (*ngx_http_lua_nffi_wake_pt)(void *data);


/*
 * Creates a wake-up that calls `handler` in the event loop. Returns NULL
 * without memory, or without a descriptor.
 * thread: event loop; frees: the caller, by ..._destroy()
 */
ngx_http_lua_nffi_wake_t *ngx_http_lua_nffi_wake_create(
    ngx_http_lua_nffi_wake_pt handler, void *data);

/* Wakes the event loop; several calls may become one call of the handler.
   thread: any; blocks: no longer than for a spinlock */
void ngx_http_lua_nffi_wake_post(ngx_http_lua_nffi_wake_t *wake);

/* Returns 1 if it cannot be destroyed now, since it is in a queue of nginx.
   thread: event loop */
ngx_uint_t ngx_http_lua_nffi_wake_is_queued(ngx_http_lua_nffi_wake_t *wake);

/* Frees it. No thread may post it from then on. thread: event loop */
void ngx_http_lua_nffi_wake_destroy(ngx_http_lua_nffi_wake_t *wake);

/* Returns 1 if this nginx and its event method can be woken.
   thread: event loop */
ngx_uint_t ngx_http_lua_nffi_wake_is_possible(void);


#endif /* _NGX_HTTP_LUA_NFFI_WAKE_H_INCLUDED_ */
