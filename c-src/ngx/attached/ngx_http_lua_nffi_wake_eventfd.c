/*
 * ngx_http_lua_nffi_wake_eventfd.c - the attached glue: wakes the event loop by
 * an eventfd. It is edge-triggered: each write is an event, so the counter is
 * never read.
 */

#include "ngx_http_lua_nffi_wake.h"
#include "ngx_http_lua_nffi_channel.h"

#include <sys/eventfd.h>


struct ngx_http_lua_nffi_wake_s {
    ngx_http_lua_nffi_channel_t    channel;  /* first: events point to it */
    ngx_http_lua_nffi_wake_pt      handler;
    void                          *data;
};


static void
ngx_http_lua_nffi_wake_handler(ngx_event_t *ev)
{
    ngx_connection_t          *c = ev->data;
    ngx_http_lua_nffi_wake_t  *wake;

    wake = (ngx_http_lua_nffi_wake_t *) (ngx_http_lua_nffi_channel_t *) c;
    wake->handler(wake->data);
}


ngx_http_lua_nffi_wake_t *
ngx_http_lua_nffi_wake_create(ngx_http_lua_nffi_wake_pt handler, void *data)
{
    int                        fd;
    ngx_http_lua_nffi_wake_t  *wake;

    wake = ngx_calloc(sizeof(ngx_http_lua_nffi_wake_t), ngx_cycle->log);
    if (wake == NULL) {
        return NULL;
    }

    fd = eventfd(0, EFD_CLOEXEC|EFD_NONBLOCK);

    if (fd == -1) {
        ngx_log_error(NGX_LOG_CRIT, ngx_cycle->log, ngx_errno,
                      "nffi: eventfd() failed");
        ngx_free(wake);
        return NULL;
    }

    wake->handler = handler;
    wake->data = data;
    ngx_http_lua_nffi_channel_init(NULL, &wake->channel, fd,
                                   ngx_http_lua_nffi_wake_handler);

    if (ngx_add_event(&wake->channel.read, NGX_READ_EVENT, NGX_CLEAR_EVENT)
        != NGX_OK)
    {
        (void) close(fd);
        ngx_free(wake);
        return NULL;
    }

    return wake;
}


void
ngx_http_lua_nffi_wake_post(ngx_http_lua_nffi_wake_t *wake)
{
    ssize_t   n;
    uint64_t  one = 1;

    /* EAGAIN: the counter is full, so an earlier write wakes the loop */

    do {
        n = write(wake->channel.connection.fd, &one, sizeof(one));
    } while (n == -1 && errno == EINTR);
}


ngx_uint_t
ngx_http_lua_nffi_wake_is_queued(ngx_http_lua_nffi_wake_t *wake)
{
    (void) wake;

    return 0;
}


void
ngx_http_lua_nffi_wake_destroy(ngx_http_lua_nffi_wake_t *wake)
{
    ngx_http_lua_nffi_channel_close(&wake->channel, 1);
    ngx_free(wake);
}


ngx_uint_t
ngx_http_lua_nffi_wake_is_possible(void)
{
    return 1;
}
