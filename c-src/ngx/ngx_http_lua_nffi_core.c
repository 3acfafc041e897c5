/*
 * ngx_http_lua_nffi_core.c - the glue: fields of the core that it is compiled
 * with.
 */

#ifndef DDEBUG
#define DDEBUG 0
#endif
#include "ddebug.h"


#include "ngx_http_lua_nffi_core.h"


static ngx_core_conf_t *
ngx_http_lua_nffi_core_conf(void)
{
    return (ngx_core_conf_t *) ngx_get_conf(ngx_cycle->conf_ctx,
                                            ngx_core_module);
}


void
ngx_http_lua_nffi_set_cancelable(ngx_event_t *ev, ngx_uint_t cancelable)
{
    ev->cancelable = cancelable;
}


ngx_msec_t
ngx_http_lua_nffi_shutdown_timeout(void)
{
    return ngx_http_lua_nffi_core_conf()->shutdown_timeout;
}


const char *
ngx_http_lua_nffi_configured_user(ngx_uid_t uid)
{
    ngx_core_conf_t  *ccf = ngx_http_lua_nffi_core_conf();

    return ccf->username && (ngx_uid_t) ccf->user == uid ? ccf->username
                                                         : NULL;
}


ngx_uint_t
ngx_http_lua_nffi_is_privileged_agent(void)
{
#ifdef HAVE_PRIVILEGED_PROCESS_PATCH
    return ngx_process == NGX_PROCESS_HELPER && ngx_is_privileged_agent;
#else
    return 0;
#endif
}
