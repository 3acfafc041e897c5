/*
 * ngx_http_lua_nonblocking_ffi_channel.c - the glue: the descriptors of a
 * runtime's process in the event loop: its control socket, its done list and
 * its two pipes.
 *
 * All of it runs in the event loop. The descriptors are watched by connection
 * structures of our own: ones of nginx's pool would cost slots, be closed by
 * the shutdown handler and be reported as open sockets at exit.
 */

#ifndef DDEBUG
#define DDEBUG 0
#endif
#include "ddebug.h"


#include "ngx_http_lua_nonblocking_ffi_process.h"


static void ngx_http_lua_nffi_control_handler(ngx_event_t *ev);
static void ngx_http_lua_nffi_done_handler(ngx_event_t *ev);
static void ngx_http_lua_nffi_pipe_handler(ngx_event_t *ev);


static void
ngx_http_lua_nffi_channel_init(ngx_http_lua_nffi_process_t *p,
    ngx_http_lua_nffi_channel_t *ch, int fd, ngx_event_handler_pt handler)
{
    /* events of an earlier descriptor that are still in flight differ */
    ngx_uint_t  instance = !ch->read.instance;

    ngx_memzero(&ch->connection, sizeof(ngx_connection_t));
    ngx_memzero(&ch->read, sizeof(ngx_event_t));
    ngx_memzero(&ch->write, sizeof(ngx_event_t));

    ch->process = p;
    ch->connection.fd = fd;
    ch->connection.read = &ch->read;
    ch->connection.write = &ch->write;
    ch->connection.log = ngx_cycle->log;

    ch->read.data = &ch->connection;
    ch->read.handler = handler;
    ch->read.log = ngx_cycle->log;
    ch->read.instance = instance;

    ch->write.data = &ch->connection;
    ch->write.write = 1;
    ch->write.log = ngx_cycle->log;
    ch->write.instance = instance;
}


/* all four are made before the first is watched: each can be released then */

ngx_int_t
ngx_http_lua_nffi_channels_open(ngx_http_lua_nffi_process_t *p)
{
    ngx_uint_t                    i;
    ngx_http_lua_nffi_channel_t  *channels[] = {
        &p->control, &p->done, &p->out.channel, &p->err.channel
    };

    ngx_http_lua_nffi_channel_init(p, &p->control, p->child.control_fd,
                                   ngx_http_lua_nffi_control_handler);
    ngx_http_lua_nffi_channel_init(p, &p->done, p->child.done_fd,
                                   ngx_http_lua_nffi_done_handler);
    ngx_http_lua_nffi_channel_init(p, &p->out.channel, p->child.stdout_fd,
                                   ngx_http_lua_nffi_pipe_handler);
    ngx_http_lua_nffi_channel_init(p, &p->err.channel, p->child.stderr_fd,
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


static void
ngx_http_lua_nffi_unwatch(ngx_http_lua_nffi_channel_t *ch, ngx_uint_t close_fd)
{
    ngx_socket_t  fd = ch->connection.fd;

    if (fd == (ngx_socket_t) -1) {
        return;
    }

    if (ch->read.active) {
        (void) ngx_del_event(&ch->read, NGX_READ_EVENT, 0);
    }

    if (ch->read.posted) {
        ngx_delete_posted_event(&ch->read);
    }

    /* an event in the batch at hand finds -1 and is dropped */
    ch->connection.fd = (ngx_socket_t) -1;

    if (close_fd) {
        (void) close(fd);
    }
}


void
ngx_http_lua_nffi_channels_close(ngx_http_lua_nffi_process_t *p)
{
    ngx_http_lua_nffi_unwatch(&p->control, 0);
    ngx_http_lua_nffi_unwatch(&p->done, 0);
    ngx_http_lua_nffi_unwatch(&p->out.channel, 1);
    ngx_http_lua_nffi_unwatch(&p->err.channel, 1);
}


/* what a process said before it died */

void
ngx_http_lua_nffi_read_last_output(ngx_http_lua_nffi_process_t *p)
{
    (void) ngx_http_lua_nffi_read_output(&p->out.output,
                                         p->out.channel.connection.fd,
                                         NGX_HTTP_LUA_NFFI_READS);
    (void) ngx_http_lua_nffi_read_output(&p->err.output,
                                         p->err.channel.connection.fd,
                                         NGX_HTTP_LUA_NFFI_READS);
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
        ngx_http_lua_nffi_unwatch(&pipe->channel, 1);

    } else if (rc == NGX_AGAIN && !ev->posted) {
        ngx_post_event(ev, &ngx_posted_next_events);
    }
}


static void
ngx_http_lua_nffi_done_handler(ngx_event_t *ev)
{
    ngx_connection_t             *c = ev->data;
    ngx_http_lua_nffi_channel_t  *ch;

    /* edge-triggered: the counter is not read */

    ch = (ngx_http_lua_nffi_channel_t *) c;
    ngx_http_lua_nffi_drain(ch->process->instance, NGX_HTTP_LUA_NFFI_TURN);
}


static void
ngx_http_lua_nffi_control_handler(ngx_event_t *ev)
{
    int                           event;
    ngx_connection_t             *c = ev->data;
    nffi_child_message_t          message;
    ngx_http_lua_nffi_process_t  *p;

    p = ((ngx_http_lua_nffi_channel_t *) c)->process;

    for ( ;; ) {
        event = nffi_host_child_event(p->instance->host, &message);

        switch (event) {

        case NFFI_CHILD_READY:
            ngx_http_lua_nffi_process_ready(p);
            break;

        case NFFI_CHILD_FAILED:
            ngx_http_lua_nffi_fail(&p->reason, "load_failed", "%*s",
                                   message.size, message.text);
            break;

        case NFFI_CHILD_ABI_MISMATCH:
            ngx_http_lua_nffi_fail(&p->reason, "abi_mismatch",
                                   "its libnffi has queue ABI %uD, this "
                                   "nginx has %uD", message.abi,
                                   message.host_abi);
            break;

        case NFFI_CHILD_GONE:
            ngx_http_lua_nffi_process_died(p);
            return;

        default:
            return;
        }
    }
}
