/*
 * ngx_http_lua_nffi_connection.c - the attached glue: the connection of a
 * request, for ngx_http_lua_nffi_client.h and ngx_http_lua_nffi_coroutine.h.
 */

#include "ngx_http_lua_nffi_client.h"
#include "ngx_http_lua_nffi_coroutine.h"
#include "ngx_http_lua_nffi_layout.h"
#include "ngx_http_lua_nffi_request.h"
#include "ngx_http_lua_nffi_slot.h"

#include <poll.h>


/* the request exists while its coroutine is watched, or its end is awaited */

ngx_log_t *
ngx_http_lua_nffi_request_log(ngx_http_lua_nffi_waiter_t *waiter)
{
    ngx_connection_t          *c;
    ngx_http_log_ctx_t        *log_ctx;
    ngx_http_lua_nffi_slot_t  *slot;

    slot = (ngx_http_lua_nffi_slot_t *) waiter->coctx;

    if (slot && slot->watch.coctx == NULL) {
        return NULL;
    }

    c = ngx_http_lua_nffi_connection_of(waiter->request);

    if (c->fd != (ngx_socket_t) -1
        && !ngx_http_lua_nffi_is_stream(waiter->request))
    {
        log_ctx = c->log->data;
        log_ctx->current_request = waiter->request;
    }

    return c->log;
}


ngx_uint_t
ngx_http_lua_nffi_has_client(ngx_http_request_t *r)
{
    return ngx_http_lua_nffi_connection_of(r)->fd != (ngx_socket_t) -1
           && !ngx_http_lua_nffi_request_has_eof(r);
}


/* no exported function shows whether a coroutine is in ngx.flush(), but the
   write handler may be called at any time, as nginx does */

void
ngx_http_lua_nffi_wake_flush(ngx_http_request_t *r)
{
    ngx_connection_t  *c = ngx_http_lua_nffi_connection_of(r);

    if (!ngx_http_lua_nffi_is_stream(r)
        && ngx_http_lua_nffi_is_broken_connection(c))
    {
        c->write->ready = 1;
        ngx_post_event(c->write, &ngx_posted_events);
    }
}


ngx_uint_t
ngx_http_lua_nffi_client_is_gone(ngx_http_request_t *r, ngx_uint_t ask)
{
    struct pollfd      pfd;
    ngx_connection_t  *c = ngx_http_lua_nffi_connection_of(r);

    if (!ngx_http_lua_nffi_has_client(r)) {
        return 0;
    }

    if (ngx_http_lua_nffi_is_broken_connection(c)
        || c->read->error || c->write->error)
    {
        return 1;
    }

    if (!ask || ngx_http_lua_nffi_is_quic(c)) {
        return 0;
    }

    pfd.fd = c->fd;
    pfd.events = 0;
    pfd.revents = 0;

    if (poll(&pfd, 1, 0) != 1 || !(pfd.revents & (POLLERR|POLLHUP))) {
        return 0;
    }

    ngx_http_lua_nffi_break_connection(c);

    return 1;
}
