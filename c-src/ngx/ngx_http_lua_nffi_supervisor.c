/*
 * ngx_http_lua_nffi_supervisor.c - the glue: how long a runtime's
 * process may take to start and to end, what becomes of its calls when it
 * dies, and when it is started again.
 *
 * All of it runs in the event loop.
 */

#ifndef DDEBUG
#define DDEBUG 0
#endif
#include "ddebug.h"


#include "ngx_http_lua_nffi_supervisor.h"
#include "ngx_http_lua_nffi_channel.h"
#include "ngx_http_lua_nffi_drain.h"
#include "ngx_http_lua_nffi_error.h"
#include "ngx_http_lua_nffi_instance.h"
#include "ngx_http_lua_nffi_launch.h"
#include "ngx_http_lua_nffi_log.h"
#include "ngx_http_lua_nffi_output.h"
#include "ngx_http_lua_nffi_process.h"
#include "ngx_http_lua_nffi_program.h"
#include "ngx_http_lua_nffi_worker.h"


#define NGX_HTTP_LUA_NFFI_START_LIMIT   30000    /* ms until it is ready */
#define NGX_HTTP_LUA_NFFI_END_LIMIT     1000     /* ms, after it has let go of
                                                    its control socket */
#define NGX_HTTP_LUA_NFFI_KNOWN_TIME    600      /* seconds; logs are rotated */


static void ngx_http_lua_nffi_kill_handler(ngx_event_t *ev);
static void ngx_http_lua_nffi_health_handler(ngx_event_t *ev);
static void ngx_http_lua_nffi_end_handler(ngx_event_t *ev);
static void ngx_http_lua_nffi_death_handler(ngx_event_t *ev);


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
}


void
ngx_http_lua_nffi_process_started(ngx_http_lua_nffi_process_t *p)
{
    ngx_uint_t  limit = p->program->limits.start_timeout;

    p->state = NGX_HTTP_LUA_NFFI_STARTING;
    p->started = ngx_current_msec;
    p->last_words.size = 0;
    p->last_words.known = &p->program->known;
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
    p->instance->waiting = 0;
    p->instance->stalled = 0;

    ngx_add_timer(&p->kill, limit ? limit : NGX_HTTP_LUA_NFFI_START_LIMIT);
}


void
ngx_http_lua_nffi_process_ready(ngx_http_lua_nffi_process_t *p)
{
    p->state = NGX_HTTP_LUA_NFFI_READY;
    p->last_words.known = NULL;
    p->program->known.since = 0;

    if (p->instance->starting) {
        p->events->ready(p->instance);
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

    p->killed = 1;

    /* and all that descend from it: the program that a shell has started would
       hold the socket */

    nffi_child_kill(&p->child);

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
    u_char                         why[128];
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
        ngx_sprintf(why, "has taken no call within the time of its health "
                    "check (health.timeout, %M ms)%Z", timeout);
        ngx_http_lua_nffi_kill(p, (char *) why);
        return;

    } else {
        left = timeout - (ngx_current_msec - p->alive);
    }

    ngx_add_timer(ev, ngx_min(left, p->program->health_interval));
}


/* what somebody must put right has its own code; the rest may be over soon */

static const char *
ngx_http_lua_nffi_down_code(ngx_http_lua_nffi_process_t *p)
{
    return p->reason.size
           && (p->unstarted || ngx_strcmp(p->reason.code, "abi_mismatch") == 0)
           ? p->reason.code : "runtime_down";
}


/* of the reason, without the pid in it */

static uint32_t
ngx_http_lua_nffi_reason_hash(ngx_http_lua_nffi_process_t *p)
{
    u_char   pid[NGX_INT64_LEN + 1], *at;
    size_t   before, size;

    static const char  mark[] = "process ";

    size = ngx_sprintf(pid, "%P", p->child.pid) - pid;
    at = memmem(p->reason.message, p->reason.size, pid, size);
    before = at ? (size_t) (at - p->reason.message) : 0;

    if (before < sizeof(mark) - 1
        || ngx_memcmp(at - sizeof(mark) + 1, mark, sizeof(mark) - 1) != 0)
    {
        return ngx_murmur_hash2(p->reason.message, p->reason.size);
    }

    return ngx_murmur_hash2(p->reason.message, before)
           ^ ngx_murmur_hash2(at + size, p->reason.size - before - size);
}


/* its process 17 cannot start, for the same reason */

static size_t
ngx_http_lua_nffi_short_reason(ngx_http_lua_nffi_process_t *p, u_char *text,
    size_t room, const char *which)
{
    u_char  pid[NGX_INT64_LEN + 2], *last;

    last = p->unstarted ? pid : ngx_sprintf(pid, " %P", p->child.pid);

    return ngx_snprintf(text, room, "its process%*s cannot start, for the %s",
                        (size_t) (last - pid), pid, which)
           - text;
}


/* what the log gets of the reason: one that is there already is not repeated */

static size_t
ngx_http_lua_nffi_reason_to_log(ngx_http_lua_nffi_process_t *p, u_char *text,
    size_t room)
{
    uint32_t                    hash;
    ngx_http_lua_nffi_known_t  *known = p->last_words.known;

    if (known) {
        hash = ngx_http_lua_nffi_reason_hash(p);

        if (known->reason == hash) {
            return ngx_http_lua_nffi_short_reason(p, text, room,
                                                  "same reason");
        }

        known->reason = hash;

        if (p->last_words.size
            && memmem(p->reason.message, p->reason.size, p->last_words.text,
                      p->last_words.size))
        {
            return ngx_http_lua_nffi_short_reason(p, text, room,
                                                  "reason above");
        }
    }

    return ngx_http_lua_nffi_escape(text, room, p->reason.message,
                                    p->reason.size);
}


/* one line for each step of the back-off, then one a minute */

static void
ngx_http_lua_nffi_report_death(ngx_http_lua_nffi_process_t *p)
{
    size_t  size;
    u_char  text[sizeof(p->reason.message)];

    if (!nffi_backoff_is_reported(&p->backoff, ngx_current_msec)) {
        return;
    }

    size = ngx_http_lua_nffi_reason_to_log(p, text, sizeof(text));

    ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                  "nffi: runtime \"%V\": %*s; it is started again in %M ms",
                  p->name, size, text, (ngx_msec_t) p->backoff.delay_ms);
}


/* the end of one that is not started again: it was closed, or should have
   taken over at a reload */

static void
ngx_http_lua_nffi_report_end(ngx_http_lua_nffi_process_t *p)
{
    size_t      size;
    u_char      text[sizeof(p->reason.message)];
    ngx_uint_t  level;

    level = p->instance->starting ? NGX_LOG_ERR
            : p->killed || !p->ended || p->status ? NGX_LOG_WARN
            : NGX_LOG_INFO;

    size = ngx_http_lua_nffi_reason_to_log(p, text, sizeof(text));

    ngx_log_error(level, ngx_cycle->log, 0, "nffi: runtime \"%V\": %*s%s",
                  p->name, size, text,
                  p->instance->starting ? "; the old code stays" : "");
}


static void
ngx_http_lua_nffi_schedule_restart(ngx_http_lua_nffi_process_t *p)
{
    if (ngx_exiting || p->instance->closed) {
        return;
    }

    ngx_add_timer(&p->restart, nffi_backoff_next(&p->backoff));
}


/* it could not even be started again */

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


/*
 * What it answered before it died counts; every other call fails. However much
 * that is, one turn of the event loop does its share of it.
 */

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
        ngx_http_lua_nffi_drain(inst, NGX_HTTP_LUA_NFFI_TURN);

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


/* what a signal, or a code of a shell that was told of one, often means */

static const char *
ngx_http_lua_nffi_hint(ngx_uint_t signaled, int number)
{
    if (!signaled && (number == 126 || number == 127)) {
        return number == 126 ? " (a program in it cannot be executed)"
                             : " (a program in it was not found)";
    }

    switch (signaled ? number : number - 128) {

    case SIGKILL:
        return " (SIGKILL: out of memory? the kernel's log tells)";

    case SIGABRT:
        return " (SIGABRT: a failed check, or no memory for its heap)";

    case SIGSEGV:
        return " (SIGSEGV: a crash in native code)";

    case SIGBUS:
        return " (SIGBUS: a crash in native code, or a full file system)";

    case SIGILL:
        return " (SIGILL: code for another CPU, or a crash)";

    case SIGFPE:
        return " (SIGFPE: a crash in native code)";

    case SIGSYS:
        return " (SIGSYS: a system call that seccomp forbids)";

    case SIGXCPU:
        return " (SIGXCPU: limits.cpu is used up)";

    case SIGTERM:
        return " (SIGTERM: from outside of nffi)";

    default:
        return "";
    }
}


/* its process 17 ended by signal 9 (SIGKILL: out of memory?) */

static void
ngx_http_lua_nffi_reason_of_death(ngx_http_lua_nffi_process_t *p)
{
    int     number;
    u_char  how[128], *last;

    if (p->reason.size) {
        return;
    }

    last = how;

    if (p->ended && WIFSIGNALED(p->status)) {
        number = WTERMSIG(p->status);
        last = ngx_snprintf(how, sizeof(how), " by signal %d%s", number,
                            ngx_http_lua_nffi_hint(1, number));

    } else if (p->ended) {
        number = WEXITSTATUS(p->status);
        last = ngx_snprintf(how, sizeof(how), " with code %d%s", number,
                            ngx_http_lua_nffi_hint(0, number));
    }

    ngx_http_lua_nffi_fail(&p->reason, "runtime_down",
                           "its process %P ended%*s%s%*s", p->child.pid,
                           (size_t) (last - how), how,
                           p->last_words.size ? ": " : "",
                           p->last_words.size, p->last_words.text);
}


void
ngx_http_lua_nffi_process_died(ngx_http_lua_nffi_process_t *p)
{
    ngx_uint_t     i;
    ngx_event_t   *timers[] = { &p->kill, &p->health, &p->end };

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
    ngx_http_lua_nffi_reason_of_death(p);

    nffi_backoff_died(&p->backoff, p->started, ngx_current_msec);
    p->state = NGX_HTTP_LUA_NFFI_DOWN;

    /* before its calls fail, of which the log may tell, too */

    if (p->instance->closed || p->instance->starting || ngx_exiting) {
        ngx_http_lua_nffi_report_end(p);

    } else {
        ngx_http_lua_nffi_report_death(p);
    }

    ngx_http_lua_nffi_death_handler(&p->death);
}


/*
 * It has let go of its control socket, as it does at its end: how it ended is
 * known in a moment. Nothing can be asked of one that goes on.
 */

void
ngx_http_lua_nffi_process_gone(ngx_http_lua_nffi_process_t *p)
{
    p->gone = 1;
    ngx_http_lua_nffi_channel_close(&p->control, 0);

    if (p->ended || p->child.keeper_fd == -1) {
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


static void
ngx_http_lua_nffi_no_program(ngx_http_lua_nffi_process_t *p)
{
    u_char   list[512], *last, *end;
    char   **program;

    last = list;
    end = list + sizeof(list);

    for (program = (char **) p->program->spawn.programs; *program; program++) {
        last = ngx_slprintf(last, end, "%s%s", last == list ? "" : ", ",
                            *program);
    }

    ngx_http_lua_nffi_fail(&p->reason, "no_program",
                           "no program that this user may run; tried %*s: name "
                           "one with { program = \"/path\" }",
                           (size_t) (last - list), list);
}


void
ngx_http_lua_nffi_process_not_started(ngx_http_lua_nffi_process_t *p,
    const nffi_child_report_t *report)
{
    nffi_spawn_options_t  *spawn = &p->program->spawn;

    p->unstarted = 1;

    if (ngx_strcmp(report->stage, "getpwnam") == 0 && report->error == 0) {
        ngx_http_lua_nffi_fail(&p->reason, "load_failed",
                               "there is no user \"%s\"", spawn->user);

    } else if (ngx_strcmp(report->stage, "version") == 0) {
        ngx_http_lua_nffi_fail(&p->reason, "load_failed",
                               "nffi-supervisor is of another release than "
                               "this nginx: reload or restart nginx");

    } else if (ngx_strcmp(report->stage, "exec") == 0 && spawn->programs[1]
               && (report->error == ENOENT || report->error == EACCES
                   || report->error == ENOTDIR))
    {
        ngx_http_lua_nffi_no_program(p);

    } else {
        ngx_http_lua_nffi_fail(&p->reason, "load_failed",
                               "its process cannot be started: %s(\"%s\") as "
                               "user \"%s\" failed (%d: %s)", report->stage,
                               ngx_strcmp(report->stage, "chdir") == 0
                                   ? spawn->directory : spawn->programs[0],
                               spawn->user ? spawn->user
                                           : ngx_http_lua_nffi_user_name(),
                               report->error, strerror(report->error));
    }

    ngx_http_lua_nffi_process_died(p);
}


void
ngx_http_lua_nffi_process_broken(ngx_http_lua_nffi_instance_t *inst)
{
    ngx_http_lua_nffi_process_t  *p = inst->process;

    p->broken = 1;

    if (!p->dying) {
        ngx_http_lua_nffi_kill(p, "broke the rules of the queue");
    }
}


static void
ngx_http_lua_nffi_kill_handler(ngx_event_t *ev)
{
    u_char                        why[128];
    ngx_uint_t                    limit;
    ngx_http_lua_nffi_process_t  *p = ev->data;

    if (p->instance->closed) {
        ngx_sprintf(why, "has not ended within the drain limit (%M ms)%Z",
                    ngx_http_lua_nffi_drain_limit());

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
