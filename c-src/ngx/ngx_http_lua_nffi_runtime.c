/*
 * ngx_http_lua_nffi_runtime.c - the glue: the registry of a worker's runtimes.
 *
 * Everything runs in the event loop.
 */

#ifndef DDEBUG
#define DDEBUG 0
#endif
#include "ddebug.h"


#include "ngx_http_lua_nffi_runtime.h"
#include "ngx_http_lua_nffi_instance.h"
#include "ngx_http_lua_nffi_reap.h"
#include "ngx_http_lua_nffi_types.h"


/* The registry of this worker. A forked process compares the owner with its
   pid, and does not use the registry that it inherited. */

static ngx_queue_t                ngx_http_lua_nffi_runtimes;
static ngx_rbtree_t               ngx_http_lua_nffi_open_runtimes;
static ngx_rbtree_node_t          ngx_http_lua_nffi_sentinel;
static ngx_pid_t                  ngx_http_lua_nffi_owner;


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


/* Calls the handler for the instances of all runtimes, except ended ones. The
   handler must not move instances between lists. */

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
        ngx_http_lua_nffi_each_of(&rt->closing, handler, data);
    }
}


/* Called once per worker. Before that, there are no runtimes. */

ngx_int_t
ngx_http_lua_nffi_registry_init(void)
{
    ngx_queue_init(&ngx_http_lua_nffi_runtimes);
    ngx_rbtree_init(&ngx_http_lua_nffi_open_runtimes,
                    &ngx_http_lua_nffi_sentinel, ngx_str_rbtree_insert_value);

    if (ngx_http_lua_nffi_reap_init() != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_http_lua_nffi_owner = ngx_pid;

    return NGX_OK;
}


ngx_uint_t
ngx_http_lua_nffi_has_registry(void)
{
    return ngx_http_lua_nffi_owner == ngx_pid;
}


/* The id as metrics have it. */

#define NGX_HTTP_LUA_NFFI_ID   " (id %08xD)"
#define NGX_HTTP_LUA_NFFI_ID_SIZE  (sizeof(" (id 01234567)") - 1)


/* Adds the id to the labels of `rt` and of each open runtime of its name, if
   there is one. */

static void
ngx_http_lua_nffi_distinguish(ngx_http_lua_nffi_runtime_t *rt)
{
    ngx_http_lua_nffi_runtime_t  *other;

    for (other = ngx_http_lua_nffi_next_runtime(NULL);
         other;
         other = ngx_http_lua_nffi_next_runtime(other))
    {
        if (other == rt || other->closed
            || other->name.len != rt->name.len
            || ngx_memcmp(other->name.data, rt->name.data, rt->name.len) != 0)
        {
            continue;
        }

        other->label.len = other->name.len + NGX_HTTP_LUA_NFFI_ID_SIZE;
        rt->label.len = rt->name.len + NGX_HTTP_LUA_NFFI_ID_SIZE;
    }
}


/* Returns the last part of an absolute path, and other text unchanged: it is
   what the user wrote to distinguish modules. */

static ngx_str_t
ngx_http_lua_nffi_short_name(const ngx_str_t *path)
{
    u_char     *p = path->data + path->len;
    ngx_str_t   name = *path;

    if (path->len == 0 || path->data[0] != '/' || p[-1] == '/') {
        return name;
    }

    while (p[-1] != '/') {
        p--;
    }

    name.len -= p - name.data;
    name.data = p;

    return name;
}


/* `path`: the library, module or program, as Lua has it. */

ngx_http_lua_nffi_runtime_t *
ngx_http_lua_nffi_register(ngx_str_t *key, ngx_str_t *path)
{
    ngx_str_t                     name = ngx_http_lua_nffi_short_name(path);
    ngx_http_lua_nffi_runtime_t  *rt;

    rt = ngx_calloc(sizeof(ngx_http_lua_nffi_runtime_t) + key->len + name.len
                    + NGX_HTTP_LUA_NFFI_ID_SIZE, ngx_cycle->log);
    if (rt == NULL) {
        return NULL;
    }

    rt->key.data = (u_char *) rt + sizeof(ngx_http_lua_nffi_runtime_t);
    rt->key.len = key->len;
    ngx_memcpy(rt->key.data, key->data, key->len);
    rt->id = ngx_crc32_long(key->data, key->len);
    rt->name.data = rt->key.data + key->len;
    rt->name.len = name.len;
    rt->label = rt->name;
    ngx_sprintf(ngx_cpymem(rt->name.data, name.data, name.len),
                NGX_HTTP_LUA_NFFI_ID, rt->id);

    ngx_queue_init(&rt->serving);
    ngx_queue_init(&rt->starting);
    ngx_queue_init(&rt->closing);
    ngx_queue_init(&rt->ended);
    ngx_queue_insert_tail(&ngx_http_lua_nffi_runtimes, &rt->queue);

    rt->node.node.key = ngx_murmur_hash2(rt->key.data, rt->key.len);
    rt->node.str = rt->key;
    ngx_rbtree_insert(&ngx_http_lua_nffi_open_runtimes, &rt->node.node);
    ngx_http_lua_nffi_distinguish(rt);

    return rt;
}


/* Removes the runtime from the registry: loading the same key creates a new
   one. */

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


/* Returns one more pointer for Lua. Lua passes it to
   ngx_http_lua_nonblocking_ffi_release(). */

void *
ngx_http_lua_nffi_handle(ngx_http_lua_nffi_runtime_t *rt)
{
    if (rt) {
        rt->handles++;
    }

    return rt;
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


void
ngx_http_lua_nffi_close_runtimes(void)
{
    ngx_http_lua_nffi_runtime_t  *rt;

    for (rt = ngx_http_lua_nffi_next_runtime(NULL);
         rt;
         rt = ngx_http_lua_nffi_next_runtime(rt))
    {
        ngx_http_lua_nffi_close_runtime(rt);
    }
}


/* Returns the first runtime for NULL, and NULL after the last one. */

ngx_http_lua_nffi_runtime_t *
ngx_http_lua_nffi_next_runtime(ngx_http_lua_nffi_runtime_t *rt)
{
    ngx_queue_t  *q;

    if (!ngx_http_lua_nffi_has_registry()) {
        return NULL;
    }

    q = ngx_queue_next(rt ? &rt->queue : &ngx_http_lua_nffi_runtimes);

    return q == ngx_queue_sentinel(&ngx_http_lua_nffi_runtimes)
           ? NULL : ngx_queue_data(q, ngx_http_lua_nffi_runtime_t, queue);
}


/* Called when Lua releases a pointer. */

void
ngx_http_lua_nffi_release(ngx_http_lua_nffi_runtime_t *rt)
{
    if (--rt->handles == 0 && rt->closed) {
        ngx_http_lua_nffi_reap_soon();
    }
}
