/*
 * ngx_http_lua_nffi_worker.c - the glue: the process and the thread in which
 * the glue runs: checks that they can host a runtime, and limits the time of
 * their exit.
 *
 * thread: any for ngx_http_lua_nffi_check_thread(), else the event loop
 */

#ifndef DDEBUG
#define DDEBUG 0
#endif
#include "ddebug.h"


#include "ngx_http_lua_nffi_worker.h"
#include "ngx_http_lua_nffi_core.h"
#include "ngx_http_lua_nffi_error.h"
#include "ngx_http_lua_nffi_wake.h"

#include <ngx_event.h>

#include <sys/syscall.h>


/* A VM of ngx.run_worker_thread() runs in a thread of nginx's pool, which must
   not touch the event loop. The event loop runs in the main thread of its
   process, whose thread id is the pid. */

ngx_int_t
ngx_http_lua_nffi_check_thread(ngx_http_lua_nffi_error_t *err)
{
    static __thread ngx_pid_t   process;    /* the one that was checked */
    static __thread ngx_uint_t  is_first;

    if (process != ngx_pid) {
        process = ngx_pid;
        is_first = syscall(SYS_gettid) == ngx_pid;
    }

    if (is_first) {
        return NGX_OK;
    }

    if (err) {
        (void) ngx_http_lua_nffi_fail(err, "wrong_thread", "a runtime cannot "
                   "be loaded or called in a thread of "
                   "ngx.run_worker_thread(): do it in the request that starts "
                   "the thread");
    }

    return NGX_ERROR;
}


/* Threads do not survive fork, and a child process belongs to the process that
   started it. So nothing is loaded before the workers exist. */

ngx_int_t
ngx_http_lua_nffi_may_serve(ngx_http_lua_nffi_error_t *err)
{
    if (ngx_http_lua_nffi_check_thread(err) != NGX_OK) {
        return NGX_ERROR;
    }

    /* on the first start, init_by_lua* runs before nginx has a master */

    if (ngx_process == NGX_PROCESS_HELPER
        && !ngx_http_lua_nffi_is_privileged_agent())
    {
        return ngx_http_lua_nffi_fail(err, "wrong_process",
                   "a runtime cannot be loaded in a helper process of nginx: "
                   "it serves no requests and runs no Lua");
    }

    if ((ngx_process != NGX_PROCESS_WORKER && ngx_process != NGX_PROCESS_SINGLE
         && ngx_process != NGX_PROCESS_HELPER)
        || ngx_cycle->connections == NULL)
    {
        return ngx_http_lua_nffi_fail(err, "wrong_process",
                   "a runtime cannot be loaded in the master (init_by_lua*): "
                   "threads and child processes do not survive its fork; load "
                   "it in init_worker_by_lua* or later");
    }

    if (!(ngx_event_flags & NGX_USE_CLEAR_EVENT)
        || !ngx_http_lua_nffi_wake_is_possible())
    {
        return ngx_http_lua_nffi_fail(err, "wrong_event_method",
                   "the event method in use has no notify: remove \"use poll\""
                   " or \"use select\" from the events block");
    }

    return NGX_OK;
}


/* Returns the smaller of the default limit and worker_shutdown_timeout. */

ngx_msec_t
ngx_http_lua_nffi_grace_period(void)
{
    ngx_msec_t  timeout = ngx_http_lua_nffi_shutdown_timeout();

    return timeout && timeout < NGX_HTTP_LUA_NFFI_GRACE_PERIOD
           ? timeout : NGX_HTTP_LUA_NFFI_GRACE_PERIOD;
}
