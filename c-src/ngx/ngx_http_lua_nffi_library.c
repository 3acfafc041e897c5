/*
 * ngx_http_lua_nffi_library.c - the glue: loads, starts and closes native
 * libraries that are hosted in the worker.
 *
 * Everything runs in the event loop, except ngx_http_lua_nffi_wake(): a thread
 * of the runtime calls it when it responds and the event loop has parked.
 */

#ifndef DDEBUG
#define DDEBUG 0
#endif
#include "ddebug.h"


#include "ngx_http_lua_nffi_library.h"
#include "ngx_http_lua_nffi_collect.h"
#include "ngx_http_lua_nffi_entry.h"
#include "ngx_http_lua_nffi_error.h"
#include "ngx_http_lua_nffi_instance.h"
#include "ngx_http_lua_nffi_log.h"
#include "ngx_http_lua_nffi_reap.h"
#include "ngx_http_lua_nffi_runtime.h"
#include "ngx_http_lua_nffi_signals.h"

#include <dlfcn.h>


/* freed memory that malloc() keeps is twice as much */
#define NGX_HTTP_LUA_NFFI_MMAPPED      (4 * 1024 * 1024)


static ngx_int_t ngx_http_lua_nffi_library_available(
    ngx_http_lua_nffi_instance_t *inst, ngx_http_lua_nffi_error_t *err);
static void ngx_http_lua_nffi_library_close(
    ngx_http_lua_nffi_instance_t *inst);
static void ngx_http_lua_nffi_library_broken(
    ngx_http_lua_nffi_instance_t *inst);
static ngx_int_t ngx_http_lua_nffi_library_free(
    ngx_http_lua_nffi_instance_t *inst);
static ngx_pid_t ngx_http_lua_nffi_library_pid(
    ngx_http_lua_nffi_instance_t *inst);


static const ngx_http_lua_nffi_instance_ops_t  ngx_http_lua_nffi_library_ops = {
    ngx_http_lua_nffi_library_available,
    ngx_http_lua_nffi_library_close,
    ngx_http_lua_nffi_library_broken,
    ngx_http_lua_nffi_library_free,
    ngx_http_lua_nffi_library_pid
};


/* Called when the worker has parked. thread: of the runtime */

static void
ngx_http_lua_nffi_wake(void *data)
{
    ngx_http_lua_nffi_instance_t  *inst = data;

    ngx_http_lua_nffi_wake_post(inst->wake);
}


/*
 * A library of the public ABI allocates each response, and the event loop frees
 * it. malloc() returns the end of a heap to the kernel as soon as 128 KiB of it
 * are free: 64 responses of 100 KB at once then fault their pages in again, 20
 * for each. glibc raises that limit when the first large block is freed, unless
 * the user has set one. Without this function, chance decides when that is.
 */

static void
ngx_http_lua_nffi_keep_freed_memory(void)
{
    void  *block;

    block = ngx_alloc(NGX_HTTP_LUA_NFFI_MMAPPED, ngx_cycle->log);

    if (block) {
        ngx_free(block);
    }
}


static ngx_int_t
ngx_http_lua_nffi_make_queue(ngx_http_lua_nffi_instance_t *inst,
    const u_char *config, size_t config_size,
    const ngx_http_lua_nffi_limits_t *limits)
{
    int                  rc;
    nffi_host_options_t  options;

    ngx_memzero(&options, sizeof(options));
    options.max_queue = limits->max_queue;
    options.max_tasks = limits->max_tasks;
    options.request_arena = limits->arena;
    options.response_arena = limits->arena;
    options.max_bytes = limits->max_bytes;
    options.spin_us = limits->spin_us;
    options.config = config;
    options.config_size = config_size;
    options.wake = ngx_http_lua_nffi_wake;
    options.wake_data = inst;
    options.unused = ngx_http_lua_nffi_unused;
    options.unused_data = inst;
    options.times = &inst->runtime->counts.times;

    inst->wake = ngx_http_lua_nffi_wake_create(ngx_http_lua_nffi_woken, inst);

    if (inst->wake == NULL) {
        return NFFI_SYSTEM;
    }

    nffi_spin_init(&inst->spinner, limits->spin_us);
    rc = nffi_host_create(&inst->host, &options);

    if (rc == NFFI_OK) {
        (void) nffi_host_park(inst->host);
    }

    return rc;
}


static ngx_uint_t
ngx_http_lua_nffi_serves(ngx_http_lua_nffi_runtime_t *rt, void *library)
{
    ngx_queue_t                   *q;
    ngx_http_lua_nffi_instance_t  *inst;

    for (q = ngx_queue_head(&rt->serving);
         q != ngx_queue_sentinel(&rt->serving);
         q = ngx_queue_next(q))
    {
        inst = ngx_queue_data(q, ngx_http_lua_nffi_instance_t, queue);

        if (inst->library == library) {
            return 1;
        }
    }

    return 0;
}


/*
 * Opens the library and starts it. Returns
 *   NGX_ERROR if the library has received the queue and failed. It may have
 *     started threads that use the queue, so the instance must be closed.
 *   NGX_DECLINED if there is no queue. The instance must be ended.
 */

static ngx_int_t
ngx_http_lua_nffi_open(ngx_http_lua_nffi_instance_t *inst, const char *file,
    const u_char *config, size_t config_size,
    const ngx_http_lua_nffi_limits_t *limits, ngx_http_lua_nffi_error_t *err)
{
    int                          rc;
    void                        *handle;
    ngx_int_t                    result;
    nffi_queue_t                *queue;
    ngx_http_lua_nffi_shield_t   shield;

    rc = ngx_http_lua_nffi_make_queue(inst, config, config_size, limits);

    if (rc == NFFI_OK) {
        rc = nffi_host_queue(inst->host, &queue);
    }

    if (rc != NFFI_OK) {
        (void) ngx_http_lua_nffi_fail(err, "load_failed",
                                      "cannot create a queue for %s: %s", file,
                                      nffi_error_text(rc));
        result = NGX_DECLINED;
        goto done;
    }

    ngx_http_lua_nffi_keep_freed_memory();
    ngx_http_lua_nffi_shield(&shield);

    handle = dlopen(file, RTLD_NOW
                          | (limits->is_global ? RTLD_GLOBAL : RTLD_LOCAL));

    if (handle && ngx_http_lua_nffi_serves(inst->runtime, handle)) {
        (void) ngx_http_lua_nffi_fail(err, "not_reloadable",
                                      "%s is the library that serves already, "
                                      "which stays open for the life of the "
                                      "worker: put its new version into "
                                      "another file", file);
        result = NGX_DECLINED;

    } else if (handle) {
        inst->library = handle;
        result = ngx_http_lua_nffi_entry_call(handle, file, inst->host, queue,
                                         config, config_size,
                                         inst->runtime->bridged
                                             ? &inst->runtime->name : NULL,
                                         err);

    } else {
        (void) ngx_http_lua_nffi_fail(err, "no_library", "%s", dlerror());
        result = NGX_DECLINED;
    }

    ngx_http_lua_nffi_unshield(&shield);

    /* no dlclose(): threads of the library may still run its code */

done:

    if (result == NGX_DECLINED && inst->host) {
        nffi_host_destroy(inst->host);
        inst->host = NULL;
    }

    return result;
}


static ngx_http_lua_nffi_runtime_t *
ngx_http_lua_nffi_try(ngx_str_t *key, ngx_str_t *name, ngx_uint_t bridged,
    const char *file, const u_char *config, size_t config_size,
    const ngx_http_lua_nffi_limits_t *limits, ngx_http_lua_nffi_error_t *err)
{
    ngx_int_t                      rc;
    ngx_http_lua_nffi_runtime_t   *rt;
    ngx_http_lua_nffi_instance_t  *inst;

    rt = ngx_http_lua_nffi_register(key, name);
    inst = rt ? ngx_http_lua_nffi_instance_add(rt, &rt->serving,
                                               &ngx_http_lua_nffi_library_ops)
              : NULL;

    if (inst == NULL) {
        (void) ngx_http_lua_nffi_fail(err, "no_memory", "not enough memory");
        rc = NGX_DECLINED;

    } else {
        rt->limits = *limits;
        rt->bridged = bridged;
        rc = ngx_http_lua_nffi_open(inst, file, config, config_size, limits,
                                    err);
    }

    if (rc != NGX_OK) {
        if (inst && rc == NGX_DECLINED) {
            ngx_http_lua_nffi_instance_end(inst);
        }

        if (rt) {
            rt->failed = 1;
            ngx_http_lua_nffi_close_runtime(rt);
            ngx_http_lua_nffi_instances_close(rt);
        }

        return NULL;
    }

    return rt;
}


/* The key of a runtime is the name of the library, a NUL, and the configuration
   with its trailing NUL. Without a configuration the key is the name alone. So
   "" differs from nil, and the configuration in the key is a C string. */

static ngx_int_t
ngx_http_lua_nffi_library_key(ngx_str_t *key, const u_char *library,
    size_t library_size, const u_char *config, size_t config_size)
{
    u_char  *p;

    key->len = library_size + (config ? config_size + 2 : 0);
    key->data = ngx_alloc(key->len, ngx_cycle->log);
    if (key->data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_cpymem(key->data, library, library_size);

    if (config) {
        *p++ = '\0';
        p = ngx_cpymem(p, config, config_size);
        *p = '\0';
    }

    return NGX_OK;
}


static const u_char *
ngx_http_lua_nffi_library_config(const ngx_str_t *key, size_t *size)
{
    u_char  *p, *end = key->data + key->len;

    p = ngx_strlchr(key->data, end, '\0');
    *size = p ? (size_t) (end - p) - 2 : 0;

    return p ? p + 1 : NULL;
}


static ngx_int_t
ngx_http_lua_nffi_invalid_name(ngx_http_lua_nffi_error_t *err)
{
    return ngx_http_lua_nffi_fail(err, "no_library",
                                  "invalid name of a library: expected 1 to %d "
                                  "bytes without a NUL",
                                  NGX_HTTP_LUA_NFFI_FILE - 8);
}


/* Opens another version of a runtime's library, with the configuration from the
   key of the runtime. */

ngx_int_t
ngx_http_lua_nffi_library_add(ngx_http_lua_nffi_runtime_t *rt,
    ngx_queue_t *list, const u_char *library, size_t size,
    ngx_http_lua_nffi_error_t *err)
{
    char                           file[NGX_HTTP_LUA_NFFI_FILE];
    size_t                         config_size;
    ngx_int_t                      rc;
    const u_char                  *config;
    ngx_http_lua_nffi_instance_t  *inst;

    if (ngx_http_lua_nffi_entry_file(library, size, file) != NGX_OK) {
        return ngx_http_lua_nffi_invalid_name(err);
    }

    inst = ngx_http_lua_nffi_instance_add(rt, list,
                                          &ngx_http_lua_nffi_library_ops);
    if (inst == NULL) {
        return ngx_http_lua_nffi_fail(err, "no_memory", "not enough memory");
    }

    config = ngx_http_lua_nffi_library_config(&rt->key, &config_size);
    rc = ngx_http_lua_nffi_open(inst, file, config, config_size, &rt->limits,
                                err);

    if (rc == NGX_DECLINED) {
        ngx_http_lua_nffi_instance_end(inst);

    } else if (rc == NGX_ERROR) {
        ngx_http_lua_nffi_instance_close(inst);
    }

    if (rc != NGX_OK) {
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* `module`: of the user, for the library of a bridge; NULL for others. */

ngx_http_lua_nffi_runtime_t *
ngx_http_lua_nffi_library_load(const u_char *module, size_t module_size,
    const u_char *library, size_t library_size, const u_char *config,
    size_t config_size, const ngx_http_lua_nffi_limits_t *limits,
    ngx_http_lua_nffi_error_t *err)
{
    char                          file[NGX_HTTP_LUA_NFFI_FILE];
    ngx_str_t                     key, rt_name;
    ngx_http_lua_nffi_runtime_t  *rt;

    if (ngx_http_lua_nffi_library_key(&key, library, library_size, config,
                                      config_size)
        != NGX_OK)
    {
        ngx_http_lua_nffi_fail(err, "no_memory", "not enough memory");
        return NULL;
    }

    rt = ngx_http_lua_nffi_lookup(key.data, key.len);

    if (rt == NULL
        && ngx_http_lua_nffi_entry_file(library, library_size, file)
           != NGX_OK)
    {
        (void) ngx_http_lua_nffi_invalid_name(err);

    } else if (rt == NULL) {
        rt_name.data = (u_char *) (module ? module : library);
        rt_name.len = module ? module_size : library_size;

        rt = ngx_http_lua_nffi_try(&key, &rt_name, module != NULL, file, config,
                                   config_size, limits, err);
    }

    ngx_free(key.data);

    return rt;
}


static ngx_int_t
ngx_http_lua_nffi_library_available(ngx_http_lua_nffi_instance_t *inst,
    ngx_http_lua_nffi_error_t *err)
{
    (void) inst;
    (void) err;

    return NGX_OK;
}


static void
ngx_http_lua_nffi_library_close(ngx_http_lua_nffi_instance_t *inst)
{
    nffi_host_close(inst->host);
    ngx_http_lua_nffi_reap_instance(inst);
}


static void
ngx_http_lua_nffi_library_broken(ngx_http_lua_nffi_instance_t *inst)
{
    static ngx_str_t  message = ngx_string("the runtime violated the "
                                           "queue protocol");

    ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                  "nffi: runtime \"%V\" violated the queue protocol and is "
                  "closed", &inst->runtime->label);

    inst->broken = 1;
    ngx_http_lua_nffi_close_runtime(inst->runtime);
    ngx_http_lua_nffi_instance_close(inst);
    ngx_http_lua_nffi_fail_calls(inst, &message, "runtime_down");
}


/* Returns NGX_OK if its queue is freed, NGX_AGAIN if it is in use and reports
   its end, NGX_BUSY if a thread is about to release it. */

static ngx_int_t
ngx_http_lua_nffi_library_free(ngx_http_lua_nffi_instance_t *inst)
{
    int  rc;

    if (inst->host == NULL) {
        return NGX_OK;
    }

    if (inst->awaited || (inst->end_asked && !inst->unused)) {
        return NGX_AGAIN;
    }

    if (!inst->broken && nffi_host_waiting(inst->host)) {

        /* its completion calls this handler again */

        if (!inst->collect.posted) {
            ngx_post_event(&inst->collect, &ngx_posted_next_events);
        }

        return NGX_AGAIN;
    }

    ngx_http_lua_nffi_write_messages(inst);

    inst->unused = 0;
    inst->end_asked = 1;
    rc = nffi_host_end(inst->host);

    if (rc == 1) {
        inst->host = NULL;
        return NGX_OK;
    }

    if (rc == NFFI_WOULD_BLOCK) {
        inst->end_asked = 0;
        return NGX_BUSY;
    }

    return NGX_AGAIN;
}


static ngx_pid_t
ngx_http_lua_nffi_library_pid(ngx_http_lua_nffi_instance_t *inst)
{
    (void) inst;

    return 0;
}
