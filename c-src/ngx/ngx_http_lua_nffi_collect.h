/*
 * ngx_http_lua_nffi_collect.h - collects the responses of an instance and
 * passes them to their callers.
 */

#ifndef _NGX_HTTP_LUA_NFFI_COLLECT_H_INCLUDED_
#define _NGX_HTTP_LUA_NFFI_COLLECT_H_INCLUDED_


#include "ngx_http_lua_nffi_types.h"


/* The maximum number of coroutines of a runtime that one turn of the event loop
   resumes, so that a fast runtime does not starve timers and sockets. */
#define NGX_HTTP_LUA_NFFI_TURN         256

/* The maximum number of bytes that one turn collects, since each response is
   copied. The response that exceeds the limit is still collected. */
#define NGX_HTTP_LUA_NFFI_TURN_BYTES   1048576

void ngx_http_lua_nffi_collect(ngx_http_lua_nffi_instance_t *inst,
    ngx_uint_t max);
void ngx_http_lua_nffi_collect_soon(ngx_http_lua_nffi_instance_t *inst);
void ngx_http_lua_nffi_collect_handler(ngx_event_t *ev);
void ngx_http_lua_nffi_woken(void *data);
void ngx_http_lua_nffi_fail_calls(ngx_http_lua_nffi_instance_t *inst,
    ngx_str_t *message, const char *code);
ngx_int_t ngx_http_lua_nffi_fail_some_calls(ngx_http_lua_nffi_instance_t *inst,
    ngx_str_t *message, const char *code, ngx_uint_t max);


#endif /* _NGX_HTTP_LUA_NFFI_COLLECT_H_INCLUDED_ */
