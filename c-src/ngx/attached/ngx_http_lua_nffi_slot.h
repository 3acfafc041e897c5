/*
 * ngx_http_lua_nffi_slot.h - the attached glue: a semaphore of ngx_lua, the
 * coroutine that waits on it, and the result for this coroutine. Slots are
 * pooled; a cycle of nginx has its own.
 *
 * thread: event loop; blocks: no
 */

#ifndef _NGX_HTTP_LUA_NFFI_SLOT_H_INCLUDED_
#define _NGX_HTTP_LUA_NFFI_SLOT_H_INCLUDED_


#include "ngx_http_lua_nffi_delivery.h"
#include "ngx_http_lua_nffi_coroutine.h"
#include "ngx_http_lua_nffi_subsystem.h"
#include "ngx_http_lua_nffi_watch.h"


typedef struct {
    ngx_queue_t                    queue;    /* of free or busy slots */
    ngx_http_lua_nffi_watch_t      watch;
    volatile ngx_cycle_t          *cycle;    /* that the semaphore belongs to */
    ngx_http_lua_nffi_waiter_t    *waiter;   /* NULL: its call has ended */
    ngx_http_lua_nffi_delivery_t   delivery;
} ngx_http_lua_nffi_slot_t;


/* Returns a slot that stays free until slot_take(); NULL: no memory. */
ngx_http_lua_nffi_slot_t *ngx_http_lua_nffi_slot_get(
    ngx_http_lua_nffi_subsystem_t *subsystem);

/* Takes a slot of slot_get() for the current coroutine, which yields next.
   Returns NGX_ERROR with `err` if the coroutine cannot wait. */
ngx_int_t ngx_http_lua_nffi_slot_take(ngx_http_lua_nffi_slot_t *slot,
    ngx_http_lua_nffi_waiter_t *waiter, void *lua_state,
    ngx_http_lua_nffi_error_t *err);

/* Resumes the coroutine, which reads the result. Frees the slot. */
void ngx_http_lua_nffi_slot_resume(ngx_http_lua_nffi_slot_t *slot);


#endif /* _NGX_HTTP_LUA_NFFI_SLOT_H_INCLUDED_ */
