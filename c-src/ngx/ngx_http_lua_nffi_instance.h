/*
 * ngx_http_lua_nffi_instance.h - the instances of a runtime: one queue and who
 * serves it, the threads of a library or a process.
 */

#ifndef _NGX_HTTP_LUA_NFFI_INSTANCE_H_INCLUDED_
#define _NGX_HTTP_LUA_NFFI_INSTANCE_H_INCLUDED_


#include "ngx_http_lua_nffi_error.h"
#include "ngx_http_lua_nffi_log.h"
#include "ngx_http_lua_nffi_types.h"

#include <shared/nffi_spin.h>


/* what differs between a library and a process */

typedef struct {
    /* NGX_OK; NGX_AGAIN: calls are taken later; NGX_ERROR: `err` says why it
       takes none */
    ngx_int_t  (*available)(ngx_http_lua_nffi_instance_t *inst,
                            ngx_http_lua_nffi_error_t *err);

    /* no new calls; what waits is still answered */
    void       (*close)(ngx_http_lua_nffi_instance_t *inst);

    /* the runtime broke the rules of the queue */
    void       (*broken)(ngx_http_lua_nffi_instance_t *inst);

    /* of one that was closed: NGX_OK: nothing is left; NGX_AGAIN: something
       uses it, and tells; NGX_BUSY: try again soon */
    ngx_int_t  (*free)(ngx_http_lua_nffi_instance_t *inst);

    /* of its process; 0: a library */
    ngx_pid_t  (*pid)(ngx_http_lua_nffi_instance_t *inst);
} ngx_http_lua_nffi_instance_ops_t;


/*
 * One queue and who serves it: the threads of a library, or a process. Freed
 * by _reap.c once it is closed and no thread, call or event uses it.
 */

struct ngx_http_lua_nffi_instance_s {
    ngx_queue_t                    queue;    /* in one list of its runtime */
    ngx_http_lua_nffi_runtime_t   *runtime;
    const ngx_http_lua_nffi_instance_ops_t  *ops;

    nffi_host_t                   *host;     /* NULL: no queue now */
    ngx_uint_t                     awaited;  /* calls that wait */

    ngx_http_lua_nffi_process_t   *process;  /* NULL: in this process */
    void                          *library;  /* dlopen()ed, or NULL */

    ngx_thread_task_t              wake_task;   /* posted by its threads */
    ngx_atomic_t                   woken;       /* wake_task is on its way */
    ngx_event_t                    drain;       /* the next turn, or look */
    nffi_spinner_t                 spinner;
    ngx_event_t                    alive;       /* keeps a leaving worker */
    ngx_msec_t                     drain_until; /* 0: the worker stays */
    ngx_http_lua_nffi_rate_t       rate;        /* of its messages */
    ngx_queue_t                    deadlines;   /* calls of equal timeouts */
    ngx_event_t                    deadline;    /* of the first, or sooner */
    ngx_msec_t                     deadlines_timeout;
    uint32_t                       taken;       /* calls, at the last look */
    ngx_msec_t                     idle_since;  /* calls wait, none is taken */

    ngx_queue_t                    reap;        /* of those that have ended */
    ngx_atomic_t                   unused;      /* set by the last thread */
    ngx_event_t                    kept;        /* it is not freed in time */

    unsigned                       draining:1;
    unsigned                       broken:1;    /* a library's queue */
    unsigned                       reaping:1;
    unsigned                       end_asked:1; /* `unused` will be set */
    unsigned                       kept_counted:1;
    unsigned                       waiting:1;   /* calls, at the last look */
    unsigned                       stalled:1;   /* that was logged */
    unsigned                       closed:1;    /* takes no new calls */
    unsigned                       starting:1;  /* of a reload */
    unsigned                       exiting:1;   /* drain_until is of the
                                                   worker's end */
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

/* the last call that kept a leaving worker has ended */
void ngx_http_lua_nffi_instance_let_go(ngx_http_lua_nffi_instance_t *inst);
void ngx_http_lua_nffi_awaited(ngx_http_lua_nffi_instance_t *inst);
void ngx_http_lua_nffi_not_awaited(ngx_http_lua_nffi_instance_t *inst);


#endif /* _NGX_HTTP_LUA_NFFI_INSTANCE_H_INCLUDED_ */
