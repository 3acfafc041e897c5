/*
 * ngx_http_lua_nffi_launch.c - the glue: the supervisor of this worker, which
 * starts the processes of its runtimes, and the release of a process. The
 * worker starts the supervisor when it first needs one, and again after it has
 * ended.
 *
 * Everything runs in the event loop.
 */

#ifndef DDEBUG
#define DDEBUG 0
#endif
#include "ddebug.h"


#include "ngx_http_lua_nffi_launch.h"
#include "ngx_http_lua_nffi_channel.h"
#include "ngx_http_lua_nffi_error.h"
#include "ngx_http_lua_nffi_instance.h"
#include "ngx_http_lua_nffi_process.h"
#include "ngx_http_lua_nffi_program.h"

#include <dlfcn.h>


#define NGX_HTTP_LUA_NFFI_SUPERVISOR  "../bin/nffi-supervisor"


/* The channel to the supervisor, and the worker that started it: a forked child
   inherits both and must not use them. */

static ngx_http_lua_nffi_channel_t  ngx_http_lua_nffi_supervisor;
static ngx_pid_t                    ngx_http_lua_nffi_supervised;


static void
ngx_http_lua_nffi_supervisor_close(void)
{
    ngx_http_lua_nffi_channel_close(&ngx_http_lua_nffi_supervisor, 1);
    ngx_http_lua_nffi_supervised = 0;
}


static void
ngx_http_lua_nffi_supervisor_ended(void)
{
    ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                  "nffi: the supervisor of the processes has ended; running "
                  "processes continue, the next start uses another one");

    ngx_http_lua_nffi_supervisor_close();
}


/* The supervisor sends nothing, so the only possible event is its end. */

static void
ngx_http_lua_nffi_supervisor_handler(ngx_event_t *ev)
{
    u_char             byte;
    ssize_t            n;
    ngx_connection_t  *c = ev->data;

    n = recv(c->fd, &byte, 1, MSG_DONTWAIT);

    if (n > 0 || (n == -1 && ngx_errno == NGX_EAGAIN)) {
        return;
    }

    ngx_http_lua_nffi_supervisor_ended();
}


/* Finds the supervisor relative to libnffi: PREFIX/nffi/lib and .../bin. */

static ngx_int_t
ngx_http_lua_nffi_supervisor_path(u_char *path, size_t size)
{
    u_char     *last;
    Dl_info     info;
    const char *end;

    if (dladdr((void *) nffi_supervisor_start, &info) == 0
        || info.dli_fname == NULL)
    {
        return NGX_ERROR;
    }

    end = strrchr(info.dli_fname, '/');
    end = end ? end + 1 : info.dli_fname;

    last = ngx_snprintf(path, size - 1, "%*s%s",
                        (size_t) (end - info.dli_fname), info.dli_fname,
                        NGX_HTTP_LUA_NFFI_SUPERVISOR);
    *last = '\0';

    return NGX_OK;
}


/* Returns its socket, or -1 with `err`. */

ngx_socket_t
ngx_http_lua_nffi_supervisor_get(ngx_http_lua_nffi_process_t *p,
    ngx_http_lua_nffi_error_t *err)
{
    int           fd;
    u_char        path[NGX_MAX_PATH];
    ngx_err_t     e;
    const char   *stage;

    ngx_http_lua_nffi_channel_t  *ch = &ngx_http_lua_nffi_supervisor;

    if (ngx_http_lua_nffi_supervised == ngx_pid) {
        return ch->connection.fd;
    }

    if (ngx_http_lua_nffi_supervisor_path(path, sizeof(path)) != NGX_OK) {
        (void) ngx_http_lua_nffi_fail(err, "load_failed",
                   "the runtime \"%V\" cannot be started: the path of libnffi "
                   "is unknown", p->name);
        return (ngx_socket_t) -1;
    }

    fd = nffi_supervisor_start((char *) path, &stage);

    if (fd == -1) {
        e = ngx_errno;
        (void) ngx_http_lua_nffi_fail(err, "load_failed",
                   "the runtime \"%V\" cannot be started: %s(\"%s\") as user "
                   "\"%s\" failed (%d: %s)", p->name, stage, path,
                   ngx_http_lua_nffi_user_name(), e, strerror(e));
        return (ngx_socket_t) -1;
    }

    ngx_http_lua_nffi_channel_init(p, ch, fd,
                                   ngx_http_lua_nffi_supervisor_handler);

    if (ngx_add_event(&ch->read, NGX_READ_EVENT, NGX_CLEAR_EVENT) != NGX_OK) {
        (void) close(fd);
        (void) ngx_http_lua_nffi_fail(err, "load_failed",
                   "the supervisor of the processes cannot be watched: the "
                   "event method refused a descriptor, see the error log");
        return (ngx_socket_t) -1;
    }

    ngx_http_lua_nffi_supervised = ngx_pid;

    return fd;
}


/* Sends the order to start a process. Replaces a supervisor that has just
   ended, once. Returns NGX_AGAIN with `err` if the socket takes no more for the
   moment. */

ngx_int_t
ngx_http_lua_nffi_launch(ngx_http_lua_nffi_process_t *p, nffi_host_t *host,
    ngx_http_lua_nffi_error_t *err)
{
    int           rc;
    ngx_err_t     e;
    ngx_uint_t    tries;
    const char   *stage;
    ngx_socket_t  fd;

    rc = NFFI_CLOSED;

    for (tries = 0; tries < 2 && rc == NFFI_CLOSED; tries++) {
        fd = ngx_http_lua_nffi_supervisor_get(p, err);

        if (fd == (ngx_socket_t) -1) {
            return NGX_ERROR;
        }

        rc = nffi_host_spawn(host, fd, &p->program->spawn, &p->process, &stage);

        if (rc == NFFI_CLOSED) {
            ngx_http_lua_nffi_supervisor_ended();
        }
    }

    if (rc == NFFI_OK) {
        return NGX_OK;
    }

    e = ngx_errno;

    (void) ngx_http_lua_nffi_fail(err, "load_failed",
               "the runtime \"%V\" cannot be started: %s failed (%d: %s)",
               p->name, stage, e, strerror(e));

    return rc == NFFI_QUEUE_FULL ? NGX_AGAIN : NGX_ERROR;
}


void
ngx_http_lua_nffi_process_release(ngx_http_lua_nffi_process_t *p)
{
    ngx_uint_t                     i;
    ngx_http_lua_nffi_instance_t  *inst = p->instance;
    ngx_event_t                   *timers[] = {
        &p->kill, &p->health, &p->end, &p->trim
    };

    ngx_http_lua_nffi_channels_close(p);

    if (inst->collect.posted) {
        ngx_delete_posted_event(&inst->collect);
    }

    if (p->death.posted) {
        ngx_delete_posted_event(&p->death);
    }

    for (i = 0; i < sizeof(timers) / sizeof(timers[0]); i++) {
        if (timers[i]->timer_set) {
            ngx_del_timer(timers[i]);
        }
    }

    /* the keeper reaps it and kills its remaining children */

    nffi_process_release(&p->process);
    p->dying = 0;

    nffi_host_destroy(inst->host);
    inst->host = NULL;
}


/* Kills the process now and forgets it: no call waits for it. */

void
ngx_http_lua_nffi_process_abandon(ngx_http_lua_nffi_process_t *p)
{
    nffi_process_kill(&p->process);
    ngx_http_lua_nffi_process_release(p);
    p->state = NGX_HTTP_LUA_NFFI_DOWN;
}


/* Frees the structure after its process was released. The keeper of the last
   process does not need it. */

void
ngx_http_lua_nffi_process_free(ngx_http_lua_nffi_process_t *p)
{
    ngx_uint_t    i;
    ngx_event_t  *timers[] = {
        &p->restart, &p->kill, &p->health, &p->end, &p->trim,
        &p->out.output.rate.report, &p->err.output.rate.report
    };

    for (i = 0; i < sizeof(timers) / sizeof(timers[0]); i++) {
        if (timers[i]->timer_set) {
            ngx_del_timer(timers[i]);
        }
    }

    ngx_free(p);
}
