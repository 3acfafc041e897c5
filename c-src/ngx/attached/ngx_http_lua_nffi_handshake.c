/*
 * ngx_http_lua_nffi_handshake.c - the attached glue: ngx_lua allows a yield in
 * the phases of a TLS handshake, but an nginx without OpenResty's patches does
 * not wait there: it ends the handshake. No symbol or version shows that, so
 * the first call in such a phase tries a handshake over a pair of sockets,
 * without a certificate.
 */

#include "ngx_http_lua_nffi_handshake.h"
#include "ngx_http_lua_nffi_error.h"
#include "ngx_http_lua_nffi_layout.h"

#include <dlfcn.h>
#include <sys/socket.h>


/* of ngx_lua and lua-resty-core, which share these numbers */
#define NGX_HTTP_LUA_NFFI_SSL_CERT             0x0400
#define NGX_HTTP_LUA_NFFI_SSL_SESS_FETCH       0x1000
#define NGX_HTTP_LUA_NFFI_SSL_CLIENT_HELLO     0x4000

/* larger than these structures in any nginx */
#define NGX_HTTP_LUA_NFFI_ROOM                 512


/* looked up by name: an nginx without TLS lacks them */

typedef struct {
    const void   *(*method)(void);
    void         *(*ctx_new)(const void *method);
    void          (*ctx_free)(void *ctx);
    void          (*set_cert_cb)(void *ctx, int (*cb)(void *, void *),
                                 void *data);
    void          (*set_hello_cb)(void *ctx, int (*cb)(void *, int *, void *),
                                  void *data);
    void         *(*ssl_new)(void *ctx);
    void          (*ssl_free)(void *ssl);
    int           (*set_fd)(void *ssl, int fd);
    int           (*connect)(void *ssl);
    void          (*clear_errors)(void);
    ngx_int_t     (*create_connection)(void *ssl, ngx_connection_t *c,
                                       ngx_uint_t flags);
    ngx_int_t     (*handshake)(ngx_connection_t *c);
} ngx_http_lua_nffi_tls_t;


/* a connection of nginx that is in no list of nginx */

typedef union {
    ngx_connection_t    connection;
    u_char              room[NGX_HTTP_LUA_NFFI_ROOM];
} ngx_http_lua_nffi_trial_t;


static int
ngx_http_lua_nffi_pending_cert(void *ssl, void *data)
{
    (void) ssl;
    (void) data;

    return -1;
}


static int
ngx_http_lua_nffi_pending_hello(void *ssl, int *alert, void *data)
{
    (void) ssl;
    (void) alert;
    (void) data;

    return -1;
}


static ngx_uint_t
ngx_http_lua_nffi_find_tls(ngx_http_lua_nffi_tls_t *tls)
{
    size_t   i;
    void   **functions = (void **) tls;

    static const char  *names[] = {
        "TLS_method", "SSL_CTX_new", "SSL_CTX_free", "SSL_CTX_set_cert_cb",
        "SSL_CTX_set_client_hello_cb", "SSL_new", "SSL_free", "SSL_set_fd",
        "SSL_connect", "ERR_clear_error", "ngx_ssl_create_connection",
        "ngx_ssl_handshake"
    };

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        functions[i] = dlsym(RTLD_DEFAULT, names[i]);

        if (functions[i] == NULL) {
            return 0;
        }
    }

    return 1;
}


/* Returns 1 if nginx waits while its callback is pending. */

static ngx_uint_t
ngx_http_lua_nffi_server_waits(ngx_http_lua_nffi_tls_t *tls, void *ctx,
    ngx_socket_t fd, ngx_pool_t *pool)
{
    void                       *settings[NGX_HTTP_LUA_NFFI_ROOM];
    void                      **own;
    ngx_int_t                   rc;
    ngx_log_t                   log;
    ngx_event_t                 events[2];
    ngx_connection_t           *c;
    ngx_http_lua_nffi_trial_t   trial;

    ngx_memzero(&log, sizeof(log));       /* no level: it logs nothing */
    ngx_memzero(settings, sizeof(settings));
    ngx_memzero(events, sizeof(events));
    ngx_memzero(&trial, sizeof(trial));

    /* the first fields of ngx_ssl_t */
    settings[0] = ctx;
    settings[1] = &log;

    c = &trial.connection;
    c->fd = fd;
    c->log = &log;
    c->pool = pool;
    c->read = &events[0];
    c->write = &events[1];
    events[0].data = c;
    events[0].log = &log;
    events[1].data = c;
    events[1].log = &log;
    events[1].write = 1;

    if (tls->create_connection(settings, c, 0) != NGX_OK) {
        return 0;
    }

    rc = tls->handshake(c);

    if (events[0].active) {
        (void) ngx_del_event(&events[0], NGX_READ_EVENT, 0);
    }

    if (events[1].active) {
        (void) ngx_del_event(&events[1], NGX_WRITE_EVENT, 0);
    }

    own = ngx_http_lua_nffi_tls_of(c);

    if (own && own[0]) {
        tls->ssl_free(own[0]);
    }

    return rc == NGX_AGAIN;
}


static ngx_uint_t
ngx_http_lua_nffi_try_handshake(ngx_uint_t is_hello)
{
    int                       fds[2];
    void                     *server, *client, *hello;
    ngx_uint_t                waits;
    ngx_pool_t               *pool;
    ngx_http_lua_nffi_tls_t   tls;

    if (!ngx_http_lua_nffi_find_tls(&tls)
        || socketpair(AF_UNIX, SOCK_STREAM|SOCK_NONBLOCK|SOCK_CLOEXEC, 0, fds)
           == -1)
    {
        return 0;
    }

    waits = 0;
    hello = NULL;
    pool = ngx_create_pool(NGX_DEFAULT_POOL_SIZE, ngx_cycle->log);
    client = tls.ctx_new(tls.method());
    server = tls.ctx_new(tls.method());

    if (pool && client && server) {
        hello = tls.ssl_new(client);
    }

    if (hello && tls.set_fd(hello, fds[1]) == 1) {

        if (is_hello) {
            tls.set_hello_cb(server, ngx_http_lua_nffi_pending_hello, NULL);

        } else {
            tls.set_cert_cb(server, ngx_http_lua_nffi_pending_cert, NULL);
        }

        (void) tls.connect(hello);    /* sends; there is no response to read */
        waits = ngx_http_lua_nffi_server_waits(&tls, server, fds[0], pool);
    }

    if (hello) {
        tls.ssl_free(hello);
    }

    if (client) {
        tls.ctx_free(client);
    }

    if (server) {
        tls.ctx_free(server);
    }

    if (pool) {
        ngx_destroy_pool(pool);
    }

    tls.clear_errors();
    (void) close(fds[0]);
    (void) close(fds[1]);

    return waits;
}


int
ngx_http_lua_nonblocking_ffi_waits_in_handshake(uint32_t is_hello)
{
    static ngx_uint_t  known[2], waits[2];

    if (!known[is_hello]) {
        waits[is_hello] = ngx_http_lua_nffi_try_handshake(is_hello);
        known[is_hello] = 1;
    }

    return waits[is_hello];
}


/* OpenSSL waits for a session only with a patch of OpenResty */

static ngx_uint_t
ngx_http_lua_nffi_waits_for_session(void)
{
    return ngx_http_lua_nffi_is_openresty()
           && dlsym(RTLD_DEFAULT, "SSL_magic_pending_session_ptr") != NULL;
}


ngx_int_t
ngx_http_lua_nffi_check_handshake(ngx_http_request_t *r,
    const ngx_http_lua_nffi_subsystem_t *subsystem,
    ngx_http_lua_nffi_error_t *err)
{
    char        *reason;
    ngx_uint_t   waits;
    const char  *name;

    /* stream {} has no such function: Lua asks before it calls */

    if (ngx_http_lua_nffi_is_stream(r) || subsystem->get_phase == NULL) {
        return NGX_OK;
    }

    switch (subsystem->get_phase(r, &reason)) {

    case NGX_HTTP_LUA_NFFI_SSL_CERT:
        waits = ngx_http_lua_nonblocking_ffi_waits_in_handshake(0);
        name = "ssl_certificate_by_lua*";
        break;

    case NGX_HTTP_LUA_NFFI_SSL_CLIENT_HELLO:
        waits = ngx_http_lua_nonblocking_ffi_waits_in_handshake(1);
        name = "ssl_client_hello_by_lua*";
        break;

    case NGX_HTTP_LUA_NFFI_SSL_SESS_FETCH:
        waits = ngx_http_lua_nffi_waits_for_session();
        name = "ssl_session_fetch_by_lua*";
        break;

    default:
        return NGX_OK;
    }

    if (waits) {
        return NGX_OK;
    }

    return ngx_http_lua_nffi_fail(err, "wrong_phase", "API disabled in the "
                                  "context of %s: this nginx lacks "
                                  "OpenResty's patch with which its TLS "
                                  "handshake can wait there", name);
}
