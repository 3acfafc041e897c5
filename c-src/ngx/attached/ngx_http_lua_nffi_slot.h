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
    volatile ngx_cycle_t          *cycle;    /* of the semaphore */
    ngx_http_lua_nffi_waiter_t    *waiter;   /* NULL: its call has ended */
    ngx_http_lua_nffi_delivery_t   delivery;
} ngx_http_lua_nffi_slot_t;


/* Returns a slot on which the current coroutine waits, or NULL with `err`.
   `lua_state`: of this coroutine, or NULL if Lua does not name it. The caller
   takes the slot or puts it back before Lua runs again. */
ngx_http_lua_nffi_slot_t *ngx_http_lua_nffi_slot_get(
    ngx_http_lua_nffi_subsystem_t *subsystem, ngx_http_request_t *r,
    void *lua_state, ngx_http_lua_nffi_error_t *err);

/* Puts back a slot of slot_get(): its coroutine does not wait. */
void ngx_http_lua_nffi_slot_put(ngx_http_lua_nffi_slot_t *slot);

/* Takes a slot of slot_get(). Its coroutine yields next. */
void ngx_http_lua_nffi_slot_take(ngx_http_lua_nffi_slot_t *slot,
    ngx_http_lua_nffi_waiter_t *waiter);

/* Returns the slot that was taken last, once; NULL if its coroutine has ended
   or has begun to wait for something else. */
ngx_http_lua_nffi_slot_t *ngx_http_lua_nffi_slot_taken(void);

/* Cancels the call of a slot whose coroutine does not yield. */
void ngx_http_lua_nffi_slot_cancel(ngx_http_lua_nffi_slot_t *slot);

/* Resumes the coroutine, which reads the result. Frees the slot. */
void ngx_http_lua_nffi_slot_resume(ngx_http_lua_nffi_slot_t *slot);


#endif /* _NGX_HTTP_LUA_NFFI_SLOT_H_INCLUDED_ */
