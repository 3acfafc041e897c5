/*
 * ngx_http_lua_nffi_wake.c - the glue: wakes the event loop by the done queue
 * of nginx's thread pool, which our patch of ngx_thread_pool.c opens to any
 * thread.
 */

#ifndef DDEBUG
#define DDEBUG 0
#endif
#include "ddebug.h"


#include "ngx_http_lua_nffi_wake.h"

#include <ngx_event.h>
#include <ngx_thread_pool.h>


/* the patch of ngx_thread_pool.c */
extern void ngx_thread_pool_post_done(ngx_thread_task_t *task);


struct ngx_http_lua_nffi_wake_s {
    ngx_thread_task_t              task;
    ngx_atomic_t                   queued;
    ngx_http_lua_nffi_wake_pt      handler;
    void                          *data;
};


/* from here on it may be posted again */

static void
ngx_http_lua_nffi_wake_handler(ngx_event_t *ev)
{
    ngx_http_lua_nffi_wake_t  *wake = ev->data;

    (void) ngx_atomic_cmp_set(&wake->queued, 1, 0);
    wake->handler(wake->data);
}


ngx_http_lua_nffi_wake_t *
ngx_http_lua_nffi_wake_create(ngx_http_lua_nffi_wake_pt handler, void *data)
{
    ngx_http_lua_nffi_wake_t  *wake;

    wake = ngx_calloc(sizeof(ngx_http_lua_nffi_wake_t), ngx_cycle->log);
    if (wake == NULL) {
        return NULL;
    }

    wake->handler = handler;
    wake->data = data;
    wake->task.event.data = wake;
    wake->task.event.handler = ngx_http_lua_nffi_wake_handler;
    wake->task.event.log = ngx_cycle->log;

    return wake;
}


/*
 * The task may be in the queue already: a host that finds a response after it
 * has announced that it parks collects once more, and may park again before the
 * wake-up that it provoked has arrived. Linked twice, the done list of nginx
 * would be a ring.
 */

void
ngx_http_lua_nffi_wake_post(ngx_http_lua_nffi_wake_t *wake)
{
    if (ngx_atomic_cmp_set(&wake->queued, 0, 1)) {
        ngx_thread_pool_post_done(&wake->task);
    }
}


ngx_uint_t
ngx_http_lua_nffi_wake_is_queued(ngx_http_lua_nffi_wake_t *wake)
{
    return wake->queued;
}


void
ngx_http_lua_nffi_wake_destroy(ngx_http_lua_nffi_wake_t *wake)
{
    ngx_free(wake);
}


ngx_uint_t
ngx_http_lua_nffi_wake_is_possible(void)
{
    return ngx_notify != NULL;
}
