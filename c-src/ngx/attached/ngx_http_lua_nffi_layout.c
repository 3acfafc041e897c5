/*
 * ngx_http_lua_nffi_layout.c - the attached glue: finds where the running nginx
 * has the fields that differ between releases and between nginx's core and
 * OpenResty's, and reads them there.
 */

#include "ngx_http_lua_nffi_layout.h"
#include "ngx_http_lua_nffi_core.h"
#include "ngx_http_lua_nffi_error.h"

#include <dlfcn.h>


/* bits of the word behind ngx_event_t.data */
#define NGX_HTTP_LUA_NFFI_CANCELABLE             19
#define NGX_HTTP_LUA_NFFI_OPENRESTY_CANCELABLE   20

/* bytes that OpenResty has after ngx_core_conf_t.master */
#define NGX_HTTP_LUA_NFFI_AGENT                  16

/* ngx_connection_t: `quic`, or what follows where there is none; and the word
   of flags where there is neither `quic` nor `ssl` */
#define NGX_HTTP_LUA_NFFI_QUIC                   144
#define NGX_HTTP_LUA_NFFI_FLAGS                  216
#define NGX_HTTP_LUA_NFFI_TIMEDOUT               (1u << 11)
#define NGX_HTTP_LUA_NFFI_ERROR                  (1u << 12)

/* characters of a module's signature, counted from the last comma */
#define NGX_HTTP_LUA_NFFI_SIGNATURE_QUIC         18
#define NGX_HTTP_LUA_NFFI_SIGNATURE_COMPAT       34


/* ngx_core_conf_t from `timer_resolution` to `group` */

typedef struct {
    ngx_msec_t                     timer_resolution;
    ngx_msec_t                     shutdown_timeout;
    ngx_int_t                      worker_processes;
    ngx_int_t                      debug_points;
    ngx_int_t                      rlimit_nofile;
    off_t                          rlimit_core;
    int                            priority;
    ngx_uint_t                     cpu_affinity_auto;
    ngx_uint_t                     cpu_affinity_n;
    void                          *cpu_affinity;
    char                          *username;
    ngx_uid_t                      user;
    ngx_gid_t                      group;
} ngx_http_lua_nffi_core_conf_t;


/* of the running nginx; constant for the life of a process */

static struct {
    ngx_uint_t                     known;
    ngx_uint_t                    *is_agent;   /* NULL: nginx's own core */
    uint32_t                       cancelable;
    ngx_uint_t                     has_quic;
    size_t                         flags;      /* of a connection */
} ngx_http_lua_nffi_layout;


static void
ngx_http_lua_nffi_find_layout(void)
{
    ngx_uint_t   compat, has_ssl;
    const char  *signature;

    if (ngx_http_lua_nffi_layout.known) {
        return;
    }

    signature = strrchr(ngx_core_module.signature, ',');
    compat = signature[NGX_HTTP_LUA_NFFI_SIGNATURE_COMPAT] == '1';
    has_ssl = compat || dlsym(RTLD_DEFAULT, "ngx_ssl_handshake");

    ngx_http_lua_nffi_layout.is_agent = dlsym(RTLD_DEFAULT,
                                              "ngx_is_privileged_agent");
    ngx_http_lua_nffi_layout.cancelable =
        1u << (ngx_http_lua_nffi_layout.is_agent
               ? NGX_HTTP_LUA_NFFI_OPENRESTY_CANCELABLE
               : NGX_HTTP_LUA_NFFI_CANCELABLE);

    /* before 1.25 this character had no meaning */

    ngx_http_lua_nffi_layout.has_quic =
        ngx_core_module.version >= 1025000
        && signature[NGX_HTTP_LUA_NFFI_SIGNATURE_QUIC] == '1';
    ngx_http_lua_nffi_layout.flags = NGX_HTTP_LUA_NFFI_FLAGS
        + (has_ssl ? sizeof(void *) : 0)
        + (ngx_http_lua_nffi_layout.has_quic ? sizeof(void *) : 0);
    ngx_http_lua_nffi_layout.known = 1;
}


ngx_uint_t
ngx_http_lua_nffi_is_openresty(void)
{
    ngx_http_lua_nffi_find_layout();

    return ngx_http_lua_nffi_layout.is_agent != NULL;
}


/* the first field of a request of ngx_stream_lua, the second of http's */

ngx_connection_t *
ngx_http_lua_nffi_connection_of(ngx_http_request_t *r)
{
    ngx_connection_t  **at = ngx_http_lua_nffi_untagged(r);

    return ngx_http_lua_nffi_is_stream(r) ? at[0] : at[1];
}


/* the third field of a request of http */

void *
ngx_http_lua_nffi_module_ctx(ngx_http_request_t *r, const ngx_module_t *module)
{
    void  ***at = (void ***) r;

    return at[2][module->ctx_index];
}


void
ngx_http_lua_nffi_set_cancelable(ngx_event_t *ev, ngx_uint_t cancelable)
{
    uint32_t  *bits = (uint32_t *) ((u_char *) ev + sizeof(ev->data));

    ngx_http_lua_nffi_find_layout();

    if (cancelable) {
        *bits |= ngx_http_lua_nffi_layout.cancelable;

    } else {
        *bits &= ~ngx_http_lua_nffi_layout.cancelable;
    }
}


static ngx_http_lua_nffi_core_conf_t *
ngx_http_lua_nffi_core_conf(void)
{
    u_char  *ccf;

    ccf = (u_char *) ngx_get_conf(ngx_cycle->conf_ctx, ngx_core_module);

    return (ngx_http_lua_nffi_core_conf_t *)
               (ccf + 2 * sizeof(ngx_flag_t)
                + (ngx_http_lua_nffi_is_openresty() ? NGX_HTTP_LUA_NFFI_AGENT
                                                    : 0));
}


ngx_msec_t
ngx_http_lua_nffi_shutdown_timeout(void)
{
    return ngx_http_lua_nffi_core_conf()->shutdown_timeout;
}


const char *
ngx_http_lua_nffi_configured_user(ngx_uid_t uid)
{
    ngx_http_lua_nffi_core_conf_t  *ccf = ngx_http_lua_nffi_core_conf();

    return ccf->username && ccf->user == uid ? ccf->username : NULL;
}


ngx_uint_t
ngx_http_lua_nffi_is_privileged_agent(void)
{
    return ngx_http_lua_nffi_is_openresty()
           && ngx_process == NGX_PROCESS_HELPER
           && *ngx_http_lua_nffi_layout.is_agent;
}


static uint32_t *
ngx_http_lua_nffi_connection_flags(ngx_connection_t *c)
{
    ngx_http_lua_nffi_find_layout();

    return (uint32_t *) ((u_char *) c + ngx_http_lua_nffi_layout.flags);
}


ngx_uint_t
ngx_http_lua_nffi_is_broken_connection(ngx_connection_t *c)
{
    return (*ngx_http_lua_nffi_connection_flags(c)
            & (NGX_HTTP_LUA_NFFI_TIMEDOUT|NGX_HTTP_LUA_NFFI_ERROR)) != 0;
}


void
ngx_http_lua_nffi_break_connection(ngx_connection_t *c)
{
    *ngx_http_lua_nffi_connection_flags(c) |= NGX_HTTP_LUA_NFFI_ERROR;
}


ngx_uint_t
ngx_http_lua_nffi_is_quic(ngx_connection_t *c)
{
    ngx_http_lua_nffi_find_layout();

    return ngx_http_lua_nffi_layout.has_quic
           && *(void **) ((u_char *) c + NGX_HTTP_LUA_NFFI_QUIC) != NULL;
}


void **
ngx_http_lua_nffi_tls_of(ngx_connection_t *c)
{
    size_t  at = NGX_HTTP_LUA_NFFI_QUIC;

    ngx_http_lua_nffi_find_layout();

    if (ngx_http_lua_nffi_layout.has_quic) {
        at += sizeof(void *);
    }

    return *(void ***) ((u_char *) c + at);
}


/* nginx must ignore a timer that is marked cancelable, and wait for others */

static ngx_int_t
ngx_http_lua_nffi_check_timer(ngx_uint_t cancelable, ngx_int_t expected)
{
    ngx_int_t     rc;
    ngx_event_t   ev;
    ngx_rbtree_t  timers = ngx_event_timer_rbtree;

    static ngx_rbtree_node_t  sentinel;

    ngx_memzero(&ev, sizeof(ev));
    ev.log = ngx_cycle->log;
    ngx_http_lua_nffi_set_cancelable(&ev, cancelable);

    /* no event is handled before the tree of nginx is restored below */

    ngx_rbtree_init(&ngx_event_timer_rbtree, &sentinel,
                    ngx_rbtree_insert_timer_value);
    ngx_add_timer(&ev, 60000);
    rc = ngx_event_no_timers_left();
    ngx_del_timer(&ev);
    ngx_event_timer_rbtree = timers;

    return rc == expected && !ev.timer_set ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
ngx_http_lua_nffi_check_connections(void)
{
    ngx_uint_t         i;
    ngx_connection_t  *c;

    if (ngx_cycle->connections == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < ngx_cycle->connection_n; i++) {
        c = ngx_cycle->read_events[i].data;

        /* it listens or serves; the others have no connection yet */

        if (c) {
            return c->read == &ngx_cycle->read_events[i]
                   && c->write == &ngx_cycle->write_events[i]
                   ? NGX_OK : NGX_ERROR;
        }
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_lua_nffi_check_layout(ngx_uint_t workers,
    ngx_http_lua_nffi_error_t *err)
{
    const char                     *what = NULL;
    ngx_http_lua_nffi_core_conf_t  *ccf;

    ccf = ngx_http_lua_nffi_core_conf();

    if (sizeof(void *) != 8) {
        what = "the width of a pointer";

    } else if (ngx_http_lua_nffi_check_timer(1, NGX_OK) != NGX_OK
               || ngx_http_lua_nffi_check_timer(0, NGX_AGAIN) != NGX_OK)
    {
        what = "ngx_event_t.cancelable";

    } else if (ngx_http_lua_nffi_check_connections() != NGX_OK) {
        what = "ngx_cycle_t or ngx_connection_t";

    } else if (workers && (ngx_uint_t) ccf->worker_processes != workers) {
        what = "ngx_core_conf_t";
    }

    if (what == NULL) {
        return NGX_OK;
    }

    return ngx_http_lua_nffi_fail(err, "unsupported_nginx", "this nginx has "
                                  "%s at another place than nginx 1.21.4 to "
                                  "1.29.2", what);
}
