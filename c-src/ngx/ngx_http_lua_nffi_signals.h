/*
 * ngx_http_lua_nffi_signals.h - keeps the signals of nginx out of the threads
 * of libraries.
 */

#ifndef _NGX_HTTP_LUA_NFFI_SIGNALS_H_INCLUDED_
#define _NGX_HTTP_LUA_NFFI_SIGNALS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include <signal.h>


/* the handlers that are restored after a library has started */

#define NGX_HTTP_LUA_NFFI_NSIGNALS     12

typedef struct {
    struct sigaction              handlers[NGX_HTTP_LUA_NFFI_NSIGNALS];
} ngx_http_lua_nffi_shield_t;


void ngx_http_lua_nffi_shield(ngx_http_lua_nffi_shield_t *shield);
void ngx_http_lua_nffi_unshield(ngx_http_lua_nffi_shield_t *shield);


#endif /* _NGX_HTTP_LUA_NFFI_SIGNALS_H_INCLUDED_ */
