/*
 * ngx_http_lua_nffi_instance.c - the glue: the instances of a runtime, each
 * with its queue. A call goes to one of them. A closed instance responds to its
 * tasks and keeps an exiting worker until then.
 *
 * Everything runs in the event loop.
 */

#ifndef DDEBUG
#define DDEBUG 0
#endif
#include "ddebug.h"


#include "ngx_http_lua_nffi_instance.h"
#include "ngx_http_lua_nffi_core.h"
#include "ngx_http_lua_nffi_collect.h"
#include "ngx_http_lua_nffi_error.h"
#include "ngx_http_lua_nffi_metrics.h"
#include "ngx_http_lua_nffi_reap.h"
#include "ngx_http_lua_nffi_reason.h"
#include "ngx_http_lua_nffi_runtime.h"
#include "ngx_http_lua_nffi_types.h"
#include "ngx_http_lua_nffi_worker.h"


#define NGX_HTTP_LUA_NFFI_ALIVE        1000     /* ms between checks */
#define NGX_HTTP_LUA_NFFI_ALIVE_FIRST  10       /* min */

/* ms without a taken task until the stall is logged */
#define NGX_HTTP_LUA_NFFI_STALL        5000

/* more than any queue holds */
#define NGX_HTTP_LUA_NFFI_NOT_READY    0x40000000


static void ngx_http_lua_nffi_alive_handler(ngx_event_t *ev);


/* Creates an instance. It takes calls once it has a queue. */

ngx_http_lua_nffi_instance_t *
ngx_http_lua_nffi_instance_add(ngx_http_lua_nffi_runtime_t *rt,
    ngx_queue_t *list, const ngx_http_lua_nffi_instance_ops_t *ops)
{
    ngx_http_lua_nffi_instance_t  *inst;

    inst = ngx_calloc(sizeof(ngx_http_lua_nffi_instance_t), ngx_cycle->log);
    if (inst == NULL) {
        return NULL;
    }

    inst->runtime = rt;
    inst->ops = ops;

    inst->collect.data = inst;
    inst->collect.handler = ngx_http_lua_nffi_collect_handler;
    inst->collect.log = ngx_cycle->log;

    inst->alive.data = inst;
    inst->alive.handler = ngx_http_lua_nffi_alive_handler;
    inst->alive.log = ngx_cycle->log;
    ngx_http_lua_nffi_set_cancelable(&inst->alive, 1);

    ngx_queue_init(&inst->deadlines);
    ngx_queue_insert_tail(list, &inst->queue);

    return inst;
}


/* Ends an instance that has no queue. */

void
ngx_http_lua_nffi_instance_end(ngx_http_lua_nffi_instance_t *inst)
{
    inst->closed = 1;
    inst->starting = 0;
    ngx_queue_remove(&inst->queue);
    ngx_queue_insert_tail(&inst->runtime->ended, &inst->queue);
    ngx_http_lua_nffi_reap_instance(inst);
}


/* Returns the instance with the fewest unanswered tasks, among those whose
   process is ready, or else among those that are starting. Moves it to the end
   of the list, so that equal instances take turns. */

ngx_http_lua_nffi_instance_t *
ngx_http_lua_nffi_instance_choose(ngx_http_lua_nffi_runtime_t *rt,
    ngx_http_lua_nffi_error_t *err)
{
    ngx_int_t                      rc;
    ngx_uint_t                     load, min;
    ngx_queue_t                   *q;
    nffi_host_state_t              state;
    ngx_http_lua_nffi_instance_t  *inst, *best;

    if (rt->closed || ngx_queue_empty(&rt->serving)) {
        (void) ngx_http_lua_nffi_fail(err, "closed",
                                      "the runtime \"%V\" is closed",
                                      &rt->name);
        return NULL;
    }

    q = ngx_queue_head(&rt->serving);
    inst = ngx_queue_data(q, ngx_http_lua_nffi_instance_t, queue);

    if (q == ngx_queue_last(&rt->serving)) {
        return inst->ops->available(inst, err) != NGX_ERROR ? inst : NULL;
    }

    best = NULL;
    min = NGX_MAX_UINT32_VALUE;

    for ( /* void */ ;
         q != ngx_queue_sentinel(&rt->serving);
         q = ngx_queue_next(q))
    {
        inst = ngx_queue_data(q, ngx_http_lua_nffi_instance_t, queue);

        rc = inst->ops->available(inst, err);

        if (rc == NGX_ERROR) {
            continue;
        }

        nffi_host_state(inst->host, &state);
        load = state.unanswered;

        if (rc == NGX_AGAIN) {
            load += NGX_HTTP_LUA_NFFI_NOT_READY;
        }

        if (load < min) {
            min = load;
            best = inst;
        }
    }

    if (best) {
        ngx_queue_remove(&best->queue);
        ngx_queue_insert_tail(&rt->serving, &best->queue);
    }

    return best;
}


/* Stops new calls. Queued tasks are still answered; then its threads or its
   process end. */

void
ngx_http_lua_nffi_instance_close(ngx_http_lua_nffi_instance_t *inst)
{
    if (inst->closed) {
        return;
    }

    if (inst->host == NULL) {
        ngx_http_lua_nffi_instance_end(inst);

    } else {
        inst->closed = 1;
        inst->starting = 0;
        ngx_queue_remove(&inst->queue);
        ngx_queue_insert_tail(&inst->runtime->closing, &inst->queue);
    }

    inst->ops->close(inst);
}


/* Closes all instances of a closed runtime. */

void
ngx_http_lua_nffi_instances_close(ngx_http_lua_nffi_runtime_t *rt)
{
    ngx_uint_t    i;
    ngx_queue_t  *q;
    ngx_queue_t  *lists[] = { &rt->serving, &rt->starting };

    for (i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        while (!ngx_queue_empty(lists[i])) {
            q = ngx_queue_head(lists[i]);
            ngx_http_lua_nffi_instance_close(
                ngx_queue_data(q, ngx_http_lua_nffi_instance_t, queue));
        }
    }
}


/* Returns the time between two checks whether the worker is exiting, since
   nginx does not notify modules of it. */

static ngx_msec_t
ngx_http_lua_nffi_alive_period(void)
{
    ngx_msec_t  timeout = ngx_http_lua_nffi_shutdown_timeout() / 20;

    if (timeout == 0) {
        return NGX_HTTP_LUA_NFFI_ALIVE;
    }

    timeout = ngx_max(timeout, NGX_HTTP_LUA_NFFI_ALIVE_FIRST);

    return ngx_min(timeout, NGX_HTTP_LUA_NFFI_ALIVE);
}


/*
 * Returns the limit for calls when the worker exits. At worker_shutdown_timeout
 * nginx closes the connections, so the limit is shorter: by a tenth, so that
 * handlers can respond to their clients, and by one check period, since the
 * glue may notice the exit that late.
 */

static ngx_msec_t
ngx_http_lua_nffi_exit_grace(void)
{
    ngx_msec_t  limit, margin;

    limit = ngx_http_lua_nffi_shutdown_timeout();

    if (limit == 0) {
        return NGX_HTTP_LUA_NFFI_GRACE_PERIOD;
    }

    margin = ngx_min(limit / 10, 1000) + ngx_http_lua_nffi_alive_period();
    limit = limit > margin ? limit - margin : 0;

    return ngx_min(limit, NGX_HTTP_LUA_NFFI_GRACE_PERIOD);
}


/* A timer that nginx does not cancel keeps an exiting worker while calls wait.
   Without waiting calls the timer is cancelable. A silent runtime keeps the
   worker, and callers after a close, at most for the grace period. */

void
ngx_http_lua_nffi_instance_keep(ngx_http_lua_nffi_instance_t *inst)
{
    ngx_http_lua_nffi_set_cancelable(&inst->alive, 0);

    if (!inst->alive.timer_set) {
        ngx_add_timer(&inst->alive, ngx_http_lua_nffi_alive_period());
    }
}


/* Called when no call waits. Threads die with the worker, so those that still
   run cancelled tasks get a moment to react to the cancellation. */

void
ngx_http_lua_nffi_instance_let_go(ngx_http_lua_nffi_instance_t *inst)
{
    nffi_host_state_t  state;

    ngx_http_lua_nffi_set_cancelable(&inst->alive, 1);

    if (!ngx_exiting || inst->process || inst->host == NULL) {
        return;
    }

    nffi_host_state(inst->host, &state);

    if (state.unanswered) {
        ngx_http_lua_nffi_set_cancelable(&inst->alive, 0);

        if (inst->alive.timer_set) {
            ngx_del_timer(&inst->alive);
        }

        ngx_add_timer(&inst->alive, NGX_HTTP_LUA_NFFI_CANCEL_GRACE);
    }
}


/* Logs "3 calls wait, 1 runs", with the id of a process. */

static void
ngx_http_lua_nffi_log_stall(ngx_http_lua_nffi_instance_t *inst)
{
    size_t                      size;
    u_char                      process[64], *last;
    u_char                      hints[NGX_HTTP_LUA_NFFI_HINTS];
    ngx_pid_t                   pid;
    uint32_t                    running;
    ngx_msec_t                  since = ngx_current_msec - inst->idle_since;
    nffi_host_state_t           state;
    ngx_http_lua_nffi_error_t   err;

    nffi_host_state(inst->host, &state);
    running = state.unanswered - ngx_min(state.unanswered, state.queued);
    last = process;
    pid = inst->ops->pid(inst);

    if (pid) {
        last = ngx_snprintf(process, sizeof(process), " (process %P)", pid);
    }

    if (inst->ops->available(inst, &err) != NGX_OK) {
        size = inst->process
               ? ngx_http_lua_nffi_start_hints(inst->process, hints) : 0;

        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "nffi: runtime \"%V\"%*s is not ready yet: %uD %s "
                      "waited for it for %M ms%*s", &inst->runtime->label,
                      (size_t) (last - process), process, state.queued,
                      state.queued == 1 ? "call has" : "calls have", since,
                      size, hints);
        return;
    }

    ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                  "nffi: runtime \"%V\"%*s has taken no call for %M ms: %uD "
                  "%s, %uD %s; an endless loop, or calls that block all of its "
                  "threads?", &inst->runtime->label,
                  (size_t) (last - process), process, since, state.queued,
                  state.queued == 1 ? "call waits" : "calls wait", running,
                  running == 1 ? "runs" : "run");
}


/* Logs once if a runtime takes no task while tasks wait, and once when it takes
   tasks again. The time counts from the first check that finds waiting tasks,
   since a runtime without calls is not checked. */

static void
ngx_http_lua_nffi_look_for_stall(ngx_http_lua_nffi_instance_t *inst)
{
    uint32_t           taken, waiting;
    nffi_host_state_t  state;

    /* pings are taken as well, but they do not count as waiting calls */

    taken = nffi_host_taken(inst->host, &waiting);
    nffi_host_state(inst->host, &state);

    if (state.queued && inst->waiting && taken == inst->taken) {

        if (!inst->stalled && ngx_current_msec - inst->idle_since
                              >= NGX_HTTP_LUA_NFFI_STALL)
        {
            inst->stalled = 1;
            ngx_http_lua_nffi_log_stall(inst);
        }

        return;
    }

    if (inst->stalled) {
        inst->stalled = 0;
        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "nffi: runtime \"%V\" takes calls again, after %M ms",
                      &inst->runtime->label,
                      ngx_current_msec - inst->idle_since);
    }

    inst->taken = taken;
    inst->waiting = state.queued != 0;
    inst->idle_since = ngx_current_msec;
}


static void
ngx_http_lua_nffi_grace_period_over(ngx_http_lua_nffi_instance_t *inst)
{
    u_char     text[512];
    ngx_str_t  message;

    message.data = text;
    message.len = ngx_snprintf(text, sizeof(text),
                               "%s and the runtime \"%V\" has not responded "
                               "within the grace period (%M ms)",
                               ngx_exiting ? "the worker exits"
                                           : "the runtime is closed",
                               &inst->runtime->name,
                               ngx_exiting ? ngx_http_lua_nffi_exit_grace()
                                           : ngx_http_lua_nffi_grace_period())
                  - text;

    ngx_http_lua_nffi_fail_calls(inst, &message,
                                 ngx_exiting ? "exiting" : "closed");
}


static void
ngx_http_lua_nffi_alive_handler(ngx_event_t *ev)
{
    ngx_msec_t                     period;
    ngx_msec_int_t                 left;
    ngx_http_lua_nffi_instance_t  *inst = ev->data;

    if (inst->host) {
        ngx_http_lua_nffi_look_for_stall(inst);
    }

    if (inst->awaited == 0) {
        return;
    }

    period = ngx_http_lua_nffi_alive_period();

    if (ngx_exiting || inst->closed) {
        left = ngx_exiting ? ngx_http_lua_nffi_exit_grace()
                           : ngx_http_lua_nffi_grace_period();

        /* after a close before the exit, the earlier limit applies */

        if (inst->grace_until == 0
            || (ngx_exiting && !inst->exiting
                && left < (ngx_msec_int_t)
                          (inst->grace_until - ngx_current_msec)))
        {
            inst->grace_until = ngx_current_msec + left;
        }

        inst->exiting = ngx_exiting != 0;
        left = inst->grace_until - ngx_current_msec;

        if (left <= 0) {
            ngx_http_lua_nffi_grace_period_over(inst);
            return;
        }

        period = ngx_min(period, (ngx_msec_t) left);
    }

    ngx_add_timer(ev, period);
}


/* These two count the calls that keep an exiting worker. */

void
ngx_http_lua_nffi_awaited(ngx_http_lua_nffi_instance_t *inst)
{
    inst->awaited++;
    ngx_http_lua_nffi_instance_keep(inst);
}


void
ngx_http_lua_nffi_not_awaited(ngx_http_lua_nffi_instance_t *inst)
{
    inst->awaited--;

    if (inst->awaited == 0) {
        ngx_http_lua_nffi_instance_let_go(inst);

        if (inst->reaping) {
            ngx_http_lua_nffi_reap_soon();
        }
    }
}


/* Sums up all instances, including closed ones with calls left. */

ngx_int_t
ngx_http_lua_nffi_state(ngx_http_lua_nffi_runtime_t *rt,
    nffi_host_state_t *sum)
{
    ngx_uint_t                     i;
    ngx_queue_t                   *q;
    nffi_host_state_t              state;
    ngx_http_lua_nffi_instance_t  *inst;
    ngx_queue_t                   *lists[] = { &rt->serving, &rt->closing };

    ngx_memzero(sum, sizeof(*sum));

    for (i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        for (q = ngx_queue_head(lists[i]);
             q != ngx_queue_sentinel(lists[i]);
             q = ngx_queue_next(q))
        {
            inst = ngx_queue_data(q, ngx_http_lua_nffi_instance_t, queue);

            if (inst->host == NULL) {
                continue;
            }

            nffi_host_state(inst->host, &state);
            sum->queued += state.queued;
            sum->unanswered += state.unanswered;
            sum->awaited += state.awaited;
            sum->bytes += state.bytes;
            ngx_http_lua_nffi_count_misuse(inst);
        }
    }

    for (i = 0; i < NFFI_HOST_MISUSES; i++) {
        sum->refused += rt->counts.refused[i];
    }

    return rt->closed ? NGX_DECLINED : NGX_OK;
}
