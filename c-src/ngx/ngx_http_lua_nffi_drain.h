/*
 * ngx_http_lua_nffi_drain.h - responses of an instance reach those who wait
 * for them.
 */

#ifndef _NGX_HTTP_LUA_NFFI_DRAIN_H_INCLUDED_
#define _NGX_HTTP_LUA_NFFI_DRAIN_H_INCLUDED_


#include "ngx_http_lua_nffi_types.h"


/* one turn of the event loop resumes at most so many coroutines of a runtime,
   so that a fast one does not starve timers and sockets */
#define NGX_HTTP_LUA_NFFI_TURN         256

/* and takes at most so many bytes, and one response, since each is copied */
#define NGX_HTTP_LUA_NFFI_TURN_BYTES   1048576

void ngx_http_lua_nffi_drain(ngx_http_lua_nffi_instance_t *inst,
    ngx_uint_t turn);
void ngx_http_lua_nffi_drain_soon(ngx_http_lua_nffi_instance_t *inst);
void ngx_http_lua_nffi_drain_handler(ngx_event_t *ev);
void ngx_http_lua_nffi_woken_handler(ngx_event_t *ev);
void ngx_http_lua_nffi_fail_calls(ngx_http_lua_nffi_instance_t *inst,
    ngx_str_t *message, const char *code);
ngx_int_t ngx_http_lua_nffi_fail_some_calls(ngx_http_lua_nffi_instance_t *inst,
    ngx_str_t *message, const char *code, ngx_uint_t max);


#endif /* _NGX_HTTP_LUA_NFFI_DRAIN_H_INCLUDED_ */
