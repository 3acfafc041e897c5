/*
 * ngx_http_lua_nffi_exit.h - shuts down the runtimes when the worker exits.
 */

#ifndef _NGX_HTTP_LUA_NFFI_EXIT_H_INCLUDED_
#define _NGX_HTTP_LUA_NFFI_EXIT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


ngx_int_t ngx_http_lua_nffi_exit_init(void);


#endif /* _NGX_HTTP_LUA_NFFI_EXIT_H_INCLUDED_ */
