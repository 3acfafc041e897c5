/*
 * ngx_http_lua_nffi_idle.c - the glue: stops the processes of a runtime that
 * has had no calls for its idle_timeout. The next call starts them.
 *
 * A process is never stopped under a call: its instance is closed, as by a
 * reload, and one without a process takes its place in the same turn of the
 * event loop. A call before that is seen by the check, a later one finds the
 * new instance.
 *
 * Everything runs in the event loop.
 */

#ifndef DDEBUG
#define DDEBUG 0
#endif
#include "ddebug.h"


#include "ngx_http_lua_nffi_idle.h"
#include "ngx_http_lua_nffi_core.h"
#include "ngx_http_lua_nffi_instance.h"
#include "ngx_http_lua_nffi_process.h"
#include "ngx_http_lua_nffi_program.h"
#include "ngx_http_lua_nffi_runtime.h"


/* A call only counts itself. Checks compare the count, so that the processes
   stop between one timeout and one and a quarter after the last call. */

#define NGX_HTTP_LUA_NFFI_IDLE_CHECKS  4


static void ngx_http_lua_nffi_idle_handler(ngx_event_t *ev);


void
ngx_http_lua_nffi_idle_watch(ngx_http_lua_nffi_runtime_t *rt)
{
    ngx_http_lua_nffi_idle_t  *idle = &rt->program->idle;

    if (idle->timeout == 0 || idle->check.timer_set) {
        return;
    }

    idle->calls = rt->counts.calls;
    idle->checks = 0;
    idle->busy = 1;
    idle->check.data = rt;
    idle->check.handler = ngx_http_lua_nffi_idle_handler;
    idle->check.log = ngx_cycle->log;
    ngx_http_lua_nffi_set_cancelable(&idle->check, 1);

    ngx_add_timer(&idle->check,
                  idle->timeout / NGX_HTTP_LUA_NFFI_IDLE_CHECKS + 1);
}


/* Returns 1 if an instance has a process, or a reload starts some. Sets `busy`
   if one has calls. */

static ngx_uint_t
ngx_http_lua_nffi_idle_look(ngx_http_lua_nffi_runtime_t *rt, ngx_uint_t *busy)
{
    ngx_uint_t                     running;
    ngx_queue_t                   *q;
    nffi_host_state_t              state;
    ngx_http_lua_nffi_instance_t  *inst;

    *busy = rt->reload != NULL;
    running = *busy;

    for (q = ngx_queue_head(&rt->serving);
         q != ngx_queue_sentinel(&rt->serving);
         q = ngx_queue_next(q))
    {
        inst = ngx_queue_data(q, ngx_http_lua_nffi_instance_t, queue);

        if (inst->process->state != NGX_HTTP_LUA_NFFI_IDLE) {
            running = 1;
        }

        if (inst->awaited) {
            *busy = 1;
        }

        if (inst->host) {
            nffi_host_state(inst->host, &state);
            *busy |= state.unanswered != 0;
        }
    }

    return running;
}


/* Replaces an instance by one without a process. Keeps the number of its
   restarts and their delay. */

static ngx_int_t
ngx_http_lua_nffi_idle_replace(ngx_http_lua_nffi_instance_t *inst)
{
    ngx_http_lua_nffi_process_t  *p;

    if (inst->runtime->program->idle.add(inst->runtime, &p) != NGX_OK) {
        return NGX_ERROR;
    }

    p->restarts = inst->process->restarts;
    p->backoff = inst->process->backoff;
    ngx_http_lua_nffi_instance_close(inst);

    return NGX_OK;
}


static void
ngx_http_lua_nffi_idle_stop(ngx_http_lua_nffi_runtime_t *rt)
{
    ngx_uint_t                     n;
    ngx_queue_t                   *q;
    ngx_http_lua_nffi_instance_t  *inst;

    for (n = 0; n < rt->program->processes; n++) {
        q = ngx_queue_head(&rt->serving);
        inst = ngx_queue_data(q, ngx_http_lua_nffi_instance_t, queue);

        if (inst->process->state == NGX_HTTP_LUA_NFFI_IDLE) {
            ngx_queue_remove(q);
            ngx_queue_insert_tail(&rt->serving, q);

        } else if (ngx_http_lua_nffi_idle_replace(inst) != NGX_OK) {
            ngx_http_lua_nffi_idle_watch(rt);
            return;
        }
    }

    rt->counts.idle_stops++;

    ngx_log_error(NGX_LOG_INFO, ngx_cycle->log, 0,
                  "nffi: runtime \"%V\" had no call for its idle_timeout (%M "
                  "ms) and is stopped; the next call starts it", &rt->label,
                  rt->program->idle.timeout);
}


static void
ngx_http_lua_nffi_idle_handler(ngx_event_t *ev)
{
    ngx_uint_t                    busy;
    ngx_http_lua_nffi_runtime_t  *rt = ev->data;
    ngx_http_lua_nffi_idle_t     *idle = &rt->program->idle;

    if (rt->closed || ngx_exiting || !ngx_http_lua_nffi_idle_look(rt, &busy)) {
        return;
    }

    /* a call that has ended since the last check has run until now */

    if (busy || idle->busy || rt->counts.calls != idle->calls) {
        idle->busy = busy;
        idle->calls = rt->counts.calls;
        idle->checks = 0;

    } else if (++idle->checks == NGX_HTTP_LUA_NFFI_IDLE_CHECKS) {
        ngx_http_lua_nffi_idle_stop(rt);
        return;
    }

    ngx_add_timer(ev, idle->timeout / NGX_HTTP_LUA_NFFI_IDLE_CHECKS + 1);
}
