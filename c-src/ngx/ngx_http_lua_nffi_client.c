/*
 * ngx_http_lua_nffi_client.c - the glue: checks whether the client of a request
 * has disconnected, and finds the log of the request.
 */

#ifndef DDEBUG
#define DDEBUG 0
#endif
#include "ddebug.h"


#include "ngx_http_lua_nffi_client.h"
#include "ngx_http_lua_nffi_coroutine.h"

#include <poll.h>


ngx_uint_t
ngx_http_lua_nffi_client_is_gone(ngx_http_request_t *r, ngx_uint_t ask)
{
    struct pollfd      pfd;
    ngx_connection_t  *c = r->connection;

    if (!ngx_http_lua_nffi_has_client(r)) {
        return 0;
    }

    if (c->error || c->timedout || c->read->error || c->write->error) {
        return 1;
    }

    /* HTTP/2 and HTTP/3 streams share a socket that nginx always reads */

#if (NGX_HTTP_V2)
    if (r->stream) {
        return 0;
    }
#endif

#if (NGX_HTTP_V3)
    if (c->quic) {
        return 0;
    }
#endif

    if (!ask) {
        return 0;
    }

    /* POLLHUP: both directions are closed, by a reset unless nginx closed
       them */

    pfd.fd = c->fd;
    pfd.events = 0;
    pfd.revents = 0;

    if (poll(&pfd, 1, 0) != 1 || !(pfd.revents & (POLLERR|POLLHUP))) {
        return 0;
    }

    c->error = 1;

    return 1;
}


ngx_log_t *
ngx_http_lua_nffi_request_log(ngx_http_lua_nffi_waiter_t *waiter)
{
    ngx_connection_t    *c = waiter->request->connection;
    ngx_http_log_ctx_t  *log_ctx;

    if (c->fd != (ngx_socket_t) -1) {    /* not a fake connection */
        log_ctx = c->log->data;
        log_ctx->current_request = waiter->request;
    }

    return c->log;
}
