/*
 * ngx_http_lua_nffi_process.h - a process of a runtime. _events.c handles its
 * descriptors, _supervisor.c decides when to restart or kill it, _launch.c
 * starts and releases it.
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


/* stdout or stderr of the process */

typedef struct {
    ngx_http_lua_nffi_channel_t         channel;
    ngx_http_lua_nffi_output_t          output;
} ngx_http_lua_nffi_pipe_t;


typedef enum {
    NGX_HTTP_LUA_NFFI_DOWN = 0,
    NGX_HTTP_LUA_NFFI_IDLE,         /* the next call starts it */
    NGX_HTTP_LUA_NFFI_STARTING,
    NGX_HTTP_LUA_NFFI_READY
} ngx_http_lua_nffi_process_state_e;


/* callbacks of a reload for the processes that it starts */

typedef struct {
    void  (*ready)(ngx_http_lua_nffi_instance_t *inst);
    void  (*died)(ngx_http_lua_nffi_instance_t *inst);
} ngx_http_lua_nffi_process_events_t;


/* belongs to one instance, and is freed with it */

struct ngx_http_lua_nffi_process_s {
    ngx_http_lua_nffi_instance_t       *instance;
    const ngx_http_lua_nffi_process_events_t  *events;  /* of a reload, or
                                                           NULL */
    ngx_http_lua_nffi_program_t        *program;
    ngx_str_t                          *name;        /* of the runtime */
    ngx_str_t                          *label;       /* for the log */
    ngx_http_lua_nffi_process_state_e   state;

    nffi_process_t                      process;
    ngx_http_lua_nffi_channel_t         keeper;
    ngx_http_lua_nffi_channel_t         control;
    ngx_http_lua_nffi_channel_t         done;
    ngx_http_lua_nffi_pipe_t            out;
    ngx_http_lua_nffi_pipe_t            err;

    ngx_event_t                         restart;
    ngx_event_t                         kill;    /* start timeout, or grace
                                                    period */
    ngx_event_t                         end;     /* exit limit after it closed
                                                    its control socket */
    ngx_event_t                         death;   /* next turn of clean-up */
    ngx_uint_t                          turns;   /* left for clean-up */
    int                                 status;  /* as from waitpid() */
    ngx_event_t                         health;
    ngx_event_t                         trim;    /* of shared memory that is
                                                    not needed */
    uint32_t                            taken;   /* tasks at the last sign of
                                                    life */
    ngx_msec_t                          alive;   /* time of that sign */
    ngx_msec_t                          started;
    ngx_uint_t                          restarts;
    nffi_backoff_t                      backoff;

    ngx_http_lua_nffi_error_t           reason;  /* why it is down */
    ngx_http_lua_nffi_last_error_t      last_error;

    unsigned                            gone:1;      /* no control socket */
    unsigned                            ended:1;     /* `status` is known */
    unsigned                            unstarted:1; /* never executed */
    unsigned                            broken:1;    /* protocol violation */
    unsigned                            killed:1;    /* by the glue */
    unsigned                            dying:1;
    unsigned                            late:1;      /* its start limit has
                                                        passed */
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
