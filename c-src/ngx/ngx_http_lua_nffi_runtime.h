/*
 * ngx_http_lua_nffi_runtime.h - a runtime, and the registry of a worker's
 * runtimes.
 */

#ifndef _NGX_HTTP_LUA_NFFI_RUNTIME_H_INCLUDED_
#define _NGX_HTTP_LUA_NFFI_RUNTIME_H_INCLUDED_


#include "ngx_http_lua_nffi_metrics.h"
#include "ngx_http_lua_nffi_reload.h"
#include "ngx_http_lua_nffi_types.h"


typedef struct {
    uint32_t                       max_queue;
    uint32_t                       max_tasks;
    uint32_t                       arena;      /* bytes, each way */
    uint32_t                       max_bytes;  /* of unanswered requests */
    uint32_t                       start_timeout;  /* ms, of a process */
    uint32_t                       spin_us;    /* see nffi_spin.h */
    uint32_t                       is_global;
} ngx_http_lua_nffi_limits_t;


/* A library or module with its configuration. _reap.c frees it when it is
   closed, has no instances, and Lua has no pointer to it. */

struct ngx_http_lua_nffi_runtime_s {
    ngx_str_node_t                 node;     /* by key, until it is closed */
    ngx_queue_t                    queue;    /* in the registry */
    ngx_queue_t                    reap;     /* in the list of closed
                                                runtimes */
    ngx_uint_t                     handles;  /* pointers that Lua has */
    ngx_str_t                      key;
    uint32_t                       id;       /* checksum of the key */
    ngx_str_t                      name;     /* for messages to Lua and
                                                metrics */
    ngx_str_t                      label;    /* for the log: with the id if
                                                another one has this name */

    ngx_queue_t                    serving;  /* instances for new calls */
    ngx_queue_t                    starting; /* instances of a reload */
    ngx_queue_t                    closing;  /* closed, calls left */
    ngx_queue_t                    ended;    /* to be freed */

    ngx_http_lua_nffi_program_t   *program;  /* NULL: a native library */
    ngx_http_lua_nffi_counts_t     counts;
    ngx_http_lua_nffi_limits_t     limits;

    ngx_http_lua_nffi_reload_t    *reload;   /* under way, or NULL */

    unsigned                       bridged:1;   /* the library of a bridge */
    unsigned                       closed:1;
    unsigned                       failed:1;    /* to start: Lua never had it */
    unsigned                       misused:2;   /* kinds that were logged */
};


typedef void (*ngx_http_lua_nffi_instance_handler_pt)(
    ngx_http_lua_nffi_instance_t *inst, void *data);


void ngx_http_lua_nffi_each_instance(
    ngx_http_lua_nffi_instance_handler_pt handler, void *data);
ngx_http_lua_nffi_runtime_t *ngx_http_lua_nffi_register(ngx_str_t *key,
    ngx_str_t *path);
ngx_http_lua_nffi_runtime_t *ngx_http_lua_nffi_lookup(const u_char *key,
    size_t key_size);
void *ngx_http_lua_nffi_handle(ngx_http_lua_nffi_runtime_t *rt);
void ngx_http_lua_nffi_close_runtime(ngx_http_lua_nffi_runtime_t *rt);
void ngx_http_lua_nffi_close_runtimes(void);
void ngx_http_lua_nffi_release(ngx_http_lua_nffi_runtime_t *rt);
ngx_int_t ngx_http_lua_nffi_registry_init(void);
ngx_uint_t ngx_http_lua_nffi_has_registry(void);
ngx_http_lua_nffi_runtime_t *ngx_http_lua_nffi_next_runtime(
    ngx_http_lua_nffi_runtime_t *rt);


#endif /* _NGX_HTTP_LUA_NFFI_RUNTIME_H_INCLUDED_ */
