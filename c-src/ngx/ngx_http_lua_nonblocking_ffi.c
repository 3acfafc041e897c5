/*
 * ngx_http_lua_nonblocking_ffi.c - the glue: the functions that Lua calls by
 * FFI to load, find, close and inspect runtimes. _unary.c and _reader.c have
 * the functions for calls, _reload.c those for reloads.
 *
 * thread: event loop, or one of ngx.run_worker_thread(), which gets an error;
 * blocks: no
 */

#ifndef DDEBUG
#define DDEBUG 0
#endif
#include "ddebug.h"


#include "ngx_http_lua_nonblocking_ffi.h"
#include "ngx_http_lua_nffi_error.h"
#include "ngx_http_lua_nffi_exit.h"
#include "ngx_http_lua_nffi_instance.h"
#include "ngx_http_lua_nffi_library.h"
#include "ngx_http_lua_nffi_metrics.h"
#include "ngx_http_lua_nffi_process.h"
#include "ngx_http_lua_nffi_program.h"
#include "ngx_http_lua_nffi_reap.h"
#include "ngx_http_lua_nffi_reload.h"
#include "ngx_http_lua_nffi_runtime.h"
#include "ngx_http_lua_nffi_worker.h"


uint32_t
ngx_http_lua_nonblocking_ffi_abi_version(void)
{
    return NGX_HTTP_LUA_NFFI_ABI;
}


/* Threads do not survive fork, and a child process belongs to the process that
   started it. So nothing is loaded before the workers exist. */

static ngx_int_t
ngx_http_lua_nffi_may_load(ngx_http_lua_nffi_error_t *err)
{
    if (ngx_http_lua_nffi_may_serve(err) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ngx_http_lua_nffi_has_registry()) {
        return NGX_OK;
    }

    if (ngx_http_lua_nffi_exit_init() != NGX_OK
        || ngx_http_lua_nffi_registry_init() != NGX_OK)
    {
        return ngx_http_lua_nffi_fail(err, "no_memory", "not enough memory");
    }

    return NGX_OK;
}


void *
ngx_http_lua_nonblocking_ffi_load(const u_char *module, size_t module_size,
    const u_char *library, size_t library_size, const u_char *config,
    size_t config_size, const ngx_http_lua_nffi_limits_t *limits,
    ngx_http_lua_nffi_error_t *err)
{
    if (ngx_http_lua_nffi_may_load(err) != NGX_OK) {
        return NULL;
    }

    return ngx_http_lua_nffi_handle(
        ngx_http_lua_nffi_library_load(module, module_size, library,
                                       library_size, config, config_size,
                                       limits, err));
}


void *
ngx_http_lua_nonblocking_ffi_start(const u_char *key, size_t key_size,
    const ngx_http_lua_nffi_process_options_t *options,
    const ngx_http_lua_nffi_limits_t *limits, ngx_http_lua_nffi_error_t *err)
{
    if (ngx_http_lua_nffi_may_load(err) != NGX_OK) {
        return NULL;
    }

    return ngx_http_lua_nffi_handle(
        ngx_http_lua_nffi_process_load(key, key_size, options, limits, err));
}


void *
ngx_http_lua_nonblocking_ffi_find(const u_char *key, size_t key_size)
{
    if (ngx_http_lua_nffi_check_thread(NULL) != NGX_OK) {
        return NULL;
    }

    return ngx_http_lua_nffi_handle(ngx_http_lua_nffi_lookup(key, key_size));
}


/* Returns the first runtime for NULL. Skips closed runtimes that have nothing
   left. */

void *
ngx_http_lua_nonblocking_ffi_next(void *runtime)
{
    nffi_host_state_t             state;
    ngx_http_lua_nffi_runtime_t  *rt = runtime;

    if (ngx_http_lua_nffi_check_thread(NULL) != NGX_OK) {
        return NULL;
    }

    do {
        rt = ngx_http_lua_nffi_next_runtime(rt);

    } while (rt && (rt->failed
                    || (ngx_http_lua_nffi_state(rt, &state) != NGX_OK
                        && state.unanswered == 0)));

    return rt;
}


/* Called by Lua's garbage collector. */

void
ngx_http_lua_nonblocking_ffi_release(void *runtime)
{
    ngx_http_lua_nffi_release(runtime);
}


void
ngx_http_lua_nonblocking_ffi_close(void *runtime)
{
    ngx_http_lua_nffi_close_runtime(runtime);
    ngx_http_lua_nffi_reload_close(runtime);
    ngx_http_lua_nffi_instances_close(runtime);
}


int
ngx_http_lua_nonblocking_ffi_is_open(void *runtime)
{
    ngx_http_lua_nffi_runtime_t  *rt = runtime;

    return !rt->closed;
}


/* Returns the number of queues of closed libraries in this worker that cannot
   be freed. */

uint32_t
ngx_http_lua_nonblocking_ffi_kept(void)
{
    return ngx_http_lua_nffi_kept_queues();
}


/* Sums up all instances, including closed ones with calls left. */

int
ngx_http_lua_nonblocking_ffi_state(void *runtime, nffi_host_state_t *state)
{
    return ngx_http_lua_nffi_state(runtime, state);
}


/* Returns the counts of a runtime. They change as it works. */

const ngx_http_lua_nffi_counts_t *
ngx_http_lua_nonblocking_ffi_counts(void *runtime)
{
    ngx_http_lua_nffi_runtime_t  *rt = runtime;

    return &rt->counts;
}


/* Returns the name of a runtime for people and its id for programs. */

void
ngx_http_lua_nonblocking_ffi_identity(void *runtime,
    ngx_http_lua_nffi_identity_t *identity)
{
    ngx_http_lua_nffi_runtime_t  *rt = runtime;

    identity->name = rt->name.data;
    identity->name_size = rt->name.len;
    identity->id = rt->id;
    identity->process = rt->program != NULL;
}


/* Returns the process of the instance at `index`, or NGX_DONE after the last
   one. */

int
ngx_http_lua_nonblocking_ffi_process(void *runtime, uint32_t index,
    ngx_http_lua_nffi_process_info_t *info)
{
    ngx_uint_t                     i;
    ngx_queue_t                   *q;
    nffi_host_state_t              state;
    ngx_http_lua_nffi_process_t   *p;
    ngx_http_lua_nffi_runtime_t   *rt = runtime;
    ngx_http_lua_nffi_instance_t  *inst;
    ngx_queue_t                   *lists[] = { &rt->serving, &rt->closing };

    for (i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        for (q = ngx_queue_head(lists[i]);
             q != ngx_queue_sentinel(lists[i]);
             q = ngx_queue_next(q))
        {
            inst = ngx_queue_data(q, ngx_http_lua_nffi_instance_t, queue);

            if (inst->process == NULL || index-- > 0) {
                continue;
            }

            p = inst->process;
            ngx_memzero(info, sizeof(*info));
            info->pid = inst->host ? p->process.pid : 0;
            info->state = inst->closed && inst->host ? "stopping"
                          : p->state == NGX_HTTP_LUA_NFFI_READY ? "ready"
                          : p->state == NGX_HTTP_LUA_NFFI_STARTING ? "starting"
                          : p->state == NGX_HTTP_LUA_NFFI_IDLE ? "idle"
                          : "down";
            info->restarts = p->restarts;

            if (inst->host) {
                nffi_host_state(inst->host, &state);
                info->queued = state.queued;
                info->unanswered = state.unanswered;
                info->shared_bytes = nffi_host_shared_bytes(inst->host);
            }

            return NGX_OK;
        }
    }

    return NGX_DONE;
}
