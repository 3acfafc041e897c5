/*
 * ngx_http_lua_nffi_log.h - writes lines of a runtime to the error log.
 */

#ifndef _NGX_HTTP_LUA_NFFI_LOG_H_INCLUDED_
#define _NGX_HTTP_LUA_NFFI_LOG_H_INCLUDED_


#include "ngx_http_lua_nffi_types.h"


/* The lines of one source in the second that began at `start`. Lines beyond the
   limit are dropped and counted. */

#define NGX_HTTP_LUA_NFFI_LINES    1000

typedef struct {
    ngx_str_t                     *label;    /* of the runtime */
    ngx_msec_t                     start;
    ngx_uint_t                     lines;
    ngx_uint_t                     dropped;
    ngx_event_t                    report;   /* logs `dropped` */
} ngx_http_lua_nffi_rate_t;


/* The maximum number of log messages per turn: as many as the queue holds. */
#define NGX_HTTP_LUA_NFFI_MESSAGES     256

ngx_uint_t ngx_http_lua_nffi_write_messages(ngx_http_lua_nffi_instance_t *inst);
void ngx_http_lua_nffi_rate_report(ngx_http_lua_nffi_rate_t *rate);
ngx_int_t ngx_http_lua_nffi_rate_take(ngx_http_lua_nffi_rate_t *rate);
size_t ngx_http_lua_nffi_escape(u_char *to, size_t room, u_char *data,
    size_t size);


#endif /* _NGX_HTTP_LUA_NFFI_LOG_H_INCLUDED_ */
