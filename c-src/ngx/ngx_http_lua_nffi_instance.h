/*
 * ngx_http_lua_nffi_instance.h - the instances of a runtime. An instance is one
 * queue and the threads of a library, or the process, that serve it.
 */

#ifndef _NGX_HTTP_LUA_NFFI_INSTANCE_H_INCLUDED_
#define _NGX_HTTP_LUA_NFFI_INSTANCE_H_INCLUDED_


#include "ngx_http_lua_nffi_error.h"
#include "ngx_http_lua_nffi_log.h"
#include "ngx_http_lua_nffi_types.h"
#include "ngx_http_lua_nffi_wake.h"

#include <shared/nffi_spin.h>


/* the difference between a library and a process */

typedef struct {
    /* Returns NGX_OK, NGX_AGAIN if tasks are taken later, or NGX_ERROR with
       `err` if no tasks are taken. */
    ngx_int_t  (*available)(ngx_http_lua_nffi_instance_t *inst,
                            ngx_http_lua_nffi_error_t *err);

    /* Stops new calls. Queued tasks are still answered. */
    void       (*close)(ngx_http_lua_nffi_instance_t *inst);

    /* Handles a violation of the queue protocol by the runtime. */
    void       (*broken)(ngx_http_lua_nffi_instance_t *inst);

    /* Frees a closed instance. Returns NGX_OK when nothing is left, NGX_AGAIN
       if it is in use and reports its end later, NGX_BUSY if the caller must
       retry soon. */
    ngx_int_t  (*free)(ngx_http_lua_nffi_instance_t *inst);

    /* Returns the id of its process, or 0 for a library. */
    ngx_pid_t  (*pid)(ngx_http_lua_nffi_instance_t *inst);
} ngx_http_lua_nffi_instance_ops_t;


/* One queue, and the threads of a library or the process that serve it. _reap.c
   frees it when it is closed and no thread, call or event uses it. */

struct ngx_http_lua_nffi_instance_s {
    ngx_queue_t                    queue;    /* in one list of its runtime */
    ngx_http_lua_nffi_runtime_t   *runtime;
    const ngx_http_lua_nffi_instance_ops_t  *ops;

    nffi_host_t                   *host;     /* NULL: no queue now */
    ngx_uint_t                     awaited;  /* waiting calls */

    ngx_http_lua_nffi_process_t   *process;  /* NULL: in this process */
    void                          *library;  /* from dlopen(), or NULL */

    ngx_http_lua_nffi_wake_t      *wake;        /* by its threads, or NULL */
    ngx_event_t                    collect;     /* next turn or next spin */
    nffi_spinner_t                 spinner;
    ngx_event_t                    alive;       /* keeps an exiting worker */
    ngx_msec_t                     grace_until; /* 0: no limit yet */
    ngx_http_lua_nffi_rate_t       rate;        /* of its log messages */
    ngx_queue_t                    deadlines;   /* calls of equal timeouts */
    ngx_event_t                    deadline;    /* of the first, or earlier */
    ngx_msec_t                     deadlines_timeout;
    uint32_t                       taken;       /* tasks at the last check */
    ngx_msec_t                     idle_since;  /* tasks wait, none is taken */

    ngx_queue_t                    reap;        /* link, when it has ended */
    ngx_atomic_t                   unused;      /* set by the last thread */
    ngx_event_t                    kept;        /* not freed in time */

    unsigned                       collecting:1;
    unsigned                       broken:1;    /* queue of a library */
    unsigned                       reaping:1;
    unsigned                       end_asked:1; /* `unused` will be set */
    unsigned                       kept_counted:1;
    unsigned                       waiting:1;   /* tasks at the last check */
    unsigned                       stalled:1;   /* the stall was logged */
    unsigned                       closed:1;    /* takes no new calls */
    unsigned                       starting:1;  /* part of a reload */
    unsigned                       exiting:1;   /* grace_until is the exiting
                                                   worker's */
};


ngx_http_lua_nffi_instance_t *ngx_http_lua_nffi_instance_add(
    ngx_http_lua_nffi_runtime_t *rt, ngx_queue_t *list,
    const ngx_http_lua_nffi_instance_ops_t *ops);
void ngx_http_lua_nffi_instance_end(ngx_http_lua_nffi_instance_t *inst);
ngx_http_lua_nffi_instance_t *ngx_http_lua_nffi_instance_choose(
    ngx_http_lua_nffi_runtime_t *rt, ngx_http_lua_nffi_error_t *err);
void ngx_http_lua_nffi_instance_close(ngx_http_lua_nffi_instance_t *inst);
void ngx_http_lua_nffi_instances_close(ngx_http_lua_nffi_runtime_t *rt);
ngx_int_t ngx_http_lua_nffi_state(ngx_http_lua_nffi_runtime_t *rt,
    nffi_host_state_t *sum);
void ngx_http_lua_nffi_instance_keep(ngx_http_lua_nffi_instance_t *inst);

/* Lets an exiting worker go after its last waiting call has ended. */
void ngx_http_lua_nffi_instance_let_go(ngx_http_lua_nffi_instance_t *inst);
void ngx_http_lua_nffi_awaited(ngx_http_lua_nffi_instance_t *inst);
void ngx_http_lua_nffi_not_awaited(ngx_http_lua_nffi_instance_t *inst);


#endif /* _NGX_HTTP_LUA_NFFI_INSTANCE_H_INCLUDED_ */
