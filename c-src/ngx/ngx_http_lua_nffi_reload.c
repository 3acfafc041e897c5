/*
 * ngx_http_lua_nffi_reload.c - the glue: loads the code of a runtime again. New
 * instances start beside the old ones. When all of them are ready they take the
 * calls, and the old ones finish their tasks. If one of them fails to start,
 * the old ones continue to serve.
 *
 * Everything runs in the event loop.
 */

#ifndef DDEBUG
#define DDEBUG 0
#endif
#include "ddebug.h"


#include "ngx_http_lua_nffi_reload.h"
#include "ngx_http_lua_nffi_error.h"
#include "ngx_http_lua_nffi_instance.h"
#include "ngx_http_lua_nffi_launch.h"
#include "ngx_http_lua_nffi_library.h"
#include "ngx_http_lua_nffi_output.h"
#include "ngx_http_lua_nffi_process.h"
#include "ngx_http_lua_nffi_runtime.h"
#include "ngx_http_lua_nonblocking_ffi.h"


/* Ends the reload. `reason`: the error, or NULL. */

static void
ngx_http_lua_nffi_reload_end(ngx_http_lua_nffi_runtime_t *rt,
    const ngx_http_lua_nffi_error_t *reason)
{
    ngx_http_lua_nffi_reload_t  *reload = rt->reload;

    rt->reload = NULL;

    if (reload->freed) {
        ngx_free(reload);
        return;
    }

    reload->state = reason ? NGX_HTTP_LUA_NFFI_RELOAD_FAILED
                           : NGX_HTTP_LUA_NFFI_RELOADED;

    if (reason) {
        reload->reason = *reason;
    }
}


static void
ngx_http_lua_nffi_reload_finish(ngx_http_lua_nffi_runtime_t *rt)
{
    ngx_queue_t                   *q, old;
    ngx_http_lua_nffi_instance_t  *inst;

    ngx_http_lua_nffi_reload_end(rt, NULL);

    ngx_queue_init(&old);

    while (!ngx_queue_empty(&rt->serving)) {
        q = ngx_queue_head(&rt->serving);
        ngx_queue_remove(q);
        ngx_queue_insert_tail(&old, q);
    }

    while (!ngx_queue_empty(&rt->starting)) {
        q = ngx_queue_head(&rt->starting);
        inst = ngx_queue_data(q, ngx_http_lua_nffi_instance_t, queue);
        inst->starting = 0;
        ngx_queue_remove(q);
        ngx_queue_insert_tail(&rt->serving, q);
    }

    while (!ngx_queue_empty(&old)) {
        q = ngx_queue_head(&old);
        inst = ngx_queue_data(q, ngx_http_lua_nffi_instance_t, queue);
        ngx_http_lua_nffi_instance_close(inst);
    }

    ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                  "nffi: runtime \"%V\": reloaded", &rt->label);
}


/* Stores the reason for waiting callers, and ends the other new instances. */

static void
ngx_http_lua_nffi_reload_fail(ngx_http_lua_nffi_runtime_t *rt,
    ngx_http_lua_nffi_error_t *reason)
{
    ngx_queue_t                   *q;
    ngx_http_lua_nffi_instance_t  *inst;

    ngx_http_lua_nffi_reload_end(rt, reason);

    while (!ngx_queue_empty(&rt->starting)) {
        q = ngx_queue_head(&rt->starting);
        inst = ngx_queue_data(q, ngx_http_lua_nffi_instance_t, queue);

        if (inst->host) {
            ngx_http_lua_nffi_process_abandon(inst->process);
        }

        ngx_http_lua_nffi_instance_end(inst);
    }
}


/* Called when the runtime is closed during a reload. */

void
ngx_http_lua_nffi_reload_close(ngx_http_lua_nffi_runtime_t *rt)
{
    ngx_http_lua_nffi_error_t  reason;

    if (rt->reload) {
        (void) ngx_http_lua_nffi_fail(&reason, "closed", "the runtime \"%V\" "
                                      "is closed", &rt->name);
        ngx_http_lua_nffi_reload_end(rt, &reason);
    }
}


/* Called when a new process has attached. */

static void
ngx_http_lua_nffi_reload_ready(ngx_http_lua_nffi_instance_t *inst)
{
    ngx_queue_t                  *q;
    ngx_http_lua_nffi_runtime_t  *rt = inst->runtime;

    for (q = ngx_queue_head(&rt->starting);
         q != ngx_queue_sentinel(&rt->starting);
         q = ngx_queue_next(q))
    {
        inst = ngx_queue_data(q, ngx_http_lua_nffi_instance_t, queue);

        if (inst->process->state != NGX_HTTP_LUA_NFFI_READY) {
            return;
        }
    }

    ngx_http_lua_nffi_reload_finish(rt);
}


/* Called when a new process has ended before all were ready. It has no
   queue. */

static void
ngx_http_lua_nffi_reload_died(ngx_http_lua_nffi_instance_t *inst)
{
    ngx_http_lua_nffi_reload_fail(inst->runtime, &inst->process->reason);
}


static const ngx_http_lua_nffi_process_events_t
ngx_http_lua_nffi_reload_events = {
    ngx_http_lua_nffi_reload_ready,
    ngx_http_lua_nffi_reload_died
};


/* Returns NGX_ERROR with `reason`. reload_fail() must then end the processes
   that were started. */

static ngx_int_t
ngx_http_lua_nffi_reload_processes(ngx_http_lua_nffi_runtime_t *rt,
    ngx_http_lua_nffi_error_t *reason)
{
    ngx_uint_t                     i;
    ngx_queue_t                   *q;
    ngx_http_lua_nffi_instance_t  *inst;

    /* forget what was logged, so that each failed reload logs its reason */

    ngx_memzero(&rt->program->known, sizeof(ngx_http_lua_nffi_known_t));

    for (i = 0; i < rt->program->processes; i++) {

        if (ngx_http_lua_nffi_process_add(rt, &rt->starting,
                                          &ngx_http_lua_nffi_reload_events,
                                          reason)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        q = ngx_queue_last(&rt->starting);
        inst = ngx_queue_data(q, ngx_http_lua_nffi_instance_t, queue);
        inst->starting = 1;
    }

    return NGX_OK;
}


/* Returns NGX_ERROR with `err` if a reload cannot begin. */

static ngx_int_t
ngx_http_lua_nffi_may_reload(ngx_http_lua_nffi_runtime_t *rt,
    const u_char *library, ngx_http_lua_nffi_error_t *err)
{
    if (rt->closed) {
        return ngx_http_lua_nffi_fail(err, "closed", "the runtime \"%V\" is "
                                      "closed", &rt->name);
    }

    if (ngx_exiting) {
        return ngx_http_lua_nffi_fail(err, "exiting", "the worker exits");
    }

    if (rt->reload) {
        return ngx_http_lua_nffi_fail(err, "reloading", "the runtime \"%V\" "
                                      "is being reloaded already", &rt->name);
    }

    if (rt->program && library) {
        return ngx_http_lua_nffi_fail(err, "invalid", "the runtime \"%V\" is "
                                      "not a library: call reload() without "
                                      "`library`", &rt->name);
    }

    if (rt->program == NULL && library == NULL) {
        return ngx_http_lua_nffi_fail(err, "not_reloadable", "the library "
                   "\"%V\" stays open for the life of the worker, so that it "
                   "cannot be reloaded from the same path: pass the path of "
                   "its new version, reload({ library = \"...\" }), or "
                   "reload nginx", &rt->name);
    }

    return NGX_OK;
}


/* Starts to load the runtime's code again: a native library from `library`,
   which is NULL for a process. ngx_http_lua_nonblocking_ffi_reloaded() reports
   the progress. Returns NULL with `err` on failure, without a side effect. */

void *
ngx_http_lua_nonblocking_ffi_reload(void *runtime, const u_char *library,
    size_t size, ngx_http_lua_nffi_error_t *err)
{
    ngx_int_t                     rc;
    ngx_http_lua_nffi_error_t     reason;
    ngx_http_lua_nffi_reload_t   *reload;
    ngx_http_lua_nffi_runtime_t  *rt = runtime;

    if (ngx_http_lua_nffi_may_reload(rt, library, err) != NGX_OK) {
        return NULL;
    }

    reload = ngx_calloc(sizeof(ngx_http_lua_nffi_reload_t), ngx_cycle->log);
    if (reload == NULL) {
        (void) ngx_http_lua_nffi_fail(err, "no_memory", "not enough memory");
        return NULL;
    }

    reload->runtime = rt;
    rt->reload = reload;

    rc = library ? ngx_http_lua_nffi_library_add(rt, &rt->starting, library,
                                                 size, &reason)
                 : ngx_http_lua_nffi_reload_processes(rt, &reason);

    if (rc != NGX_OK) {
        ngx_http_lua_nffi_reload_fail(rt, &reason);

    } else if (library) {
        ngx_http_lua_nffi_reload_finish(rt);
    }

    return reload;
}


/* Returns NGX_AGAIN while the reload is in progress, NGX_OK if the new
   instances serve, NGX_ERROR if the old ones still do. */

int
ngx_http_lua_nonblocking_ffi_reloaded(void *data,
    ngx_http_lua_nffi_error_t *err)
{
    ngx_http_lua_nffi_reload_t   *reload = data;
    ngx_http_lua_nffi_runtime_t  *rt = reload->runtime;

    if (reload->state == NGX_HTTP_LUA_NFFI_RELOADED) {
        return NGX_OK;
    }

    if (reload->state == NGX_HTTP_LUA_NFFI_RELOADING) {
        return NGX_AGAIN;
    }

    if (ngx_strcmp(reload->reason.code, "not_reloadable") == 0
        || ngx_strcmp(reload->reason.code, "closed") == 0)
    {
        *err = reload->reason;
        return NGX_ERROR;
    }

    return ngx_http_lua_nffi_fail(err, "reload_failed", "the runtime \"%V\" "
                                  "cannot be reloaded, the old code stays: "
                                  "%*s", &rt->name, reload->reason.size,
                                  reload->reason.message);
}


/* Called when Lua no longer polls the reload. */

void
ngx_http_lua_nonblocking_ffi_reload_free(void *data)
{
    ngx_http_lua_nffi_reload_t  *reload = data;

    if (reload->state == NGX_HTTP_LUA_NFFI_RELOADING) {
        reload->freed = 1;
        return;
    }

    ngx_free(reload);
}
