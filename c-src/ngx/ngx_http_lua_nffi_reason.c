/*
 * ngx_http_lua_nffi_reason.c - the glue: the reason why a runtime's process is
 * down, as text for callers and for the error log.
 *
 * Everything runs in the event loop.
 */

#ifndef DDEBUG
#define DDEBUG 0
#endif
#include "ddebug.h"


#include "ngx_http_lua_nffi_reason.h"
#include "ngx_http_lua_nffi_error.h"
#include "ngx_http_lua_nffi_instance.h"
#include "ngx_http_lua_nffi_log.h"
#include "ngx_http_lua_nffi_process.h"
#include "ngx_http_lua_nffi_program.h"


/* Returns the usual cause of a signal, or of an exit code by which a shell
   reports one. */

static const char *
ngx_http_lua_nffi_hint(ngx_uint_t signaled, int number)
{
    if (!signaled && (number == 126 || number == 127)) {
        return number == 126 ? " (a program in it cannot be executed)"
                             : " (a program in it was not found)";
    }

    switch (signaled ? number : number - 128) {

    case SIGKILL:
        return " (SIGKILL: out of memory? see the kernel log)";

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


/* Returns 1 if the process has ended by a signal, or with an error that it has
   printed. */

static ngx_uint_t
ngx_http_lua_nffi_says_why(ngx_http_lua_nffi_process_t *p)
{
    return p->ended
           && (WIFSIGNALED(p->status)
               || (WEXITSTATUS(p->status) != 0 && p->last_error.size));
}


size_t
ngx_http_lua_nffi_start_hints(ngx_http_lua_nffi_process_t *p,
    u_char text[NGX_HTTP_LUA_NFFI_HINTS])
{
    u_char                *last, *end;
    ngx_uint_t             i;
    nffi_spawn_options_t  *spawn = &p->program->spawn;

    if (p->state != NGX_HTTP_LUA_NFFI_STARTING || p->unstarted
        || p->instance->closed || ngx_exiting)
    {
        return 0;
    }

    last = text;
    end = text + NGX_HTTP_LUA_NFFI_HINTS;

    for (i = 0; i < spawn->limits_count; i++) {
        if (spawn->limits[i].resource == RLIMIT_DATA) {
            last = ngx_slprintf(last, end,
                                "; is limits.memory (%uL KiB) enough?",
                                (uint64_t) spawn->limits[i].value / 1024);
        }
    }

    if (p->program->hint && !ngx_http_lua_nffi_says_why(p)) {
        last = ngx_slprintf(last, end, "; %s", p->program->hint);
    }

    return last - text;
}


/* Writes, for example, "its process 17 ended by signal 9 (SIGKILL: out of
   memory? ...)". */

void
ngx_http_lua_nffi_reason_of_exit(ngx_http_lua_nffi_process_t *p)
{
    int     number;
    u_char  how[128], hints[NGX_HTTP_LUA_NFFI_HINTS], *last;

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
                           "its process %P ended%*s%s%*s%*s", p->process.pid,
                           (size_t) (last - how), how,
                           p->last_error.size ? ": " : "",
                           p->last_error.size, p->last_error.text,
                           ngx_http_lua_nffi_start_hints(p, hints), hints);
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
ngx_http_lua_nffi_reason_not_started(ngx_http_lua_nffi_process_t *p,
    const nffi_process_report_t *report)
{
    nffi_spawn_options_t  *spawn = &p->program->spawn;

    if (ngx_strcmp(report->stage, "getpwnam") == 0 && report->error == 0) {
        ngx_http_lua_nffi_fail(&p->reason, "load_failed",
                               "unknown user \"%s\"", spawn->user);

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
}


/* Returns a specific code if the user must fix the cause. For other causes,
   which may be temporary, returns "runtime_down". */

const char *
ngx_http_lua_nffi_down_code(ngx_http_lua_nffi_process_t *p)
{
    return p->reason.size
           && (p->unstarted || ngx_strcmp(p->reason.code, "abi_mismatch") == 0)
           ? p->reason.code : "runtime_down";
}


/* Hashes the reason without its pid. */

static uint32_t
ngx_http_lua_nffi_reason_hash(ngx_http_lua_nffi_process_t *p)
{
    u_char   pid[NGX_INT64_LEN + 1], *at;
    size_t   before, size;

    static const char  mark[] = "process ";

    size = ngx_sprintf(pid, "%P", p->process.pid) - pid;
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


/* Writes, for example, "its process 17 cannot start, for the same reason". */

static size_t
ngx_http_lua_nffi_short_reason(ngx_http_lua_nffi_process_t *p, u_char *text,
    size_t room, const char *which)
{
    u_char  pid[NGX_INT64_LEN + 2], *last;

    last = p->unstarted ? pid : ngx_sprintf(pid, " %P", p->process.pid);

    return ngx_snprintf(text, room, "its process%*s cannot start, for the %s",
                        (size_t) (last - pid), pid, which)
           - text;
}


/* Writes the reason for the log. A reason that was already logged is not
   repeated. */

static size_t
ngx_http_lua_nffi_reason_to_log(ngx_http_lua_nffi_process_t *p, u_char *text,
    size_t room)
{
    uint32_t                    hash;
    ngx_http_lua_nffi_known_t  *known = p->last_error.known;

    if (known) {
        hash = ngx_http_lua_nffi_reason_hash(p);

        if (known->reason == hash) {
            return ngx_http_lua_nffi_short_reason(p, text, room,
                                                  "same reason");
        }

        known->reason = hash;

        if (p->last_error.size
            && memmem(p->reason.message, p->reason.size, p->last_error.text,
                      p->last_error.size))
        {
            return ngx_http_lua_nffi_short_reason(p, text, room,
                                                  "reason above");
        }
    }

    return ngx_http_lua_nffi_escape(text, room, p->reason.message,
                                    p->reason.size);
}


/* Logs one line for each step of the back-off, then one per minute. */

void
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
                  p->label, size, text, (ngx_msec_t) p->backoff.delay_ms);
}


/* Logs the end of a process that is not restarted: it was closed, or it was
   part of a reload. */

void
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
                  p->label, size, text,
                  p->instance->starting ? "; the old code stays" : "");
}
