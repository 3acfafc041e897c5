/*
 * ngx_http_lua_nonblocking_ffi_supervisor.c - the glue: how long a runtime's
 * process may take to start and to end, what becomes of its calls when it
 * dies, and when it is started again.
 *
 * All of it runs in the event loop.
 */

#ifndef DDEBUG
#define DDEBUG 0
#endif
#include "ddebug.h"


#include "ngx_http_lua_nonblocking_ffi_process.h"


#define NGX_HTTP_LUA_NFFI_FIRST_DELAY   100      /* ms before a restart */
#define NGX_HTTP_LUA_NFFI_LAST_DELAY    30000
#define NGX_HTTP_LUA_NFFI_STEADY        60000    /* up so long: first delay */
#define NGX_HTTP_LUA_NFFI_START_LIMIT   30000    /* ms until it is ready */
#define NGX_HTTP_LUA_NFFI_QUICK_DEATHS  5        /* then a line a minute */


static void ngx_http_lua_nffi_restart_handler(ngx_event_t *ev);
static void ngx_http_lua_nffi_kill_handler(ngx_event_t *ev);
static void ngx_http_lua_nffi_health_handler(ngx_event_t *ev);


static void
ngx_http_lua_nffi_timer_init(ngx_event_t *ev, ngx_event_handler_pt handler,
    ngx_http_lua_nffi_process_t *p)
{
    ev->data = p;
    ev->handler = handler;
    ev->log = ngx_cycle->log;
    ev->cancelable = 1;
}


/* once for each process structure */

void
ngx_http_lua_nffi_supervise(ngx_http_lua_nffi_process_t *p)
{
    p->delay = NGX_HTTP_LUA_NFFI_FIRST_DELAY;

    ngx_http_lua_nffi_timer_init(&p->restart,
                                 ngx_http_lua_nffi_restart_handler, p);
    ngx_http_lua_nffi_timer_init(&p->kill, ngx_http_lua_nffi_kill_handler, p);
    ngx_http_lua_nffi_timer_init(&p->health,
                                 ngx_http_lua_nffi_health_handler, p);
    ngx_http_lua_nffi_timer_init(&p->reap,
                                 ngx_http_lua_nffi_process_reap_handler, p);
}


void
ngx_http_lua_nffi_process_started(ngx_http_lua_nffi_process_t *p)
{
    ngx_uint_t  limit = p->program->limits.start_timeout;

    p->state = NGX_HTTP_LUA_NFFI_STARTING;
    p->started = ngx_current_msec;
    p->last_words.size = 0;
    p->reason.size = 0;

    ngx_add_timer(&p->kill, limit ? limit : NGX_HTTP_LUA_NFFI_START_LIMIT);
}


void
ngx_http_lua_nffi_process_ready(ngx_http_lua_nffi_process_t *p)
{
    p->state = NGX_HTTP_LUA_NFFI_READY;

    if (p->instance->starting) {
        ngx_http_lua_nffi_reload_ready(p->instance);
    }

    if (p->kill.timer_set && !p->instance->closed) {
        ngx_del_timer(&p->kill);
    }

    if (p->program->health_interval && !p->health.timer_set) {
        ngx_add_timer(&p->health, p->program->health_interval);
    }
}


static void
ngx_http_lua_nffi_kill(ngx_http_lua_nffi_process_t *p, const char *why)
{
    if (p->reason.size == 0) {
        ngx_http_lua_nffi_fail(&p->reason, "runtime_down",
                               "its process %P %s and is killed", p->child.pid,
                               why);
    }

    ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                  "nffi: runtime \"%V\": %*s", p->name,
                  p->reason.size, p->reason.message);

    /* its session too: the program that a shell has started would hold the
       socket, so that the end of file would not come */

    nffi_child_kill_session(&p->child);

    ngx_http_lua_nffi_process_died(p);
}


/*
 * A process is well as long as it takes tasks from its queue. If none waits, a
 * ping is queued, which libnffi answers wherever the process polls; the answer
 * is looked for here, since whoever hangs may not have woken us.
 */

static void
ngx_http_lua_nffi_health_handler(ngx_event_t *ev)
{
    uint32_t                       taken, waiting;
    ngx_msec_t                     left, timeout;
    ngx_http_lua_nffi_process_t   *p = ev->data;
    ngx_http_lua_nffi_instance_t  *inst = p->instance;

    if (p->state == NGX_HTTP_LUA_NFFI_READY) {
        ngx_http_lua_nffi_drain(inst, NGX_HTTP_LUA_NFFI_TURN);
    }

    /* one that is closed has a limit of its own */

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
        ngx_http_lua_nffi_kill(p, "has taken no call within the time of its "
                                  "health check");
        return;

    } else {
        left = timeout - (ngx_current_msec - p->alive);
    }

    ngx_add_timer(ev, ngx_min(left, p->program->health_interval));
}


/* what is wrong for good has its own code; the rest may be over soon */

static const char *
ngx_http_lua_nffi_down_code(ngx_http_lua_nffi_process_t *p)
{
    return p->reason.size
           && ngx_strcmp(p->reason.code, "abi_mismatch") == 0
           ? "abi_mismatch" : "runtime_down";
}


/* after five quick deaths one line a minute is enough */

static void
ngx_http_lua_nffi_report_death(ngx_http_lua_nffi_process_t *p)
{
    size_t  size;
    u_char  text[sizeof(p->reason.message)];

    if (p->quick_deaths > NGX_HTTP_LUA_NFFI_QUICK_DEATHS
        && ngx_current_msec - p->reported < 60000)
    {
        return;
    }

    p->reported = ngx_current_msec;
    size = ngx_http_lua_nffi_escape(text, sizeof(text), p->reason.message,
                                    p->reason.size);

    ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                  "nffi: runtime \"%V\": %*s; it is started again in %M ms",
                  p->name, size, text, p->delay);
}


static void
ngx_http_lua_nffi_schedule_restart(ngx_http_lua_nffi_process_t *p)
{
    if (ngx_exiting || p->instance->closed) {
        return;
    }

    ngx_http_lua_nffi_report_death(p);
    ngx_add_timer(&p->restart, p->delay);
    p->delay = ngx_min(p->delay * 2, NGX_HTTP_LUA_NFFI_LAST_DELAY);
}


void
ngx_http_lua_nffi_process_died(ngx_http_lua_nffi_process_t *p)
{
    u_char                         text[sizeof(p->reason.message)];
    size_t                         size;
    ngx_str_t                      message;
    ngx_http_lua_nffi_instance_t  *inst = p->instance;

    /* what it said and answered before it died counts */

    ngx_http_lua_nffi_read_last_output(p);
    ngx_http_lua_nffi_drain(inst, NGX_MAX_INT32_VALUE);

    if (p->reason.size == 0) {
        ngx_http_lua_nffi_fail(&p->reason, "runtime_down",
                               "its process %P ended%s%*s", p->child.pid,
                               p->last_words.size ? ": " : "",
                               p->last_words.size, p->last_words.text);
    }

    if (ngx_current_msec - p->started >= NGX_HTTP_LUA_NFFI_STEADY) {
        p->delay = NGX_HTTP_LUA_NFFI_FIRST_DELAY;
        p->quick_deaths = 0;
    }

    p->quick_deaths++;
    p->state = NGX_HTTP_LUA_NFFI_DOWN;

    size = ngx_snprintf(text, sizeof(text), "the runtime \"%V\" is down: %*s",
                        p->name, p->reason.size, p->reason.message)
           - text;
    message.data = text;
    message.len = size;

    ngx_http_lua_nffi_fail_calls(inst, &message,
                                 ngx_http_lua_nffi_down_code(p));
    ngx_http_lua_nffi_process_release(p);

    if (inst->closed) {
        ngx_http_lua_nffi_instance_end(inst);
        return;
    }

    if (inst->starting) {
        ngx_http_lua_nffi_reload_died(inst);
        return;
    }

    ngx_http_lua_nffi_schedule_restart(p);
}


void
ngx_http_lua_nffi_process_broken(ngx_http_lua_nffi_instance_t *inst)
{
    ngx_http_lua_nffi_process_t  *p = inst->process;

    ngx_http_lua_nffi_fail(&p->reason, "runtime_down",
                           "its process %P broke the rules of the queue",
                           p->child.pid);

    /* its end of file brings the rest */
    nffi_child_kill(&p->child);
}


static void
ngx_http_lua_nffi_restart_handler(ngx_event_t *ev)
{
    ngx_http_lua_nffi_process_t  *p = ev->data;

    if (ngx_exiting || p->instance->closed) {
        return;
    }

    if (ngx_http_lua_nffi_process_spawn(p, &p->reason) != NGX_OK) {
        p->quick_deaths++;
        ngx_http_lua_nffi_schedule_restart(p);
        return;
    }

    p->restarts++;
    p->instance->runtime->counts.restarts++;
}


static void
ngx_http_lua_nffi_kill_handler(ngx_event_t *ev)
{
    ngx_http_lua_nffi_process_t  *p = ev->data;

    ngx_http_lua_nffi_kill(p, p->instance->closed
                              ? "has not ended within the drain limit"
                              : "was not ready within the start limit");
}


ngx_int_t
ngx_http_lua_nffi_process_available(ngx_http_lua_nffi_instance_t *inst,
    ngx_http_lua_nffi_error_t *err)
{
    ngx_http_lua_nffi_process_t  *p = inst->process;

    if (p->state != NGX_HTTP_LUA_NFFI_DOWN && inst->host) {
        return NGX_OK;
    }

    return ngx_http_lua_nffi_fail(err, ngx_http_lua_nffi_down_code(p),
                                  "the runtime \"%V\" is down: %*s", p->name,
                                  p->reason.size, p->reason.message);
}


ngx_uint_t
ngx_http_lua_nffi_process_is_ready(ngx_http_lua_nffi_instance_t *inst)
{
    return inst->process->state == NGX_HTTP_LUA_NFFI_READY;
}


/* no new calls; the process answers what it has, then ends by itself */

void
ngx_http_lua_nffi_process_finish(ngx_http_lua_nffi_instance_t *inst)
{
    ngx_http_lua_nffi_process_t  *p = inst->process;

    if (p->restart.timer_set) {
        ngx_del_timer(&p->restart);
    }

    if (inst->host) {
        nffi_host_close(inst->host);
        ngx_add_timer(&p->kill, ngx_http_lua_nffi_drain_limit());
    }
}
