/*
 * ngx_http_lua_nffi_events.c - the glue: handles events on the descriptors of a
 * runtime's process: the socket of its keeper, its control socket, its eventfd
 * for responses and its two pipes.
 *
 * Everything runs in the event loop.
 */

#ifndef DDEBUG
#define DDEBUG 0
#endif
#include "ddebug.h"


#include "ngx_http_lua_nffi_events.h"
#include "ngx_http_lua_nffi_channel.h"
#include "ngx_http_lua_nffi_collect.h"
#include "ngx_http_lua_nffi_error.h"
#include "ngx_http_lua_nffi_instance.h"
#include "ngx_http_lua_nffi_output.h"
#include "ngx_http_lua_nffi_process.h"
#include "ngx_http_lua_nffi_supervisor.h"


static void ngx_http_lua_nffi_keeper_handler(ngx_event_t *ev);
static void ngx_http_lua_nffi_control_handler(ngx_event_t *ev);
static void ngx_http_lua_nffi_done_handler(ngx_event_t *ev);
static void ngx_http_lua_nffi_pipe_handler(ngx_event_t *ev);


/* Creates all five channels before it watches the first one, so that each can
   be released on failure. */

ngx_int_t
ngx_http_lua_nffi_channels_open(ngx_http_lua_nffi_process_t *p)
{
    ngx_uint_t                    i;
    ngx_http_lua_nffi_channel_t  *channels[] = {
        &p->keeper, &p->control, &p->done, &p->out.channel, &p->err.channel
    };

    ngx_http_lua_nffi_channel_init(p, &p->keeper, p->process.keeper_fd,
                                   ngx_http_lua_nffi_keeper_handler);
    ngx_http_lua_nffi_channel_init(p, &p->control, p->process.control_fd,
                                   ngx_http_lua_nffi_control_handler);
    ngx_http_lua_nffi_channel_init(p, &p->done, p->process.done_fd,
                                   ngx_http_lua_nffi_done_handler);
    ngx_http_lua_nffi_channel_init(p, &p->out.channel, p->process.stdout_fd,
                                   ngx_http_lua_nffi_pipe_handler);
    ngx_http_lua_nffi_channel_init(p, &p->err.channel, p->process.stderr_fd,
                                   ngx_http_lua_nffi_pipe_handler);

    for (i = 0; i < sizeof(channels) / sizeof(channels[0]); i++) {
        if (ngx_add_event(&channels[i]->read, NGX_READ_EVENT, NGX_CLEAR_EVENT)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* Continues in the next turn, so that other events are handled in between. */

static void
ngx_http_lua_nffi_read_on(ngx_event_t *ev)
{
    if (!ev->posted) {
        ngx_post_event(ev, &ngx_posted_next_events);
    }
}


static void
ngx_http_lua_nffi_pipe_handler(ngx_event_t *ev)
{
    ngx_int_t                  rc;
    ngx_connection_t          *c = ev->data;
    ngx_http_lua_nffi_pipe_t  *pipe;

    pipe = (ngx_http_lua_nffi_pipe_t *)
               ((u_char *) c - offsetof(ngx_http_lua_nffi_pipe_t,
                                        channel.connection));

    rc = ngx_http_lua_nffi_read_output(&pipe->output, c->fd,
                                       NGX_HTTP_LUA_NFFI_READS);

    if (rc == NGX_DONE) {
        ngx_http_lua_nffi_channel_close(&pipe->channel, 1);

    } else if (rc == NGX_AGAIN) {
        ngx_http_lua_nffi_read_on(ev);
    }
}


static void
ngx_http_lua_nffi_done_handler(ngx_event_t *ev)
{
    ngx_connection_t             *c = ev->data;
    ngx_http_lua_nffi_channel_t  *ch;

    /* edge-triggered: no need to read the counter */

    ch = (ngx_http_lua_nffi_channel_t *) c;
    ngx_http_lua_nffi_collect(ch->process->instance, NGX_HTTP_LUA_NFFI_TURN);
}


/* Reads the reports of the keeper. Returns 0 if the process is no longer
   served. */

static ngx_uint_t
ngx_http_lua_nffi_read_keeper(ngx_http_lua_nffi_process_t *p)
{
    ngx_uint_t           n;
    nffi_process_report_t  report;

    for (n = 0; n < NGX_HTTP_LUA_NFFI_EVENTS; n++) {

        switch (nffi_process_report(&p->process, &report)) {

        case NFFI_PROCESS_STARTED:
            ngx_log_error(NGX_LOG_INFO, ngx_cycle->log, 0,
                          "nffi: runtime \"%V\": process %P started", p->label,
                          p->process.pid);
            break;

        case NFFI_PROCESS_NOT_STARTED:
            ngx_http_lua_nffi_process_not_started(p, &report);
            return 0;

        case NFFI_PROCESS_ENDED:
            p->ended = 1;
            p->status = report.status;

            if (p->gone) {
                ngx_http_lua_nffi_process_died(p);
                return 0;
            }

            break;

        case NFFI_PROCESS_GONE:
            ngx_http_lua_nffi_channel_close(&p->keeper, 1);
            p->process.keeper_fd = -1;

            if (p->gone) {
                ngx_http_lua_nffi_process_died(p);
                return 0;
            }

            if (!p->ended) {
                ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                              "nffi: runtime \"%V\": the keeper of process %P "
                              "has ended; the process is served on", p->label,
                              p->process.pid);
            }

            return 1;

        default:
            return 1;
        }
    }

    ngx_http_lua_nffi_read_on(&p->keeper.read);

    return 1;
}


static void
ngx_http_lua_nffi_keeper_handler(ngx_event_t *ev)
{
    ngx_connection_t  *c = ev->data;

    (void) ngx_http_lua_nffi_read_keeper(
               ((ngx_http_lua_nffi_channel_t *) c)->process);
}


static void
ngx_http_lua_nffi_control_handler(ngx_event_t *ev)
{
    ngx_uint_t                    n;
    ngx_connection_t             *c = ev->data;
    nffi_process_message_t        message;
    ngx_http_lua_nffi_process_t  *p;

    p = ((ngx_http_lua_nffi_channel_t *) c)->process;

    /* the keeper first: it reports the pid, and both sockets may have become
       readable in this turn */

    if (!ngx_http_lua_nffi_read_keeper(p)) {
        return;
    }

    for (n = 0; n < NGX_HTTP_LUA_NFFI_EVENTS; n++) {

        switch (nffi_host_process_event(p->instance->host, &message)) {

        case NFFI_PROCESS_READY:
            ngx_http_lua_nffi_process_ready(p);
            break;

        case NFFI_PROCESS_FAILED:
            ngx_http_lua_nffi_fail(&p->reason, "load_failed", "%*s",
                                   message.size, message.text);
            break;

        case NFFI_PROCESS_ABI_MISMATCH:
            ngx_http_lua_nffi_fail(&p->reason, "abi_mismatch",
                                   "its libnffi has queue ABI %uD, this "
                                   "nginx has %uD", message.abi,
                                   message.host_abi);
            break;

        case NFFI_PROCESS_GONE:
            ngx_http_lua_nffi_process_gone(p);
            return;

        default:
            return;
        }
    }

    ngx_http_lua_nffi_read_on(ev);
}


/* A message of the process was read while a response was collected, so that the
   event of its socket is used up. */

void
ngx_http_lua_nffi_process_message(void *data)
{
    ngx_http_lua_nffi_process_t  *p = data;

    if (p->control.connection.fd != (ngx_socket_t) -1) {
        ngx_http_lua_nffi_read_on(&p->control.read);
    }
}
