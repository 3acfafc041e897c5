/*
 * ngx_http_lua_nffi_process.h - a runtime's process: _events.c listens to its
 * descriptors, _supervisor.c decides when it is started again or killed,
 * _launch.c starts and releases it.
 */

#ifndef _NGX_HTTP_LUA_NFFI_PROCESS_H_INCLUDED_
#define _NGX_HTTP_LUA_NFFI_PROCESS_H_INCLUDED_


#include "ngx_http_lua_nffi_channel.h"
#include "ngx_http_lua_nffi_error.h"
#include "ngx_http_lua_nffi_output.h"
#include "ngx_http_lua_nffi_program.h"
#include "ngx_http_lua_nffi_runtime.h"
#include "ngx_http_lua_nffi_types.h"

#include <shared/nffi_backoff.h>


/* one of the child's pipes */

typedef struct {
    ngx_http_lua_nffi_channel_t         channel;
    ngx_http_lua_nffi_output_t          output;
} ngx_http_lua_nffi_pipe_t;


typedef enum {
    NGX_HTTP_LUA_NFFI_DOWN = 0,
    NGX_HTTP_LUA_NFFI_STARTING,
    NGX_HTTP_LUA_NFFI_READY
} ngx_http_lua_nffi_process_state_e;


/* what a reload wants to know of the processes that it starts */

typedef struct {
    void  (*ready)(ngx_http_lua_nffi_instance_t *inst);
    void  (*died)(ngx_http_lua_nffi_instance_t *inst);
} ngx_http_lua_nffi_process_events_t;


/* of one instance, and freed with it */

struct ngx_http_lua_nffi_process_s {
    ngx_http_lua_nffi_instance_t       *instance;
    const ngx_http_lua_nffi_process_events_t  *events;  /* of a reload */
    ngx_http_lua_nffi_program_t        *program;
    ngx_str_t                          *name;        /* of the runtime */
    ngx_http_lua_nffi_process_state_e   state;

    nffi_child_t                        child;
    ngx_http_lua_nffi_channel_t         keeper;
    ngx_http_lua_nffi_channel_t         control;
    ngx_http_lua_nffi_channel_t         done;
    ngx_http_lua_nffi_pipe_t            out;
    ngx_http_lua_nffi_pipe_t            err;

    ngx_event_t                         restart;
    ngx_event_t                         kill;    /* it does not get ready, or
                                                    does not end */
    ngx_event_t                         end;     /* it has let go of its control
                                                    socket and does not end */
    ngx_event_t                         death;   /* the next turn of its end */
    ngx_uint_t                          turns;   /* that are left */
    int                                 status;  /* as of waitpid() */
    ngx_event_t                         health;
    uint32_t                            taken;   /* tasks, at the last sign
                                                    of life */
    ngx_msec_t                          alive;   /* when that was */
    ngx_msec_t                          started;
    ngx_uint_t                          restarts;
    nffi_backoff_t                      backoff;

    ngx_http_lua_nffi_error_t           reason;  /* why it is down */
    ngx_http_lua_nffi_last_words_t      last_words;

    unsigned                            gone:1;      /* from its socket */
    unsigned                            ended:1;     /* `status` is known */
    unsigned                            unstarted:1; /* it was never executed */
    unsigned                            broken:1;    /* the rules of the queue */
    unsigned                            killed:1;    /* by us */
    unsigned                            dying:1;
};


ngx_http_lua_nffi_runtime_t *ngx_http_lua_nffi_process_load(const u_char *key,
    size_t key_size, const ngx_http_lua_nffi_process_options_t *options,
    const ngx_http_lua_nffi_limits_t *limits, ngx_http_lua_nffi_error_t *err);
ngx_int_t ngx_http_lua_nffi_process_add(ngx_http_lua_nffi_runtime_t *rt,
    ngx_queue_t *list, const ngx_http_lua_nffi_process_events_t *events,
    ngx_http_lua_nffi_error_t *err);
void ngx_http_lua_nffi_channels_close(ngx_http_lua_nffi_process_t *p);
void ngx_http_lua_nffi_read_last_output(ngx_http_lua_nffi_process_t *p);


#endif /* _NGX_HTTP_LUA_NFFI_PROCESS_H_INCLUDED_ */
