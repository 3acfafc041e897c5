/*
 * ngx_http_lua_nffi_runtime.c - the glue: the registry of a worker's
 * runtimes.
 *
 * All of it runs in the event loop.
 */

#ifndef DDEBUG
#define DDEBUG 0
#endif
#include "ddebug.h"


#include "ngx_http_lua_nffi_process.h"

#include <sys/syscall.h>


/* the registry of this worker; its owner tells whether it was inherited by
   fork from a process that had one of its own */

static ngx_queue_t                ngx_http_lua_nffi_runtimes;
static ngx_rbtree_t               ngx_http_lua_nffi_open_runtimes;
static ngx_rbtree_node_t          ngx_http_lua_nffi_sentinel;
static ngx_pid_t                  ngx_http_lua_nffi_owner;
static ngx_msec_t                 ngx_http_lua_nffi_leave_limit;


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
    err->rc = 0;

    return NGX_ERROR;
}


static void
ngx_http_lua_nffi_each_of(ngx_queue_t *list,
    ngx_http_lua_nffi_instance_handler_pt handler, void *data)
{
    ngx_queue_t  *q;

    for (q = ngx_queue_head(list);
         q != ngx_queue_sentinel(list);
         q = ngx_queue_next(q))
    {
        handler(ngx_queue_data(q, ngx_http_lua_nffi_instance_t, queue), data);
    }
}


/* of all runtimes; the handler moves none. Those that have ended are left out */

void
ngx_http_lua_nffi_each_instance(ngx_http_lua_nffi_instance_handler_pt handler,
    void *data)
{
    ngx_queue_t                  *q;
    ngx_http_lua_nffi_runtime_t  *rt;

    for (q = ngx_queue_head(&ngx_http_lua_nffi_runtimes);
         q != ngx_queue_sentinel(&ngx_http_lua_nffi_runtimes);
         q = ngx_queue_next(q))
    {
        rt = ngx_queue_data(q, ngx_http_lua_nffi_runtime_t, queue);

        ngx_http_lua_nffi_each_of(&rt->serving, handler, data);
        ngx_http_lua_nffi_each_of(&rt->starting, handler, data);
        ngx_http_lua_nffi_each_of(&rt->leaving, handler, data);
    }
}


/* at the end there is no configuration any more, so the limit is kept */

static void
ngx_http_lua_nffi_cleanup(void *data)
{
    ngx_uint_t                     leaves;
    ngx_queue_t                   *q;
    ngx_http_lua_nffi_runtime_t   *rt;

    if (ngx_http_lua_nffi_owner != ngx_pid) {
        return;
    }

    for (q = ngx_queue_head(&ngx_http_lua_nffi_runtimes);
         q != ngx_queue_sentinel(&ngx_http_lua_nffi_runtimes);
         q = ngx_queue_next(q))
    {
        rt = ngx_queue_data(q, ngx_http_lua_nffi_runtime_t, queue);
        ngx_http_lua_nffi_close_runtime(rt);
    }

    /* nobody waits where a single process goes on with another configuration */

    leaves = ngx_exiting || ngx_quit || ngx_terminate;

    ngx_http_lua_nffi_leave(leaves ? ngx_http_lua_nffi_leave_limit : 0);
}


/*
 * A VM of ngx.run_worker_thread() runs in a thread of nginx's pool, where
 * nothing of the event loop may be touched. That loop runs in the first thread
 * of its process, whose id is that of the process.
 */

ngx_int_t
ngx_http_lua_nffi_check_thread(ngx_http_lua_nffi_error_t *err)
{
    static __thread ngx_pid_t   process;    /* that was looked at */
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


/* the privileged agent has an event loop like a worker's; the other helpers of
   nginx have no Lua */

static ngx_uint_t
ngx_http_lua_nffi_is_privileged_agent(void)
{
#ifdef HAVE_PRIVILEGED_PROCESS_PATCH
    return ngx_process == NGX_PROCESS_HELPER && ngx_is_privileged_agent;
#else
    return 0;
#endif
}


/*
 * Threads do not survive fork and a child belongs to the process that made it,
 * so nothing is loaded before the workers are there.
 */

ngx_int_t
ngx_http_lua_nffi_may_load(ngx_http_lua_nffi_error_t *err)
{
    ngx_pool_cleanup_t  *cln;

    if (ngx_http_lua_nffi_check_thread(err) != NGX_OK) {
        return NGX_ERROR;
    }

    /* at the first start init_by_lua* runs before nginx has a master */

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
    ngx_http_lua_nffi_leave_limit = ngx_http_lua_nffi_drain_limit();
    ngx_queue_init(&ngx_http_lua_nffi_runtimes);
    ngx_rbtree_init(&ngx_http_lua_nffi_open_runtimes,
                    &ngx_http_lua_nffi_sentinel, ngx_str_rbtree_insert_value);
    ngx_http_lua_nffi_reap_init();
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
    rt->id = ngx_crc32_long(key->data, key->len);
    rt->name.data = rt->key.data + key->len;
    rt->name.len = name->len;
    ngx_memcpy(rt->name.data, name->data, name->len);

    ngx_queue_init(&rt->serving);
    ngx_queue_init(&rt->starting);
    ngx_queue_init(&rt->leaving);
    ngx_queue_init(&rt->ended);
    ngx_queue_insert_tail(&ngx_http_lua_nffi_runtimes, &rt->queue);

    rt->node.node.key = ngx_murmur_hash2(rt->key.data, rt->key.len);
    rt->node.str = rt->key;
    ngx_rbtree_insert(&ngx_http_lua_nffi_open_runtimes, &rt->node.node);

    return rt;
}


/* it is found no more: loading the same again makes a new one */

void
ngx_http_lua_nffi_close_runtime(ngx_http_lua_nffi_runtime_t *rt)
{
    if (rt->closed) {
        return;
    }

    rt->closed = 1;
    ngx_rbtree_delete(&ngx_http_lua_nffi_open_runtimes, &rt->node.node);
    ngx_http_lua_nffi_reap_runtime(rt);
}


/* only by _reap.c */

void
ngx_http_lua_nffi_free_runtime(ngx_http_lua_nffi_runtime_t *rt)
{
    ngx_queue_remove(&rt->queue);

    if (rt->program) {
        ngx_free(rt->program);
    }

    ngx_free(rt);
}


/* one more pointer for Lua, which gives it back by ..._release() */

void *
ngx_http_lua_nffi_handle(ngx_http_lua_nffi_runtime_t *rt)
{
    if (rt) {
        rt->handles++;
    }

    return rt;
}


/* by the collector of Lua */

void
ngx_http_lua_nonblocking_ffi_release(void *runtime)
{
    ngx_http_lua_nffi_runtime_t  *rt = runtime;

    if (--rt->handles == 0 && rt->closed) {
        ngx_http_lua_nffi_reap_soon();
    }
}


int
ngx_http_lua_nonblocking_ffi_is_open(void *runtime)
{
    ngx_http_lua_nffi_runtime_t  *rt = runtime;

    return !rt->closed;
}


ngx_http_lua_nffi_runtime_t *
ngx_http_lua_nffi_lookup(const u_char *key, size_t key_size)
{
    ngx_str_t  name;

    if (ngx_http_lua_nffi_owner != ngx_pid) {
        return NULL;
    }

    name.data = (u_char *) key;
    name.len = key_size;

    /* the node is the first field of a runtime */

    return (ngx_http_lua_nffi_runtime_t *)
               ngx_str_rbtree_lookup(&ngx_http_lua_nffi_open_runtimes, &name,
                                     ngx_murmur_hash2(name.data, name.len));
}


void *
ngx_http_lua_nonblocking_ffi_find(const u_char *key, size_t key_size)
{
    if (ngx_http_lua_nffi_check_thread(NULL) != NGX_OK) {
        return NULL;
    }

    return ngx_http_lua_nffi_handle(ngx_http_lua_nffi_lookup(key, key_size));
}


/* the first runtime for NULL; those that are closed and have nothing left are
   passed over */

void *
ngx_http_lua_nonblocking_ffi_next(void *runtime)
{
    ngx_queue_t                  *q;
    nffi_host_state_t             state;
    ngx_http_lua_nffi_runtime_t  *rt = runtime;

    if (ngx_http_lua_nffi_owner != ngx_pid
        || ngx_http_lua_nffi_check_thread(NULL) != NGX_OK)
    {
        return NULL;
    }

    for (q = ngx_queue_next(rt ? &rt->queue : &ngx_http_lua_nffi_runtimes);
         q != ngx_queue_sentinel(&ngx_http_lua_nffi_runtimes);
         q = ngx_queue_next(q))
    {
        rt = ngx_queue_data(q, ngx_http_lua_nffi_runtime_t, queue);

        if (!rt->failed
            && (ngx_http_lua_nonblocking_ffi_state(rt, &state) == NGX_OK
                || state.unanswered > 0))
        {
            return rt;
        }
    }

    return NULL;
}


uint32_t
ngx_http_lua_nonblocking_ffi_abi_version(void)
{
    return NFFI_ABI_VERSION;
}
