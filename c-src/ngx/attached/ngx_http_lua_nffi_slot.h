/*
 * ngx_http_lua_nffi_slot.h - a semaphore of ngx_lua and the result for the
 * coroutine that waits on it. Slots are pooled; a cycle of nginx has its own.
 *
 * thread: event loop; blocks: no
 */

#ifndef _NGX_HTTP_LUA_NFFI_SLOT_H_INCLUDED_
#define _NGX_HTTP_LUA_NFFI_SLOT_H_INCLUDED_


#include "ngx_http_lua_nffi_coroutine.h"
#include "ngx_http_lua_nffi_error.h"


/* the outcome that Lua reads after it was resumed; C strings are static */

typedef struct {
    uint32_t                       kind;
    int32_t                        rc;
    const u_char                  *data;     /* NULL: nil */
    size_t                         size;
    const u_char                  *detail;
    size_t                         detail_size;
    const char                    *code;
} ngx_http_lua_nffi_outcome_t;


/* functions of ngx_lua or ngx_stream_lua, and one of LuaJIT */

typedef struct {
    int                          (*sema_new)(void **sem, int n, char **err);
    int                          (*sema_post)(void *sem, int n);
    int                          (*sema_wait)(void *r, void *sem, int ms,
                                              u_char *err, size_t *err_size);
    int                          (*sema_count)(void *sem);
    void                         (*sema_gc)(void *sem);
    int                          (*is_yieldable)(void *lua_state);

    /* may be NULL */
    int                          (*get_phase)(void *r, char **err);
} ngx_http_lua_nffi_subsystem_t;


typedef enum {
    NGX_HTTP_LUA_NFFI_SLOT_FREE = 0,
    NGX_HTTP_LUA_NFFI_SLOT_WAITING,
    NGX_HTTP_LUA_NFFI_SLOT_POSTED,
    NGX_HTTP_LUA_NFFI_SLOT_ABANDONED
} ngx_http_lua_nffi_slot_e;


typedef struct {
    ngx_queue_t                    queue;    /* of free or busy slots */
    ngx_queue_t                    of_request;  /* link while busy */
    void                          *sem;
    void                          *coroutine;   /* its lua_State */
    ngx_msec_t                     expires;     /* key of its timer */
    const ngx_http_lua_nffi_subsystem_t  *subsystem;
    volatile ngx_cycle_t          *cycle;    /* that the semaphore belongs to */
    ngx_http_lua_nffi_slot_e       state;
    ngx_http_lua_nffi_waiter_t    *waiter;   /* NULL: its call has ended */
    ngx_http_lua_nffi_outcome_t    outcome;
    u_char                        *buffer;   /* of the outcome */
    size_t                         room;
} ngx_http_lua_nffi_slot_t;


/* Returns the functions of the subsystem of `r`; NULL before Lua has called
   ngx_http_lua_nonblocking_ffi_subsystem() for it. */
const ngx_http_lua_nffi_subsystem_t *ngx_http_lua_nffi_subsystem_of(
    ngx_http_request_t *r);

/* Returns a slot that stays free until slot_take(); NULL: no memory. */
ngx_http_lua_nffi_slot_t *ngx_http_lua_nffi_slot_get(
    const ngx_http_lua_nffi_subsystem_t *subsystem);

/* Takes a slot of slot_get() for a coroutine, which waits on its semaphore. */
void ngx_http_lua_nffi_slot_take(ngx_http_lua_nffi_slot_t *slot,
    ngx_http_lua_nffi_waiter_t *waiter, void *coroutine);

/* Ends the wait of a coroutine that will never be resumed: cancels its call,
   and removes the timer that ngx_lua has for it. */
void ngx_http_lua_nffi_slot_abandon(ngx_http_lua_nffi_slot_t *slot);

/* Returns 1 while a coroutine waits on the semaphore, so its request exists. */
ngx_uint_t ngx_http_lua_nffi_slot_is_awaited(ngx_http_lua_nffi_slot_t *slot);

/* Returns 0 if the waiter's coroutine was killed. Its call is cancelled. */
ngx_uint_t ngx_http_lua_nffi_slot_check(ngx_http_lua_nffi_slot_t *slot,
    ngx_http_lua_nffi_waiter_t *waiter);

/* Copies a result. Without memory, the coroutine receives `no_memory`. */
void ngx_http_lua_nffi_slot_fill(ngx_http_lua_nffi_slot_t *slot,
    const ngx_http_lua_nffi_result_t *result);

/* Resumes the coroutine in this turn of the event loop, if it still waits. */
void ngx_http_lua_nffi_slot_post(ngx_http_lua_nffi_slot_t *slot);


#endif /* _NGX_HTTP_LUA_NFFI_SLOT_H_INCLUDED_ */
