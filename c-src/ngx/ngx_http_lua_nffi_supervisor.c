/*
 * ngx_http_lua_nffi_supervisor.c - the glue: limits the time that a runtime's
 * process needs to start and to exit, fails its calls when it dies, and
 * restarts it.
 *
 * Everything runs in the event loop.
 */

#ifndef DDEBUG
#define DDEBUG 0
#endif
#include "ddebug.h"


#include "ngx_http_lua_nffi_supervisor.h"
#include "ngx_http_lua_nffi_channel.h"
#include "ngx_http_lua_nffi_core.h"
#include "ngx_http_lua_nffi_collect.h"
#include "ngx_http_lua_nffi_error.h"
#include "ngx_http_lua_nffi_instance.h"
#include "ngx_http_lua_nffi_launch.h"
#include "ngx_http_lua_nffi_process.h"
#include "ngx_http_lua_nffi_program.h"
#include "ngx_http_lua_nffi_reason.h"
#include "ngx_http_lua_nffi_worker.h"


#define NGX_HTTP_LUA_NFFI_START_LIMIT   30000    /* ms */
#define NGX_HTTP_LUA_NFFI_END_LIMIT     1000     /* ms, after it has closed its
                                                    control socket */
#define NGX_HTTP_LUA_NFFI_KNOWN_TIME    600      /* seconds; logs are rotated */


static void ngx_http_lua_nffi_kill_handler(ngx_event_t *ev);
static void ngx_http_lua_nffi_health_handler(ngx_event_t *ev);
static void ngx_http_lua_nffi_end_handler(ngx_event_t *ev);
static void ngx_http_lua_nffi_trim_handler(ngx_event_t *ev);
static void ngx_http_lua_nffi_death_handler(ngx_event_t *ev);


static void
ngx_http_lua_nffi_timer_init(ngx_event_t *ev, ngx_event_handler_pt handler,
    ngx_http_lua_nffi_process_t *p)
{
    ev->data = p;
    ev->handler = handler;
    ev->log = ngx_cycle->log;
    ngx_http_lua_nffi_set_cancelable(ev, 1);
}


/* Called once per process structure. */

void
ngx_http_lua_nffi_supervise(ngx_http_lua_nffi_process_t *p,
    ngx_event_handler_pt restart)
{
    nffi_backoff_init(&p->backoff);

    p->death.data = p;
    p->death.handler = ngx_http_lua_nffi_death_handler;
    p->death.log = ngx_cycle->log;

    ngx_http_lua_nffi_timer_init(&p->restart, restart, p);
    ngx_http_lua_nffi_timer_init(&p->kill, ngx_http_lua_nffi_kill_handler, p);
    ngx_http_lua_nffi_timer_init(&p->health,
                                 ngx_http_lua_nffi_health_handler, p);
    ngx_http_lua_nffi_timer_init(&p->end, ngx_http_lua_nffi_end_handler, p);
    ngx_http_lua_nffi_timer_init(&p->trim, ngx_http_lua_nffi_trim_handler, p);
}


void
ngx_http_lua_nffi_process_started(ngx_http_lua_nffi_process_t *p)
{
    ngx_uint_t  limit = p->program->limits.start_timeout;

    p->state = NGX_HTTP_LUA_NFFI_STARTING;
    p->started = ngx_current_msec;
    p->last_error.size = 0;
    p->last_error.known = &p->program->known;
    p->reason.size = 0;

    if (ngx_time() - p->program->known.since >= NGX_HTTP_LUA_NFFI_KNOWN_TIME) {
        ngx_memzero(&p->program->known, sizeof(ngx_http_lua_nffi_known_t));
        p->program->known.since = ngx_time();
    }

    p->gone = 0;
    p->ended = 0;
    p->unstarted = 0;
    p->broken = 0;
    p->killed = 0;
    p->late = 0;
    p->instance->waiting = 0;
    p->instance->stalled = 0;

    ngx_add_timer(&p->kill, limit ? limit : NGX_HTTP_LUA_NFFI_START_LIMIT);
}


void
ngx_http_lua_nffi_process_ready(ngx_http_lua_nffi_process_t *p)
{
    p->state = NGX_HTTP_LUA_NFFI_READY;
    p->last_error.known = NULL;
    p->program->known.since = 0;

    if (p->instance->starting) {
        p->events->ready(p->instance);
    }

    if (p->kill.timer_set && !p->instance->closed) {
        ngx_del_timer(&p->kill);
    }

    if (p->program->health_interval && !p->health.timer_set) {
        /* calls may have waited for the start: it has the whole time of the
           check for the first of them */

        p->taken = 0;
        p->alive = ngx_current_msec;
        ngx_add_timer(&p->health, p->program->health_interval);
    }
}


static void
ngx_http_lua_nffi_kill(ngx_http_lua_nffi_process_t *p, const char *why)
{
    u_char  hints[NGX_HTTP_LUA_NFFI_HINTS];

    if (p->reason.size == 0) {
        ngx_http_lua_nffi_fail(&p->reason, "runtime_down",
                               "its process %P %s and is killed%*s",
                               p->process.pid, why,
                               ngx_http_lua_nffi_start_hints(p, hints), hints);
    }

    p->killed = 1;

    /* with its descendants: a program started by a shell would keep the socket
       open */

    nffi_process_kill(&p->process);

    ngx_http_lua_nffi_process_died(p);
}


/*
 * A process is healthy while it takes tasks from its queue. If no task waits,
 * the glue queues a ping, which libnffi confirms wherever the process polls.
 * Collects responses first, since a process that hangs may not have woken the
 * worker.
 */

static void
ngx_http_lua_nffi_health_handler(ngx_event_t *ev)
{
    u_char                         why[128];
    uint32_t                       taken, waiting;
    ngx_msec_t                     left, timeout;
    ngx_http_lua_nffi_process_t   *p = ev->data;
    ngx_http_lua_nffi_instance_t  *inst = p->instance;

    if (p->state == NGX_HTTP_LUA_NFFI_READY) {
        ngx_http_lua_nffi_collect(inst, NGX_HTTP_LUA_NFFI_TURN);
    }

    /* a closed process has a separate limit */

    if (p->state != NGX_HTTP_LUA_NFFI_READY || inst->closed || ngx_exiting) {
        return;
    }

    timeout = p->program->health_timeout;
    taken = nffi_host_taken(inst->host, &waiting);

    if (waiting == 0 || taken != p->taken) {
        p->taken = taken;
        p->alive = ngx_current_msec;
        (void) nffi_host_ping(inst->host);
        left = timeout;

    } else if (ngx_current_msec - p->alive >= timeout) {
        ngx_sprintf(why, "has taken no call within the time of its health "
                    "check (health.timeout, %M ms)%Z", timeout);
        ngx_http_lua_nffi_kill(p, (char *) why);
        return;

    } else {
        left = timeout - (ngx_current_msec - p->alive);
    }

    ngx_add_timer(ev, ngx_min(left, p->program->health_interval));
}


/* More shared memory of the process has pages. */

void
ngx_http_lua_nffi_process_grown(void *data)
{
    ngx_http_lua_nffi_process_t  *p = data;

    if (!p->trim.timer_set) {
        ngx_add_timer(&p->trim, NFFI_HOST_TRIM_MS);
    }
}


static void
ngx_http_lua_nffi_trim_handler(ngx_event_t *ev)
{
    ngx_http_lua_nffi_process_t  *p = ev->data;

    if (p->instance->host && !p->dying && nffi_host_trim(p->instance->host)) {
        ngx_add_timer(ev, NFFI_HOST_TRIM_MS);
    }
}


static void
ngx_http_lua_nffi_schedule_restart(ngx_http_lua_nffi_process_t *p)
{
    if (ngx_exiting || p->instance->closed) {
        return;
    }

    ngx_add_timer(&p->restart, nffi_backoff_next(&p->backoff));
}


/* Called when even the attempt to restart has failed. */

void
ngx_http_lua_nffi_process_not_restarted(ngx_http_lua_nffi_process_t *p)
{
    nffi_backoff_died(&p->backoff, ngx_current_msec, ngx_current_msec);
    ngx_http_lua_nffi_report_death(p);
    ngx_http_lua_nffi_schedule_restart(p);
}


static void
ngx_http_lua_nffi_buried(ngx_http_lua_nffi_process_t *p)
{
    ngx_http_lua_nffi_instance_t  *inst = p->instance;

    ngx_http_lua_nffi_process_release(p);

    if (inst->closed) {
        ngx_http_lua_nffi_instance_end(inst);
        return;
    }

    if (inst->starting) {
        p->events->died(inst);
        return;
    }

    ngx_http_lua_nffi_schedule_restart(p);
}


/* Delivers the responses that the process sent before it died, and fails all
   other calls. Large numbers are spread over several turns of the event
   loop. */

static void
ngx_http_lua_nffi_death_handler(ngx_event_t *ev)
{
    u_char                         text[sizeof(((ngx_http_lua_nffi_error_t *)
                                                0)->message)];
    ngx_str_t                      message;
    ngx_http_lua_nffi_process_t   *p = ev->data;
    ngx_http_lua_nffi_instance_t  *inst = p->instance;

    if (!p->broken && p->turns > 0) {
        p->turns--;
        ngx_http_lua_nffi_collect(inst, NGX_HTTP_LUA_NFFI_TURN);

        if (!p->dying) {
            return;
        }

        if (!p->broken && nffi_host_waiting(inst->host)) {
            goto again;
        }
    }

    message.data = text;
    message.len = ngx_snprintf(text, sizeof(text),
                               "the runtime \"%V\" is down: %*s", p->name,
                               p->reason.size, p->reason.message)
                  - text;

    if (ngx_http_lua_nffi_fail_some_calls(inst, &message,
                                          ngx_http_lua_nffi_down_code(p),
                                          NGX_HTTP_LUA_NFFI_TURN)
        == NGX_OK)
    {
        if (p->dying) {
            ngx_http_lua_nffi_buried(p);
        }

        return;
    }

again:

    if (!ev->posted) {
        ngx_post_event(ev, &ngx_posted_next_events);
    }
}


void
ngx_http_lua_nffi_process_died(ngx_http_lua_nffi_process_t *p)
{
    ngx_uint_t     i;
    ngx_event_t   *timers[] = { &p->kill, &p->health, &p->end, &p->trim };

    if (p->dying) {
        return;
    }

    p->dying = 1;
    p->turns = p->program->limits.max_tasks / 16 + 16;

    for (i = 0; i < sizeof(timers) / sizeof(timers[0]); i++) {
        if (timers[i]->timer_set) {
            ngx_del_timer(timers[i]);
        }
    }

    ngx_http_lua_nffi_channel_close(&p->control, 0);
    ngx_http_lua_nffi_read_last_output(p);
    ngx_http_lua_nffi_reason_of_exit(p);

    nffi_backoff_died(&p->backoff, p->started, ngx_current_msec);
    p->state = NGX_HTTP_LUA_NFFI_DOWN;

    /* before its calls fail, since their handlers may log as well */

    if (p->instance->closed || p->instance->starting || ngx_exiting) {
        ngx_http_lua_nffi_report_end(p);

    } else {
        ngx_http_lua_nffi_report_death(p);
    }

    ngx_http_lua_nffi_death_handler(&p->death);
}


/* Called when the process has closed its control socket, as it does when it
   exits. The exit status arrives soon after. A process that continues without
   the socket cannot be controlled. */

void
ngx_http_lua_nffi_process_gone(ngx_http_lua_nffi_process_t *p)
{
    p->gone = 1;
    ngx_http_lua_nffi_channel_close(&p->control, 0);

    if (p->ended || p->process.keeper_fd == -1) {
        ngx_http_lua_nffi_process_died(p);

    } else if (!p->dying) {
        ngx_add_timer(&p->end, NGX_HTTP_LUA_NFFI_END_LIMIT);
    }
}


static void
ngx_http_lua_nffi_end_handler(ngx_event_t *ev)
{
    ngx_http_lua_nffi_kill(ev->data, "has closed its control socket");
}


void
ngx_http_lua_nffi_process_not_started(ngx_http_lua_nffi_process_t *p,
    const nffi_process_report_t *report)
{
    p->unstarted = 1;
    ngx_http_lua_nffi_reason_not_started(p, report);
    ngx_http_lua_nffi_process_died(p);
}


void
ngx_http_lua_nffi_process_broken(ngx_http_lua_nffi_instance_t *inst)
{
    ngx_http_lua_nffi_process_t  *p = inst->process;

    p->broken = 1;

    if (!p->dying) {
        ngx_http_lua_nffi_kill(p, "violated the queue protocol");
    }
}


/* Returns 1 and sets the timer again if the process may be ready: in a long
   turn of the event loop its message has arrived, but is not read yet. */

static ngx_uint_t
ngx_http_lua_nffi_may_be_ready(ngx_http_lua_nffi_process_t *p)
{
    ngx_event_t  *ev = &p->control.read;

    if (p->late || p->gone || p->instance->closed) {
        return 0;
    }

    p->late = 1;

    /* in this turn: events of the next one come after its timers */

    if (ev->posted) {
        ngx_delete_posted_event(ev);
    }

    ngx_post_event(ev, &ngx_posted_events);
    ngx_add_timer(&p->kill, 1);

    return 1;
}


static void
ngx_http_lua_nffi_kill_handler(ngx_event_t *ev)
{
    u_char                        why[128];
    ngx_uint_t                    limit;
    ngx_http_lua_nffi_process_t  *p = ev->data;

    if (ngx_http_lua_nffi_may_be_ready(p)) {
        return;
    }

    if (p->instance->closed) {
        ngx_sprintf(why, "has not ended within the grace period (%M ms)%Z",
                    ngx_http_lua_nffi_grace_period());

    } else {
        limit = p->program->limits.start_timeout;
        ngx_sprintf(why, "was not ready within the start limit "
                    "(start_timeout, %ui ms)%Z",
                    limit ? limit : NGX_HTTP_LUA_NFFI_START_LIMIT);
    }

    ngx_http_lua_nffi_kill(p, (char *) why);
}


ngx_int_t
ngx_http_lua_nffi_process_available(ngx_http_lua_nffi_instance_t *inst,
    ngx_http_lua_nffi_error_t *err)
{
    ngx_http_lua_nffi_process_t  *p = inst->process;

    if (p->state != NGX_HTTP_LUA_NFFI_DOWN && inst->host) {
        return p->state == NGX_HTTP_LUA_NFFI_READY ? NGX_OK : NGX_AGAIN;
    }

    return ngx_http_lua_nffi_fail(err, ngx_http_lua_nffi_down_code(p),
                                  "the runtime \"%V\" is down: %*s", p->name,
                                  p->reason.size, p->reason.message);
}


/* Stops new calls. The process responds to its tasks, then exits. */

void
ngx_http_lua_nffi_process_finish(ngx_http_lua_nffi_instance_t *inst)
{
    ngx_http_lua_nffi_process_t  *p = inst->process;

    if (p->restart.timer_set) {
        ngx_del_timer(&p->restart);
    }

    if (inst->host) {
        nffi_host_close(inst->host);
        ngx_add_timer(&p->kill, ngx_http_lua_nffi_grace_period());
    }
}
