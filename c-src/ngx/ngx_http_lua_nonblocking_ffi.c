/*
 * ngx_http_lua_nonblocking_ffi.c - the glue: the registry of a worker's
 * runtimes, native libraries, and calls that yield a coroutine and resume it.
 *
 * Everything runs in the event loop, except ngx_http_lua_nffi_wake(), which a
 * runtime's thread calls when it answers and the event loop has parked.
 */

#ifndef DDEBUG
#define DDEBUG 0
#endif
#include "ddebug.h"


#include "ngx_http_lua_nonblocking_ffi.h"
#include "ngx_http_lua_contentby.h"

#include <ngx_thread_pool.h>

#include <dlfcn.h>
#include <signal.h>


/* responses above this are made Lua strings in a protected call: running out
   of memory fails the call, not the worker */
#define NGX_HTTP_LUA_NFFI_LARGE        65536

#define NGX_HTTP_LUA_NFFI_ALIVE        1000     /* ms */


/* the patch of ngx_thread_pool.c */
extern void ngx_thread_pool_post_done(ngx_thread_task_t *task);


typedef int (*ngx_http_lua_nffi_start_pt)(nffi_queue_t *queue,
    const char *config, size_t config_size, char *error, size_t error_size);

/* the entries of the two public generations */
typedef int (*ngx_http_lua_nffi_init_2022_pt)(char *cfg, int cfg_len,
    void *tq);
typedef int (*ngx_http_lua_nffi_init_later_pt)(char *cfg, void *tq);


static void ngx_http_lua_nffi_resume(ngx_http_lua_nffi_call_t *call,
    int nrets);
static ngx_int_t ngx_http_lua_nffi_resume_handler(ngx_http_request_t *r);
static void ngx_http_lua_nffi_abort(void *data);
static void ngx_http_lua_nffi_timed_out(ngx_event_t *ev);
static void ngx_http_lua_nffi_drain_handler(ngx_event_t *ev);
static void ngx_http_lua_nffi_alive_handler(ngx_event_t *ev);


/* the registry of this worker; its cycle tells whether it was inherited by
   fork from a process that had one of its own */

static ngx_queue_t                ngx_http_lua_nffi_runtimes;
static ngx_pid_t                  ngx_http_lua_nffi_owner;
static ngx_http_lua_nffi_call_t  *ngx_http_lua_nffi_free_calls;

/* nginx's own signals: no thread of a runtime is to take them */

static int  ngx_http_lua_nffi_signals[] = {
    SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH,
    SIGALRM, SIGIO, SIGPIPE, SIGSYS
};

#define NGX_HTTP_LUA_NFFI_NSIGNALS                                            \
    (sizeof(ngx_http_lua_nffi_signals) / sizeof(int))


ngx_int_t
ngx_http_lua_nffi_fail(ngx_http_lua_nffi_error_t *err, const char *code,
    const char *fmt, ...)
{
    va_list  args;

    va_start(args, fmt);
    err->size = ngx_vslprintf(err->message,
                              err->message + sizeof(err->message), fmt, args)
                - err->message;
    va_end(args);

    err->code = code;

    return NGX_ERROR;
}


static void
ngx_http_lua_nffi_cleanup(void *data)
{
    ngx_queue_t                  *q;
    ngx_http_lua_nffi_runtime_t  *rt;

    if (ngx_http_lua_nffi_owner != ngx_pid) {
        return;
    }

    for (q = ngx_queue_head(&ngx_http_lua_nffi_runtimes);
         q != ngx_queue_sentinel(&ngx_http_lua_nffi_runtimes);
         q = ngx_queue_next(q))
    {
        rt = ngx_queue_data(q, ngx_http_lua_nffi_runtime_t, queue);

        if (rt->process) {
            ngx_http_lua_nffi_process_kill(rt);

        } else if (rt->host) {
            nffi_host_close(rt->host);
        }
    }
}


/*
 * Threads do not survive fork and a child belongs to the process that made it,
 * so nothing is loaded before the workers are there.
 */

ngx_int_t
ngx_http_lua_nffi_may_load(ngx_http_lua_nffi_error_t *err)
{
    ngx_pool_cleanup_t  *cln;

    /* at the first start init_by_lua* runs before nginx has a master */

    if ((ngx_process != NGX_PROCESS_WORKER && ngx_process != NGX_PROCESS_SINGLE)
        || ngx_cycle->connections == NULL)
    {
        return ngx_http_lua_nffi_fail(err, "wrong_process",
                   "a runtime cannot be loaded in the %s: threads and child "
                   "processes do not survive its fork; load it in "
                   "init_worker_by_lua* or later",
                   ngx_process == NGX_PROCESS_HELPER
                       ? "helper process" : "master (init_by_lua*)");
    }

    if (!(ngx_event_flags & NGX_USE_CLEAR_EVENT) || ngx_notify == NULL) {
        return ngx_http_lua_nffi_fail(err, "wrong_event_method",
                   "the event method in use has no notify: remove \"use poll\""
                   " or \"use select\" from the events block");
    }

    if (ngx_http_lua_nffi_owner == ngx_pid) {
        return NGX_OK;
    }

    cln = ngx_pool_cleanup_add(((ngx_cycle_t *) ngx_cycle)->pool, 0);
    if (cln == NULL) {
        return ngx_http_lua_nffi_fail(err, "no_memory", "not enough memory");
    }

    cln->handler = ngx_http_lua_nffi_cleanup;
    ngx_queue_init(&ngx_http_lua_nffi_runtimes);
    ngx_http_lua_nffi_free_calls = NULL;
    ngx_http_lua_nffi_owner = ngx_pid;

    return NGX_OK;
}


ngx_http_lua_nffi_runtime_t *
ngx_http_lua_nffi_register(ngx_str_t *key, ngx_str_t *name)
{
    ngx_http_lua_nffi_runtime_t  *rt;

    rt = ngx_calloc(sizeof(ngx_http_lua_nffi_runtime_t) + key->len + name->len,
                    ngx_cycle->log);
    if (rt == NULL) {
        return NULL;
    }

    rt->key.data = (u_char *) rt + sizeof(ngx_http_lua_nffi_runtime_t);
    rt->key.len = key->len;
    ngx_memcpy(rt->key.data, key->data, key->len);
    rt->name.data = rt->key.data + key->len;
    rt->name.len = name->len;
    ngx_memcpy(rt->name.data, name->data, name->len);

    rt->wake_task.event.data = rt;
    rt->wake_task.event.handler = ngx_http_lua_nffi_drain_handler;
    rt->wake_task.event.log = ngx_cycle->log;

    rt->drain.data = rt;
    rt->drain.handler = ngx_http_lua_nffi_drain_handler;
    rt->drain.log = ngx_cycle->log;

    rt->alive.data = rt;
    rt->alive.handler = ngx_http_lua_nffi_alive_handler;
    rt->alive.log = ngx_cycle->log;
    rt->alive.cancelable = 1;

    ngx_queue_insert_tail(&ngx_http_lua_nffi_runtimes, &rt->queue);

    return rt;
}


/* for a runtime that did not start, and that nobody has seen */

void
ngx_http_lua_nffi_unregister(ngx_http_lua_nffi_runtime_t *rt)
{
    ngx_queue_remove(&rt->queue);
    ngx_free(rt);
}


void *
ngx_http_lua_nonblocking_ffi_find(const u_char *key, size_t key_size)
{
    ngx_queue_t                  *q;
    ngx_http_lua_nffi_runtime_t  *rt;

    if (ngx_http_lua_nffi_owner != ngx_pid) {
        return NULL;
    }

    for (q = ngx_queue_head(&ngx_http_lua_nffi_runtimes);
         q != ngx_queue_sentinel(&ngx_http_lua_nffi_runtimes);
         q = ngx_queue_next(q))
    {
        rt = ngx_queue_data(q, ngx_http_lua_nffi_runtime_t, queue);

        if (!rt->closed && rt->key.len == key_size
            && ngx_memcmp(rt->key.data, key, key_size) == 0)
        {
            return rt;
        }
    }

    return NULL;
}


/* thread: of a runtime; the host has parked, so the task is not queued */

static void
ngx_http_lua_nffi_wake(void *data)
{
    ngx_http_lua_nffi_runtime_t  *rt = data;

    ngx_thread_pool_post_done(&rt->wake_task);
}


/*
 * Signals are blocked while a library starts, so that every thread it makes
 * inherits that, and handlers of nginx that it replaced are put back.
 */

static void
ngx_http_lua_nffi_shield(sigset_t *before, struct sigaction *handlers)
{
    sigset_t    blocked;
    ngx_uint_t  i;

    sigemptyset(&blocked);

    for (i = 0; i < NGX_HTTP_LUA_NFFI_NSIGNALS; i++) {
        sigaddset(&blocked, ngx_http_lua_nffi_signals[i]);
        (void) sigaction(ngx_http_lua_nffi_signals[i], NULL, &handlers[i]);
    }

    (void) pthread_sigmask(SIG_BLOCK, &blocked, before);
}


static void
ngx_http_lua_nffi_unshield(sigset_t *before, struct sigaction *handlers)
{
    ngx_uint_t  i;

    for (i = 0; i < NGX_HTTP_LUA_NFFI_NSIGNALS; i++) {
        (void) sigaction(ngx_http_lua_nffi_signals[i], &handlers[i], NULL);
    }

    (void) pthread_sigmask(SIG_SETMASK, before, NULL);
}


/* "demo" is libdemo.so, as in LuaJIT's ffi.load() */

static void
ngx_http_lua_nffi_library_file(const u_char *library, size_t size, char *file,
    size_t file_size)
{
    ngx_uint_t  path, dot, prefixed;

    path = ngx_strlchr((u_char *) library, (u_char *) library + size, '/')
           != NULL;
    dot = ngx_strlchr((u_char *) library, (u_char *) library + size, '.')
          != NULL;
    prefixed = size >= 3 && ngx_strncmp(library, "lib", 3) == 0;

    *ngx_snprintf((u_char *) file, file_size - 1, "%s%*s%s",
                  path || prefixed ? "" : "lib", size, library,
                  path || dot ? "" : ".so") = '\0';
}


/* calls the entry that the library has; the reason is in `err` otherwise */

static ngx_int_t
ngx_http_lua_nffi_enter(void *handle, const char *file, nffi_queue_t *queue,
    const u_char *config, size_t config_size, ngx_http_lua_nffi_error_t *err)
{
    int                               rc;
    char                             *copy, reason[512];
    const uint32_t                   *abi;
    ngx_http_lua_nffi_start_pt        start;
    ngx_http_lua_nffi_init_2022_pt    init_2022;
    ngx_http_lua_nffi_init_later_pt   init_later;

    start = (ngx_http_lua_nffi_start_pt) dlsym(handle, "nffi_runtime_start");

    if (start) {
        abi = dlsym(handle, "nffi_runtime_abi");

        if (abi == NULL || *abi != NFFI_ABI_VERSION) {
            return ngx_http_lua_nffi_fail(err, "abi_mismatch",
                       "%s is built for ABI %s%uD, this nginx has ABI %d",
                       file, abi ? "" : "unknown ", abi ? *abi : 0,
                       NFFI_ABI_VERSION);
        }

        reason[0] = '\0';
        rc = start(queue, (const char *) config, config_size, reason,
                   sizeof(reason));
        reason[sizeof(reason) - 1] = '\0';

        return rc == 0 ? NGX_OK
                       : ngx_http_lua_nffi_fail(err, "load_failed",
                             "%s did not start: %s (%d)", file,
                             reason[0] ? reason : "no reason given", rc);
    }

    init_later = (ngx_http_lua_nffi_init_later_pt)
                     dlsym(handle, "libffi_init");
    init_2022 = (ngx_http_lua_nffi_init_2022_pt)
                    dlsym(handle, "lib_nonblocking_ffi_init");

    if (init_later == NULL && init_2022 == NULL) {
        return ngx_http_lua_nffi_fail(err, "no_entry",
                   "%s is no runtime: it has none of the symbols "
                   "nffi_runtime_start, libffi_init and "
                   "lib_nonblocking_ffi_init", file);
    }

    if (init_2022 && config_size > NGX_MAX_INT32_VALUE) {
        return ngx_http_lua_nffi_fail(err, "load_failed",
                                      "the configuration is too large");
    }

    /* one more byte: the later generation reads it as a C string */
    copy = malloc(config_size + 1);
    if (copy == NULL) {
        return ngx_http_lua_nffi_fail(err, "no_memory", "not enough memory");
    }

    ngx_memcpy(copy, config, config_size);
    copy[config_size] = '\0';

    if (init_later) {
        rc = init_later(config_size ? copy : NULL, queue);
        free(copy);

    } else {
        /* the 2022-09 generation keeps it */
        rc = init_2022(copy, (int) config_size, queue);
    }

    if (rc != 0) {
        return ngx_http_lua_nffi_fail(err, "load_failed",
                                      "%s did not start: its entry returned %d",
                                      file, rc);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_lua_nffi_open(ngx_http_lua_nffi_runtime_t *rt, const char *file,
    const u_char *config, size_t config_size,
    const ngx_http_lua_nffi_limits_t *limits, ngx_http_lua_nffi_error_t *err)
{
    int                   rc;
    void                 *handle;
    sigset_t              before;
    ngx_int_t             result;
    nffi_queue_t         *queue;
    nffi_host_options_t   options;
    struct sigaction      handlers[NGX_HTTP_LUA_NFFI_NSIGNALS];

    ngx_memzero(&options, sizeof(options));
    options.max_queue = limits->max_queue;
    options.max_tasks = limits->max_tasks;
    options.request_arena = limits->arena;
    options.response_arena = limits->arena;
    options.wake = ngx_http_lua_nffi_wake;
    options.wake_data = rt;

    rc = nffi_host_create(&rt->host, &options);
    if (rc == NFFI_OK) {
        rc = nffi_host_queue(rt->host, &queue);
    }

    if (rc != NFFI_OK) {
        result = ngx_http_lua_nffi_fail(err, "load_failed",
                     "no queue for %s: %s", file, nffi_error_text(rc));
        goto failed;
    }

    (void) nffi_host_park(rt->host);

    ngx_http_lua_nffi_shield(&before, handlers);

    handle = dlopen(file, RTLD_NOW
                          | (limits->is_global ? RTLD_GLOBAL : RTLD_LOCAL));

    if (handle == NULL) {
        ngx_http_lua_nffi_unshield(&before, handlers);
        result = ngx_http_lua_nffi_fail(err, "no_library", "%s", dlerror());
        goto failed;
    }

    result = ngx_http_lua_nffi_enter(handle, file, queue, config, config_size,
                                     err);

    ngx_http_lua_nffi_unshield(&before, handlers);

    /* never dlclose(): threads of the library may run in it */

    if (result == NGX_OK) {
        return NGX_OK;
    }

    /* a start that failed may have left threads that know the queue */
    nffi_host_close(rt->host);
    rt->host = NULL;

    return result;

failed:

    if (rt->host) {
        nffi_host_destroy(rt->host);
        rt->host = NULL;
    }

    return result;
}


void *
ngx_http_lua_nonblocking_ffi_load(const u_char *library, size_t library_size,
    const u_char *config, size_t config_size,
    const ngx_http_lua_nffi_limits_t *limits, ngx_http_lua_nffi_error_t *err)
{
    char                          file[4096];
    u_char                       *p;
    ngx_str_t                     key, name;
    ngx_http_lua_nffi_runtime_t  *rt;

    if (ngx_http_lua_nffi_may_load(err) != NGX_OK) {
        return NULL;
    }

    if (library_size == 0 || library_size > sizeof(file) - 8
        || ngx_strlchr((u_char *) library, (u_char *) library + library_size,
                       '\0'))
    {
        ngx_http_lua_nffi_fail(err, "no_library", "bad name of a library");
        return NULL;
    }

    key.len = library_size + 1 + config_size;
    key.data = ngx_alloc(key.len, ngx_cycle->log);
    if (key.data == NULL) {
        ngx_http_lua_nffi_fail(err, "no_memory", "not enough memory");
        return NULL;
    }

    p = ngx_cpymem(key.data, library, library_size);
    *p++ = '\0';
    ngx_memcpy(p, config, config_size);

    rt = ngx_http_lua_nonblocking_ffi_find(key.data, key.len);

    if (rt == NULL) {
        name.data = (u_char *) library;
        name.len = library_size;
        rt = ngx_http_lua_nffi_register(&key, &name);

        if (rt == NULL) {
            ngx_http_lua_nffi_fail(err, "no_memory", "not enough memory");

        } else {
            ngx_http_lua_nffi_library_file(library, library_size, file,
                                           sizeof(file));

            if (ngx_http_lua_nffi_open(rt, file, config, config_size, limits,
                                       err)
                != NGX_OK)
            {
                /* not freed: a thread may still wake it */
                rt->closed = 1;
                rt = NULL;
            }
        }
    }

    ngx_free(key.data);

    return rt;
}


uint32_t
ngx_http_lua_nonblocking_ffi_abi_version(void)
{
    return NFFI_ABI_VERSION;
}


int
ngx_http_lua_nonblocking_ffi_state(void *runtime, nffi_host_state_t *state)
{
    ngx_http_lua_nffi_runtime_t  *rt = runtime;

    ngx_memzero(state, sizeof(*state));

    if (rt->host) {
        nffi_host_state(rt->host, state);
    }

    return rt->closed ? NGX_DECLINED : NGX_OK;
}


static ngx_http_lua_nffi_call_t *
ngx_http_lua_nffi_get_call(void)
{
    ngx_http_lua_nffi_call_t  *call;

    call = ngx_http_lua_nffi_free_calls;

    if (call) {
        ngx_http_lua_nffi_free_calls = call->next;
        return call;
    }

    call = ngx_calloc(sizeof(ngx_http_lua_nffi_call_t), ngx_cycle->log);
    if (call == NULL) {
        return NULL;
    }

    call->timeout.data = call;
    call->timeout.handler = ngx_http_lua_nffi_timed_out;
    call->timeout.log = ngx_cycle->log;

    return call;
}


/* the call waits no more; its coroutine may be resumed, or is gone */

static void
ngx_http_lua_nffi_end_call(ngx_http_lua_nffi_call_t *call)
{
    ngx_http_lua_nffi_runtime_t  *rt = call->runtime;

    if (call->timeout.timer_set) {
        ngx_del_timer(&call->timeout);
    }

    call->coctx->cleanup = NULL;
    call->thread->cleanup = NULL;

    rt->awaited--;
    rt->alive.cancelable = rt->awaited == 0;

    call->next = ngx_http_lua_nffi_free_calls;
    ngx_http_lua_nffi_free_calls = call;
}


/*
 * The coroutine goes: client gone, thread killed, ngx.exit() elsewhere. A
 * coroutine inside a light thread is not asked to clean up by ngx_lua, so the
 * thread that runs it carries this handler too.
 */

static void
ngx_http_lua_nffi_abort(void *data)
{
    ngx_http_lua_co_ctx_t     *coctx = data;
    ngx_http_lua_nffi_call_t  *call = coctx->data;

    nffi_host_cancel(call->host, call->task);
    ngx_http_lua_nffi_end_call(call);
}


/*
 * Queues a task for the current coroutine. NGX_AGAIN: yield now; NGX_ERROR:
 * `err` says why not, and nothing is left behind.
 */

int
ngx_http_lua_nonblocking_ffi_call(ngx_http_request_t *r, void *runtime,
    const u_char *method, size_t method_size, const u_char *data, size_t size,
    uint32_t timeout_ms, ngx_http_lua_nffi_error_t *err)
{
    int                           rc;
    struct timespec               now;
    ngx_http_lua_ctx_t           *ctx;
    nffi_host_request_t           request;
    ngx_http_lua_co_ctx_t        *coctx, *thread;
    ngx_http_lua_nffi_call_t     *call;
    ngx_http_lua_nffi_runtime_t  *rt = runtime;

    ctx = ngx_http_get_module_ctx(r, ngx_http_lua_module);
    if (ctx == NULL) {
        return ngx_http_lua_nffi_fail(err, "wrong_phase", "no request ctx "
                                      "found");
    }

    err->size = sizeof(err->message);

    if (ngx_http_lua_ffi_check_context(ctx, NGX_HTTP_LUA_CONTEXT_YIELDABLE,
                                       err->message, &err->size)
        != NGX_OK)
    {
        err->code = "wrong_phase";
        return NGX_ERROR;
    }

    coctx = ctx->cur_co_ctx;
    if (coctx == NULL) {
        return ngx_http_lua_nffi_fail(err, "wrong_phase", "no co ctx found");
    }

    if (rt->closed) {
        return ngx_http_lua_nffi_fail(err, "closed",
                                      "the runtime \"%V\" is closed",
                                      &rt->name);
    }

    if (rt->process
        && ngx_http_lua_nffi_process_available(rt, err) != NGX_OK)
    {
        return NGX_ERROR;
    }

    call = ngx_http_lua_nffi_get_call();
    if (call == NULL) {
        return ngx_http_lua_nffi_fail(err, "no_memory", "not enough memory");
    }

    request.data = data;
    request.size = size;
    request.method = (const char *) method;
    request.method_size = method_size;
    request.deadline_ns = 0;

    if (timeout_ms > 0) {
        clock_gettime(CLOCK_MONOTONIC, &now);
        request.deadline_ns = (uint64_t) now.tv_sec * 1000000000 + now.tv_nsec
                              + (uint64_t) timeout_ms * 1000000;
    }

    rc = nffi_host_submit(rt->host, &request, call, &call->task);

    if (rc != NFFI_OK) {
        call->next = ngx_http_lua_nffi_free_calls;
        ngx_http_lua_nffi_free_calls = call;

        return ngx_http_lua_nffi_fail(err,
                   rc == NFFI_QUEUE_FULL ? "queue_full"
                   : rc == NFFI_NO_MEMORY ? "no_memory"
                   : rc == NFFI_CLOSED ? "closed" : "invalid",
                   "%s", nffi_error_text(rc));
    }

    for (thread = coctx;
         thread->co_ref == LUA_NOREF && thread->parent_co_ctx;
         thread = thread->parent_co_ctx)
    { /* void */ }

    call->request = r;
    call->coctx = coctx;
    call->thread = thread;
    call->runtime = rt;
    call->host = rt->host;

    ngx_http_lua_cleanup_pending_operation(coctx);
    coctx->cleanup = ngx_http_lua_nffi_abort;
    coctx->data = call;
    thread->cleanup = ngx_http_lua_nffi_abort;
    thread->data = call;

    rt->awaited++;
    rt->alive.cancelable = 0;

    if (!rt->alive.timer_set) {
        ngx_add_timer(&rt->alive, NGX_HTTP_LUA_NFFI_ALIVE);
    }

    if (timeout_ms > 0) {
        ngx_add_timer(&call->timeout, timeout_ms);
    }

    return NGX_AGAIN;
}


static int
ngx_http_lua_nffi_push_large(lua_State *L)
{
    ngx_str_t  *bytes;

    bytes = lua_touserdata(L, 1);
    lua_pushlstring(L, (char *) bytes->data, bytes->len);

    return 1;
}


/*
 * Pushes bytes; NGX_ERROR when there is no memory for them. A coroutine that
 * has yielded takes values but no calls, so the protected one is the VM's.
 */

static ngx_int_t
ngx_http_lua_nffi_push_bytes(lua_State *vm, lua_State *co, const void *data,
    size_t size)
{
    ngx_str_t  bytes;

    if (size < NGX_HTTP_LUA_NFFI_LARGE) {
        lua_pushlstring(co, data, size);
        return NGX_OK;
    }

    bytes.data = (u_char *) data;
    bytes.len = size;

    lua_pushcfunction(vm, ngx_http_lua_nffi_push_large);
    lua_pushlightuserdata(vm, &bytes);

    if (lua_pcall(vm, 1, 1, 0) != 0) {
        lua_pop(vm, 1);
        return NGX_ERROR;
    }

    lua_xmove(vm, co, 1);

    return NGX_OK;
}


static int
ngx_http_lua_nffi_push_failure(lua_State *L, const u_char *message,
    size_t size, const char *code)
{
    lua_pushinteger(L, NGX_HTTP_LUA_NFFI_FAILED);
    lua_pushlstring(L, (const char *) message, size);
    lua_pushstring(L, code);

    return 3;
}


/* pushes what the Lua side makes its results of; returns how many values */

static int
ngx_http_lua_nffi_push_response(ngx_http_lua_nffi_call_t *call,
    const nffi_host_response_t *response)
{
    int                  top;
    lua_State           *L, *vm;
    const u_char        *data;
    ngx_http_lua_ctx_t  *ctx;

    static u_char  no_memory[] = "not enough memory for the response";

    ctx = ngx_http_get_module_ctx(call->request, ngx_http_lua_module);
    vm = ngx_http_lua_get_lua_vm(call->request, ctx);
    L = call->coctx->co;

    data = response->data;
    top = lua_gettop(L);

    if (response->flags & NFFI_HOST_ERROR) {
        (void) ngx_http_lua_nffi_push_failure(L, data, response->message_size,
                                              "runtime_error");

        if (response->size == response->message_size) {
            return 3;
        }

        if (ngx_http_lua_nffi_push_bytes(vm, L, data + response->message_size,
                response->size - response->message_size)
            == NGX_OK)
        {
            return 4;
        }

    } else if (response->rc == 0) {
        lua_pushinteger(L, NGX_HTTP_LUA_NFFI_OK);

        if (data == NULL) {
            return 1;
        }

        if (ngx_http_lua_nffi_push_bytes(vm, L, data, response->size) == NGX_OK) {
            return 2;
        }

    } else {
        lua_pushinteger(L, NGX_HTTP_LUA_NFFI_RC);
        lua_pushinteger(L, response->rc);

        if (data == NULL) {
            return 2;
        }

        if (ngx_http_lua_nffi_push_bytes(vm, L, data, response->size) == NGX_OK) {
            return 3;
        }
    }

    lua_settop(L, top);

    return ngx_http_lua_nffi_push_failure(L, no_memory, sizeof(no_memory) - 1,
                                          "no_memory");
}


static void
ngx_http_lua_nffi_resume(ngx_http_lua_nffi_call_t *call, int nrets)
{
    ngx_connection_t       *c;
    ngx_http_request_t     *r;
    ngx_http_log_ctx_t     *log_ctx;
    ngx_http_lua_ctx_t     *ctx;
    ngx_http_lua_co_ctx_t  *coctx;

    r = call->request;
    coctx = call->coctx;
    c = r->connection;

    ngx_http_lua_nffi_end_call(call);

    ctx = ngx_http_get_module_ctx(r, ngx_http_lua_module);
    if (ctx == NULL) {
        return;
    }

    if (c->fd != (ngx_socket_t) -1) {    /* not a fake connection */
        log_ctx = c->log->data;
        log_ctx->current_request = r;
    }

    /* for the handler; no call uses it any more */
    coctx->data = (void *) (intptr_t) nrets;
    ctx->cur_co_ctx = coctx;

    if (ctx->entered_content_phase) {
        (void) ngx_http_lua_nffi_resume_handler(r);

    } else {
        ctx->resume_handler = ngx_http_lua_nffi_resume_handler;
        ngx_http_core_run_phases(r);
    }

    ngx_http_run_posted_requests(c);
}


static ngx_int_t
ngx_http_lua_nffi_resume_handler(ngx_http_request_t *r)
{
    int                  nrets;
    lua_State           *vm;
    ngx_int_t            rc;
    ngx_uint_t           nreqs;
    ngx_connection_t    *c;
    ngx_http_lua_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_lua_module);
    if (ctx == NULL) {
        return NGX_ERROR;
    }

    ctx->resume_handler = ngx_http_lua_wev_handler;

    c = r->connection;
    vm = ngx_http_lua_get_lua_vm(r, ctx);
    nreqs = c->requests;
    nrets = (int) (intptr_t) ctx->cur_co_ctx->data;
    ctx->cur_co_ctx->data = NULL;

    rc = ngx_http_lua_run_thread(vm, r, ctx, nrets);

    if (rc == NGX_AGAIN) {
        return ngx_http_lua_run_posted_threads(c, vm, r, ctx, nreqs);
    }

    if (rc == NGX_DONE) {
        ngx_http_lua_finalize_request(r, NGX_DONE);
        return ngx_http_lua_run_posted_threads(c, vm, r, ctx, nreqs);
    }

    if (ctx->entered_content_phase) {
        ngx_http_lua_finalize_request(r, rc);
        return NGX_DONE;
    }

    return rc;
}


static void
ngx_http_lua_nffi_resume_failed(ngx_http_lua_nffi_call_t *call,
    ngx_str_t *message, const char *code)
{
    lua_State  *co = call->coctx->co;

    ngx_http_lua_nffi_resume(call,
        ngx_http_lua_nffi_push_failure(co, message->data, message->len, code));
}


static void
ngx_http_lua_nffi_timed_out(ngx_event_t *ev)
{
    ngx_http_lua_nffi_call_t  *call = ev->data;

    static ngx_str_t  message = ngx_string("timeout");

    nffi_host_cancel(call->host, call->task);
    ngx_http_lua_nffi_resume_failed(call, &message, "timeout");
}


/*
 * Resumes the coroutines whose responses have come. One at a time, since a
 * resumed coroutine may kill another's thread, or close the runtime.
 */

void
ngx_http_lua_nffi_drain(ngx_http_lua_nffi_runtime_t *rt, ngx_uint_t turn)
{
    int                        n, nrets;
    ngx_uint_t                 left;
    nffi_host_t               *host;
    nffi_host_response_t       response;
    ngx_http_lua_nffi_call_t  *call;

    if (rt->draining || rt->host == NULL) {
        return;
    }

    rt->draining = 1;
    host = rt->host;

    n = 0;

    for (left = turn; left; left--) {
        n = nffi_host_drain(host, &response, 1);

        if (n != 1) {
            break;
        }

        call = response.owner;
        nrets = ngx_http_lua_nffi_push_response(call, &response);
        nffi_host_release(host, &response);
        ngx_http_lua_nffi_resume(call, nrets);

    }

    rt->draining = 0;

    if (left && n < 0 && rt->process) {
        ngx_http_lua_nffi_process_broken(rt);
        return;
    }

    if (left == 0 || nffi_host_park(host)) {
        if (!rt->drain.posted) {
            ngx_post_event(&rt->drain, &ngx_posted_next_events);
        }
    }
}


static void
ngx_http_lua_nffi_drain_handler(ngx_event_t *ev)
{
    ngx_http_lua_nffi_drain(ev->data, NGX_HTTP_LUA_NFFI_TURN);
}


/* every call that waits gets nil, message, code */

void
ngx_http_lua_nffi_fail_calls(ngx_http_lua_nffi_runtime_t *rt,
    ngx_str_t *message, const char *code)
{
    nffi_host_t               *host = rt->host;
    ngx_http_lua_nffi_call_t  *call;

    while (rt->host == host && host != NULL) {
        call = nffi_host_take_pending(host);

        if (call == NULL) {
            return;
        }

        ngx_http_lua_nffi_resume_failed(call, message, code);
    }
}


/* the smaller of ours and worker_shutdown_timeout */

ngx_msec_t
ngx_http_lua_nffi_drain_limit(void)
{
    ngx_core_conf_t  *ccf;

    ccf = (ngx_core_conf_t *) ngx_get_conf(ngx_cycle->conf_ctx,
                                           ngx_core_module);

    return ccf->shutdown_timeout
           && ccf->shutdown_timeout < NGX_HTTP_LUA_NFFI_DRAIN_LIMIT
           ? ccf->shutdown_timeout : NGX_HTTP_LUA_NFFI_DRAIN_LIMIT;
}


/*
 * A timer that nginx does not cancel keeps a leaving worker while calls wait;
 * it is marked cancelable when none does. A silent runtime keeps the worker no
 * longer than the drain limit.
 */

static void
ngx_http_lua_nffi_alive_handler(ngx_event_t *ev)
{
    ngx_http_lua_nffi_runtime_t  *rt = ev->data;

    static ngx_str_t  message = ngx_string("the worker exits and the runtime "
                                           "has not answered within the drain "
                                           "limit");

    if (rt->awaited == 0) {
        return;
    }

    if (ngx_exiting) {
        if (rt->drain_until == 0) {
            rt->drain_until = ngx_current_msec
                              + ngx_http_lua_nffi_drain_limit();
        }

        if ((ngx_msec_int_t) (rt->drain_until - ngx_current_msec) <= 0) {
            ngx_http_lua_nffi_fail_calls(rt, &message, "exiting");
            return;
        }
    }

    ngx_add_timer(ev, NGX_HTTP_LUA_NFFI_ALIVE);
}


/* no new calls; what waits is still answered by threads, then they end */

void
ngx_http_lua_nonblocking_ffi_close(void *runtime)
{
    ngx_http_lua_nffi_runtime_t  *rt = runtime;

    if (rt->closed) {
        return;
    }

    rt->closed = 1;

    if (rt->process) {
        ngx_http_lua_nffi_process_finish(rt);

    } else {
        nffi_host_close(rt->host);
    }
}
