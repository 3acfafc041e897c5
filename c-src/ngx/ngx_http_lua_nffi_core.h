/*
 * ngx_http_lua_nffi_core.h - what is at different places in nginx's core and
 * in OpenResty's. A built glue knows its core when it is compiled (_core.c),
 * an attached one asks the running nginx (attached/).
 *
 * thread: event loop; blocks: no
 */

#ifndef _NGX_HTTP_LUA_NFFI_CORE_H_INCLUDED_
#define _NGX_HTTP_LUA_NFFI_CORE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>


/* Sets whether a worker that shuts down waits for the timer: 1, it does not. */
void ngx_http_lua_nffi_set_cancelable(ngx_event_t *ev, ngx_uint_t cancelable);

/* Returns worker_shutdown_timeout in milliseconds; 0: there is none. */
ngx_msec_t ngx_http_lua_nffi_shutdown_timeout(void);

/* Returns the user name of `uid` in the directive `user`, or NULL. */
const char *ngx_http_lua_nffi_configured_user(ngx_uid_t uid);

/* Returns 1 in OpenResty's privileged agent, whose event loop is a worker's. */
ngx_uint_t ngx_http_lua_nffi_is_privileged_agent(void);


#endif /* _NGX_HTTP_LUA_NFFI_CORE_H_INCLUDED_ */
