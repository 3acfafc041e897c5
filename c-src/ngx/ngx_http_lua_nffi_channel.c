/*
 * ngx_http_lua_nffi_channel.c - the glue: descriptors that the event loop
 * watches. They have connection structures that are not from nginx's pool:
 * connections of the pool would use up slots, be closed by the shutdown handler
 * and be reported as open sockets at exit.
 *
 * Everything runs in the event loop.
 */

#ifndef DDEBUG
#define DDEBUG 0
#endif
#include "ddebug.h"


#include "ngx_http_lua_nffi_channel.h"
#include "ngx_http_lua_nffi_output.h"
#include "ngx_http_lua_nffi_process.h"


void
ngx_http_lua_nffi_channel_init(ngx_http_lua_nffi_process_t *p,
    ngx_http_lua_nffi_channel_t *ch, int fd, ngx_event_handler_pt handler)
{
    /* pending events of an earlier descriptor have the other value */
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


void
ngx_http_lua_nffi_channel_close(ngx_http_lua_nffi_channel_t *ch,
    ngx_uint_t close_fd)
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

    /* a pending event of this batch finds -1 and is ignored */
    ch->connection.fd = (ngx_socket_t) -1;

    if (close_fd) {
        (void) close(fd);
    }
}


void
ngx_http_lua_nffi_channels_close(ngx_http_lua_nffi_process_t *p)
{
    ngx_http_lua_nffi_channel_close(&p->keeper, 0);
    ngx_http_lua_nffi_channel_close(&p->control, 0);
    ngx_http_lua_nffi_channel_close(&p->done, 0);
    ngx_http_lua_nffi_channel_close(&p->out.channel, 1);
    ngx_http_lua_nffi_channel_close(&p->err.channel, 1);
}


/* Logs the last output of a process that has died. */

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
