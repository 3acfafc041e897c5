/*
 * ngx_http_lua_nffi_exit.c - the glue: shuts down the runtimes when the worker
 * exits. Their processes are killed with the worker. Before that, they have a
 * limited time to shut down, and their last output is logged.
 *
 * Everything runs in the thread of the event loop, after the event loop: the
 * worker has no other work and can sleep here. It waits for all processes
 * together, so that a process that hangs neither takes time from others nor
 * leaves them with a full pipe.
 */

#ifndef DDEBUG
#define DDEBUG 0
#endif
#include "ddebug.h"


#include "ngx_http_lua_nffi_exit.h"
#include "ngx_http_lua_nffi_instance.h"
#include "ngx_http_lua_nffi_log.h"
#include "ngx_http_lua_nffi_output.h"
#include "ngx_http_lua_nffi_process.h"
#include "ngx_http_lua_nffi_runtime.h"
#include "ngx_http_lua_nffi_worker.h"

#include <poll.h>


#define NGX_HTTP_LUA_NFFI_EXIT_LIMIT    5000     /* ms to exit, when the worker
                                                    quits */
#define NGX_HTTP_LUA_NFFI_STOP_LIMIT    500      /* ms on a stop: nginx kills
                                                    the worker soon after */
#define NGX_HTTP_LUA_NFFI_LOOK          50       /* ms between polls, since
                                                    messages do not wake the
                                                    worker and a quit may become
                                                    a stop */


typedef enum {
    NGX_HTTP_LUA_NFFI_OUT = 0,
    NGX_HTTP_LUA_NFFI_ERR,
    NGX_HTTP_LUA_NFFI_END,
    NGX_HTTP_LUA_NFFI_FDS
} ngx_http_lua_nffi_fd_e;


/* a process that the worker waits for */

typedef struct {
    ngx_http_lua_nffi_process_t        *process;
    ngx_uint_t                          over;    /* do not wait for it */
} ngx_http_lua_nffi_awaited_t;


typedef struct {
    ngx_pool_t                         *pool;
    ngx_array_t                         processes;  /* awaited_t */
    ngx_array_t                         fds;        /* FDS per process */
    ngx_msec_t                          begin;
    ngx_msec_t                          limit;
} ngx_http_lua_nffi_exit_t;


static ngx_msec_t  ngx_http_lua_nffi_exit_limit;


static void
ngx_http_lua_nffi_exit_add(ngx_http_lua_nffi_exit_t *ctx,
    ngx_http_lua_nffi_process_t *p)
{
    struct pollfd                *fds;
    ngx_http_lua_nffi_awaited_t  *awaited;

    /* both or none: the indices of the two arrays correspond */

    fds = ngx_array_push_n(&ctx->fds, NGX_HTTP_LUA_NFFI_FDS);
    if (fds == NULL) {
        return;
    }

    awaited = ngx_array_push(&ctx->processes);
    if (awaited == NULL) {
        ctx->fds.nelts -= NGX_HTTP_LUA_NFFI_FDS;
        return;
    }

    ngx_memzero(fds, NGX_HTTP_LUA_NFFI_FDS * sizeof(struct pollfd));
    fds[NGX_HTTP_LUA_NFFI_OUT].fd = p->out.channel.connection.fd;
    fds[NGX_HTTP_LUA_NFFI_OUT].events = POLLIN;
    fds[NGX_HTTP_LUA_NFFI_ERR].fd = p->err.channel.connection.fd;
    fds[NGX_HTTP_LUA_NFFI_ERR].events = POLLIN;
    fds[NGX_HTTP_LUA_NFFI_END].fd = p->process.keeper_fd;
    fds[NGX_HTTP_LUA_NFFI_END].events = POLLIN;

    awaited->process = p;
    awaited->over = 0;
}


/* A process that is still starting has nothing to clean up. */

static void
ngx_http_lua_nffi_exit_instance(ngx_http_lua_nffi_instance_t *inst, void *data)
{
    ngx_http_lua_nffi_exit_t     *ctx = data;
    ngx_http_lua_nffi_process_t  *p = inst->process;

    if (inst->host && !inst->closed) {
        nffi_host_close(inst->host);
    }

    if (p && ctx->pool && p->state == NGX_HTTP_LUA_NFFI_READY) {
        ngx_http_lua_nffi_exit_add(ctx, p);
    }
}


/* Returns how long the worker waits for the process to exit. */

static ngx_msec_t
ngx_http_lua_nffi_exit_time(ngx_http_lua_nffi_awaited_t *awaited,
    ngx_msec_t limit)
{
    ngx_msec_t                     max;
    nffi_host_state_t              state;
    nffi_host_response_t           response;
    ngx_http_lua_nffi_instance_t  *inst = awaited->process->instance;

    if (inst->awaited == 0) {
        /* collects responses of cancelled tasks, which are counted and freed */
        (void) nffi_host_collect(inst->host, &response, 1);
    }

    nffi_host_state(inst->host, &state);

    if (state.unanswered) {
        return ngx_terminate ? 0 : NGX_HTTP_LUA_NFFI_CANCEL_GRACE;
    }

    max = ngx_terminate ? NGX_HTTP_LUA_NFFI_STOP_LIMIT
                        : NGX_HTTP_LUA_NFFI_EXIT_LIMIT;

    return ngx_min(limit, max);
}


/* Logs the output of the process. The pipes do not block. */

static void
ngx_http_lua_nffi_exit_read(ngx_http_lua_nffi_awaited_t *awaited,
    struct pollfd *fds)
{
    ngx_uint_t                    i;
    ngx_http_lua_nffi_process_t  *p = awaited->process;
    ngx_http_lua_nffi_pipe_t     *pipes[] = { &p->out, &p->err };

    for (i = 0; i < NGX_HTTP_LUA_NFFI_END; i++) {
        if (fds[i].fd != -1
            && ngx_http_lua_nffi_read_output(&pipes[i]->output, fds[i].fd,
                                             NGX_HTTP_LUA_NFFI_READS)
               == NGX_DONE)
        {
            fds[i].fd = -1;
        }
    }

    if (p->instance->awaited == 0) {
        ngx_http_lua_nffi_write_messages(p->instance);
    }
}


static void
ngx_http_lua_nffi_exit_over(ngx_http_lua_nffi_awaited_t *awaited,
    struct pollfd *fds)
{
    ngx_uint_t                    i;
    ngx_http_lua_nffi_process_t  *p = awaited->process;

    ngx_http_lua_nffi_exit_read(awaited, fds);
    awaited->over = 1;

    for (i = 0; i < NGX_HTTP_LUA_NFFI_FDS; i++) {
        fds[i].fd = -1;
    }

    ngx_http_lua_nffi_rate_report(&p->out.output.rate);
    ngx_http_lua_nffi_rate_report(&p->err.output.rate);
    ngx_http_lua_nffi_rate_report(&p->instance->rate);
}


/* Returns 1 if the process has exited, by a report of its keeper, or by its
   pidfd if the keeper has already ended. */

static ngx_uint_t
ngx_http_lua_nffi_exit_ended(ngx_http_lua_nffi_process_t *p,
    struct pollfd *fds)
{
    nffi_process_report_t  report;

    if (p->ended || fds[NGX_HTTP_LUA_NFFI_END].fd != p->process.keeper_fd) {
        return 1;
    }

    switch (nffi_process_report(&p->process, &report)) {

    case NFFI_PROCESS_ENDED:
        return 1;

    case NFFI_PROCESS_GONE:
        fds[NGX_HTTP_LUA_NFFI_END].fd = p->process.pidfd;
        return p->process.pidfd == -1;

    default:
        return 0;
    }
}


/* Handles the result of one poll(). */

static void
ngx_http_lua_nffi_exit_look(ngx_http_lua_nffi_awaited_t *awaited,
    struct pollfd *fds)
{
    if (fds[NGX_HTTP_LUA_NFFI_END].revents
        && ngx_http_lua_nffi_exit_ended(awaited->process, fds))
    {
        ngx_http_lua_nffi_exit_over(awaited, fds);
        return;
    }

    ngx_http_lua_nffi_exit_read(awaited, fds);
}


/* Returns the longest remaining time of a process, or 0 if none is left. */

static ngx_msec_int_t
ngx_http_lua_nffi_exit_left(ngx_http_lua_nffi_exit_t *ctx)
{
    ngx_uint_t                    i;
    ngx_msec_int_t                left, max;
    struct pollfd                *fds = ctx->fds.elts;
    ngx_http_lua_nffi_awaited_t  *awaited = ctx->processes.elts;

    ngx_time_update();
    max = 0;

    for (i = 0; i < ctx->processes.nelts; i++) {
        if (awaited[i].over) {
            continue;
        }

        left = ngx_http_lua_nffi_exit_time(&awaited[i], ctx->limit)
               - (ngx_current_msec - ctx->begin);

        if (left <= 0) {
            ngx_http_lua_nffi_exit_over(&awaited[i],
                                         &fds[i * NGX_HTTP_LUA_NFFI_FDS]);
            continue;
        }

        max = ngx_max(max, left);
    }

    return max;
}


static void
ngx_http_lua_nffi_exit_await(ngx_http_lua_nffi_exit_t *ctx)
{
    ngx_uint_t                    i;
    ngx_msec_int_t                left;
    struct pollfd                *fds = ctx->fds.elts;
    ngx_http_lua_nffi_awaited_t  *awaited = ctx->processes.elts;

    ngx_time_update();
    ctx->begin = ngx_current_msec;

    for ( ;; ) {
        left = ngx_http_lua_nffi_exit_left(ctx);

        if (left == 0) {
            return;
        }

        if (poll(fds, ctx->fds.nelts,
                 (int) ngx_min(left, NGX_HTTP_LUA_NFFI_LOOK))
            == -1)
        {
            if (ngx_errno != NGX_EINTR) {
                return;
            }

            continue;
        }

        for (i = 0; i < ctx->processes.nelts; i++) {
            if (!awaited[i].over) {
                ngx_http_lua_nffi_exit_look(&awaited[i],
                                             &fds[i * NGX_HTTP_LUA_NFFI_FDS]);
            }
        }
    }
}


/* Closes all runtimes and waits for their processes for at most `limit` ms. 0:
   does not wait. */

static void
ngx_http_lua_nffi_exit(ngx_msec_t limit)
{
    ngx_http_lua_nffi_exit_t   ctx;

    ngx_memzero(&ctx, sizeof(ctx));
    ctx.limit = limit;

    if (limit) {
        ctx.pool = ngx_create_pool(NGX_DEFAULT_POOL_SIZE, ngx_cycle->log);
    }

    if (ctx.pool
        && (ngx_array_init(&ctx.processes, ctx.pool, 8,
                           sizeof(ngx_http_lua_nffi_awaited_t))
            != NGX_OK
            || ngx_array_init(&ctx.fds, ctx.pool, 8 * NGX_HTTP_LUA_NFFI_FDS,
                              sizeof(struct pollfd))
               != NGX_OK))
    {
        ngx_destroy_pool(ctx.pool);
        ctx.pool = NULL;
    }

    ngx_http_lua_nffi_each_instance(ngx_http_lua_nffi_exit_instance, &ctx);

    if (ctx.pool) {
        ngx_http_lua_nffi_exit_await(&ctx);
        ngx_destroy_pool(ctx.pool);
    }
}


static void
ngx_http_lua_nffi_exit_handler(void *data)
{
    ngx_uint_t  exits;

    (void) data;

    if (!ngx_http_lua_nffi_has_registry()) {
        return;
    }

    ngx_http_lua_nffi_close_runtimes();

    /* do not wait if a single-process nginx continues with a new
       configuration */

    exits = ngx_exiting || ngx_quit || ngx_terminate;

    ngx_http_lua_nffi_exit(exits ? ngx_http_lua_nffi_exit_limit : 0);
}


/* Registers the shutdown of the runtimes for the end of the worker or of its
   configuration. Stores the limit, since the configuration no longer exists by
   then. */

ngx_int_t
ngx_http_lua_nffi_exit_init(void)
{
    ngx_pool_cleanup_t  *cln;

    cln = ngx_pool_cleanup_add(((ngx_cycle_t *) ngx_cycle)->pool, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    cln->handler = ngx_http_lua_nffi_exit_handler;
    ngx_http_lua_nffi_exit_limit = ngx_http_lua_nffi_grace_period();

    return NGX_OK;
}
