/*
 * ngx_http_lua_nffi_reap.c - the glue: frees instances and runtimes that have
 * ended.
 *
 * Everything runs in the event loop, in a separate event, so that no function
 * that uses an instance is on the stack. The exception is
 * ngx_http_lua_nffi_unused(): the last thread of a runtime that uses a closed
 * queue calls it.
 */

#ifndef DDEBUG
#define DDEBUG 0
#endif
#include "ddebug.h"


#include "ngx_http_lua_nffi_reap.h"
#include "ngx_http_lua_nffi_core.h"
#include "ngx_http_lua_nffi_instance.h"
#include "ngx_http_lua_nffi_program.h"
#include "ngx_http_lua_nffi_runtime.h"
#include "ngx_http_lua_nffi_wake.h"
#include "ngx_http_lua_nffi_worker.h"


#define NGX_HTTP_LUA_NFFI_BUSY         1        /* ms until the next check of a
                                                   queue whose mutex is held */
#define NGX_HTTP_LUA_NFFI_SOON         100      /* ms until the next check of an
                                                   instance that is about to
                                                   end */


static void ngx_http_lua_nffi_reap_handler(ngx_event_t *ev);
static ngx_int_t ngx_http_lua_nffi_reap_one(
    ngx_http_lua_nffi_instance_t *inst);

static ngx_queue_t        ngx_http_lua_nffi_ended_instances;
static ngx_queue_t        ngx_http_lua_nffi_closed_runtimes;
static ngx_event_t        ngx_http_lua_nffi_reap_event;   /* for the next
                                                             turn */
static ngx_event_t        ngx_http_lua_nffi_reap_timer;
static ngx_http_lua_nffi_wake_t  *ngx_http_lua_nffi_reap_wake;
static ngx_uint_t         ngx_http_lua_nffi_kept;


/* Frees in the next turn: in this one, nginx may still handle an event of a
   closed descriptor, which uses the memory. */

static void
ngx_http_lua_nffi_reap_woken(void *data)
{
    (void) data;

    ngx_http_lua_nffi_reap_soon();
}


/* Called once per worker. Returns NGX_ERROR without memory or a descriptor. */

ngx_int_t
ngx_http_lua_nffi_reap_init(void)
{
    ngx_uint_t    i;
    ngx_event_t  *events[] = {
        &ngx_http_lua_nffi_reap_event, &ngx_http_lua_nffi_reap_timer
    };

    ngx_queue_init(&ngx_http_lua_nffi_ended_instances);
    ngx_queue_init(&ngx_http_lua_nffi_closed_runtimes);

    for (i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
        ngx_memzero(events[i], sizeof(ngx_event_t));
        events[i]->handler = ngx_http_lua_nffi_reap_handler;
        events[i]->log = ngx_cycle->log;
        ngx_http_lua_nffi_set_cancelable(events[i], 1);
    }

    ngx_http_lua_nffi_kept = 0;
    ngx_http_lua_nffi_reap_wake = ngx_http_lua_nffi_wake_create(
                                      ngx_http_lua_nffi_reap_woken, NULL);

    return ngx_http_lua_nffi_reap_wake ? NGX_OK : NGX_ERROR;
}


void
ngx_http_lua_nffi_reap_soon(void)
{
    if (!ngx_http_lua_nffi_reap_event.posted) {
        ngx_post_event(&ngx_http_lua_nffi_reap_event,
                       &ngx_posted_next_events);
    }
}


/*
 * thread: of the runtime
 *
 * The event loop may free the instance after the first statement. The rest does
 * not use the instance.
 */

void
ngx_http_lua_nffi_unused(void *data)
{
    ngx_http_lua_nffi_instance_t  *inst = data;

    (void) ngx_atomic_cmp_set(&inst->unused, 0, 1);

    ngx_http_lua_nffi_wake_post(ngx_http_lua_nffi_reap_wake);
}


static void
ngx_http_lua_nffi_kept_handler(ngx_event_t *ev)
{
    nffi_host_state_t              state;
    ngx_http_lua_nffi_instance_t  *inst = ev->data;

    /* the only reason may be a long turn of the event loop */

    if (ngx_http_lua_nffi_reap_one(inst) == NGX_OK) {
        ngx_http_lua_nffi_reap_soon();
        return;
    }

    if (inst->unused || (!inst->end_asked && inst->awaited == 0)) {
        ngx_add_timer(ev, NGX_HTTP_LUA_NFFI_SOON);
        return;
    }

    inst->kept_counted = 1;
    ngx_http_lua_nffi_kept++;
    nffi_host_state(inst->host, &state);

    ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                  "nffi: runtime \"%V\" is closed, but its queue stays in "
                  "memory: %s", &inst->runtime->label,
                  state.unanswered ? "its library has calls without a response"
                                   : "a thread of its library has not left "
                                     "poll, or has not released the "
                                     "descriptor of the queue");
}


ngx_uint_t
ngx_http_lua_nffi_kept_queues(void)
{
    return ngx_http_lua_nffi_kept;
}


/* Frees a closed or ended instance when nothing uses it. */

void
ngx_http_lua_nffi_reap_instance(ngx_http_lua_nffi_instance_t *inst)
{
    if (!inst->reaping) {
        inst->reaping = 1;
        ngx_queue_insert_tail(&ngx_http_lua_nffi_ended_instances, &inst->reap);
    }

    if (inst->host && !inst->kept.timer_set) {
        inst->kept.data = inst;
        inst->kept.handler = ngx_http_lua_nffi_kept_handler;
        inst->kept.log = ngx_cycle->log;
        ngx_http_lua_nffi_set_cancelable(&inst->kept, 1);
        ngx_add_timer(&inst->kept, ngx_http_lua_nffi_grace_period());
    }

    ngx_http_lua_nffi_reap_soon();
}


/* Frees a closed runtime when it has no instances and Lua has no pointer to
   it. */

void
ngx_http_lua_nffi_reap_runtime(ngx_http_lua_nffi_runtime_t *rt)
{
    ngx_queue_insert_tail(&ngx_http_lua_nffi_closed_runtimes, &rt->reap);
    ngx_http_lua_nffi_reap_soon();
}


static void
ngx_http_lua_nffi_free_instance(ngx_http_lua_nffi_instance_t *inst)
{
    ngx_uint_t    i;
    ngx_event_t  *timers[] = {
        &inst->alive, &inst->rate.report, &inst->kept, &inst->deadline
    };

    if (inst->collect.posted) {
        ngx_delete_posted_event(&inst->collect);
    }

    for (i = 0; i < sizeof(timers) / sizeof(timers[0]); i++) {
        if (timers[i]->timer_set) {
            ngx_del_timer(timers[i]);
        }
    }

    if (inst->kept_counted) {
        ngx_http_lua_nffi_kept--;
    }

    if (inst->wake) {
        ngx_http_lua_nffi_wake_destroy(inst->wake);
    }

    ngx_queue_remove(&inst->queue);
    ngx_queue_remove(&inst->reap);
    ngx_free(inst);
}


/* Returns NGX_OK if the instance was freed, NGX_AGAIN if it is in use. */

static ngx_int_t
ngx_http_lua_nffi_reap_one(ngx_http_lua_nffi_instance_t *inst)
{
    ngx_int_t  rc;

    if (inst->collecting
        || (inst->wake && ngx_http_lua_nffi_wake_is_queued(inst->wake)))
    {
        return NGX_AGAIN;
    }

    rc = inst->ops->free(inst);

    if (rc == NGX_BUSY && !ngx_http_lua_nffi_reap_timer.timer_set) {
        ngx_add_timer(&ngx_http_lua_nffi_reap_timer, NGX_HTTP_LUA_NFFI_BUSY);
    }

    if (rc != NGX_OK) {
        return NGX_AGAIN;
    }

    ngx_http_lua_nffi_free_instance(inst);

    return NGX_OK;
}


static void
ngx_http_lua_nffi_free_runtime(ngx_http_lua_nffi_runtime_t *rt)
{
    ngx_queue_remove(&rt->queue);

    if (rt->program) {
        ngx_http_lua_nffi_program_free(rt->program);
    }

    ngx_free(rt);
}


static ngx_uint_t
ngx_http_lua_nffi_can_free_runtime(ngx_http_lua_nffi_runtime_t *rt)
{
    return rt->handles == 0
           && ngx_queue_empty(&rt->serving) && ngx_queue_empty(&rt->starting)
           && ngx_queue_empty(&rt->closing) && ngx_queue_empty(&rt->ended);
}


static void
ngx_http_lua_nffi_reap_handler(ngx_event_t *ev)
{
    ngx_queue_t                  *q, *next;
    ngx_http_lua_nffi_runtime_t  *rt;

    (void) ev;

    for (q = ngx_queue_head(&ngx_http_lua_nffi_ended_instances);
         q != ngx_queue_sentinel(&ngx_http_lua_nffi_ended_instances);
         q = next)
    {
        next = ngx_queue_next(q);
        (void) ngx_http_lua_nffi_reap_one(
            ngx_queue_data(q, ngx_http_lua_nffi_instance_t, reap));
    }

    for (q = ngx_queue_head(&ngx_http_lua_nffi_closed_runtimes);
         q != ngx_queue_sentinel(&ngx_http_lua_nffi_closed_runtimes);
         q = next)
    {
        next = ngx_queue_next(q);
        rt = ngx_queue_data(q, ngx_http_lua_nffi_runtime_t, reap);

        if (ngx_http_lua_nffi_can_free_runtime(rt)) {
            ngx_queue_remove(q);
            ngx_http_lua_nffi_free_runtime(rt);
        }
    }
}
