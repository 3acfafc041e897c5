/*
 * ngx_http_lua_nonblocking_ffi_reload.c - the glue: the code of a runtime is
 * loaded anew. New instances are started beside those that serve; when all of
 * them are ready they take the calls, and the old ones answer what they have.
 * If one cannot be started, nothing has changed.
 *
 * All of it runs in the event loop.
 */

#ifndef DDEBUG
#define DDEBUG 0
#endif
#include "ddebug.h"


#include "ngx_http_lua_nonblocking_ffi_process.h"


static void
ngx_http_lua_nffi_reload_finish(ngx_http_lua_nffi_runtime_t *rt)
{
    ngx_queue_t                   *q, old;
    ngx_http_lua_nffi_instance_t  *inst;

    rt->reload = NGX_HTTP_LUA_NFFI_RELOADED;

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
                  "nffi: runtime \"%V\": reloaded", &rt->name);
}


/* the reason is kept for whoever waits; the rest that was started is ended */

static void
ngx_http_lua_nffi_reload_fail(ngx_http_lua_nffi_runtime_t *rt,
    ngx_http_lua_nffi_error_t *reason)
{
    ngx_queue_t                   *q;
    ngx_http_lua_nffi_instance_t  *inst;

    rt->reload = NGX_HTTP_LUA_NFFI_RELOAD_FAILED;
    *rt->reload_error = *reason;

    while (!ngx_queue_empty(&rt->starting)) {
        q = ngx_queue_head(&rt->starting);
        inst = ngx_queue_data(q, ngx_http_lua_nffi_instance_t, queue);

        if (inst->host) {
            ngx_http_lua_nffi_process_abandon(inst->process);
        }

        ngx_http_lua_nffi_instance_end(inst);
    }
}


/* a process of the new ones has attached */

void
ngx_http_lua_nffi_reload_ready(ngx_http_lua_nffi_instance_t *inst)
{
    ngx_queue_t                  *q;
    ngx_http_lua_nffi_runtime_t  *rt = inst->runtime;

    for (q = ngx_queue_head(&rt->starting);
         q != ngx_queue_sentinel(&rt->starting);
         q = ngx_queue_next(q))
    {
        inst = ngx_queue_data(q, ngx_http_lua_nffi_instance_t, queue);

        if (!ngx_http_lua_nffi_process_is_ready(inst)) {
            return;
        }
    }

    ngx_http_lua_nffi_reload_finish(rt);
}


/* one of the new ones has ended before all were ready; it has no queue any
   more */

void
ngx_http_lua_nffi_reload_died(ngx_http_lua_nffi_instance_t *inst)
{
    ngx_http_lua_nffi_reload_fail(inst->runtime, &inst->process->reason);
}


static ngx_int_t
ngx_http_lua_nffi_reload_processes(ngx_http_lua_nffi_runtime_t *rt,
    ngx_http_lua_nffi_error_t *err)
{
    ngx_uint_t                     i;
    ngx_queue_t                   *q;
    ngx_http_lua_nffi_instance_t  *inst;

    for (i = 0; i < rt->program->processes; i++) {

        if (ngx_http_lua_nffi_process_add(rt, &rt->starting, err) != NGX_OK) {
            ngx_http_lua_nffi_reload_fail(rt, err);
            return NGX_ERROR;
        }

        q = ngx_queue_last(&rt->starting);
        inst = ngx_queue_data(q, ngx_http_lua_nffi_instance_t, queue);
        inst->starting = 1;
    }

    return NGX_OK;
}


/*
 * Starts to load the runtime's code anew; a native library from `library`,
 * which NULL means to leave out. ..._reloaded() tells how it goes.
 */

int
ngx_http_lua_nonblocking_ffi_reload(void *runtime, const u_char *library,
    size_t size, ngx_http_lua_nffi_error_t *err)
{
    ngx_http_lua_nffi_runtime_t  *rt = runtime;

    if (rt->closed || ngx_exiting) {
        return ngx_http_lua_nffi_fail(err, rt->closed ? "closed" : "exiting",
                                      "the runtime \"%V\" is closed",
                                      &rt->name);
    }

    if (rt->reload == NGX_HTTP_LUA_NFFI_RELOADING) {
        return ngx_http_lua_nffi_fail(err, "reloading", "the runtime \"%V\" "
                                      "is being reloaded already", &rt->name);
    }

    if (rt->reload_error == NULL) {
        rt->reload_error = ngx_calloc(sizeof(ngx_http_lua_nffi_error_t),
                                      ngx_cycle->log);

        if (rt->reload_error == NULL) {
            return ngx_http_lua_nffi_fail(err, "no_memory",
                                          "not enough memory");
        }
    }

    if (rt->program) {
        if (library) {
            return ngx_http_lua_nffi_fail(err, "invalid", "the runtime \"%V\" "
                                          "is no library, reload() takes no "
                                          "other file", &rt->name);
        }

        rt->reload = NGX_HTTP_LUA_NFFI_RELOADING;

        return ngx_http_lua_nffi_reload_processes(rt, err);
    }

    if (library == NULL) {
        return ngx_http_lua_nffi_fail(err, "not_reloadable", "the library "
                   "\"%V\" stays open for the life of the worker, so that it "
                   "cannot be loaded anew from its own path: give its new "
                   "version another one, reload({ library = \"...\" }), or "
                   "reload nginx", &rt->name);
    }

    if (ngx_http_lua_nffi_library_add(rt, &rt->starting, library, size, err)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_http_lua_nffi_reload_finish(rt);

    return NGX_OK;
}


/* NGX_AGAIN: not yet; NGX_OK: the new ones serve; NGX_ERROR: the old ones do */

int
ngx_http_lua_nonblocking_ffi_reloaded(void *runtime,
    ngx_http_lua_nffi_error_t *err)
{
    ngx_http_lua_nffi_runtime_t  *rt = runtime;

    if (rt->reload == NGX_HTTP_LUA_NFFI_RELOADED) {
        return NGX_OK;
    }

    if (rt->reload == NGX_HTTP_LUA_NFFI_RELOADING && !rt->closed) {
        return NGX_AGAIN;
    }

    if (rt->reload == NGX_HTTP_LUA_NFFI_RELOAD_FAILED) {
        return ngx_http_lua_nffi_fail(err, "load_failed",
                   "the runtime \"%V\" cannot be reloaded, the old code stays: "
                   "%*s", &rt->name, rt->reload_error->size,
                   rt->reload_error->message);
    }

    return ngx_http_lua_nffi_fail(err, "closed", "the runtime \"%V\" is closed",
                                  &rt->name);
}
