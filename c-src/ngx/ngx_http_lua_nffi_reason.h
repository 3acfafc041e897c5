/*
 * ngx_http_lua_nffi_reason.h - why a runtime's process is down, in words for
 * callers and for the error log.
 *
 * thread: event loop; blocks: no
 */

#ifndef _NGX_HTTP_LUA_NFFI_REASON_H_INCLUDED_
#define _NGX_HTTP_LUA_NFFI_REASON_H_INCLUDED_


#include "ngx_http_lua_nffi_types.h"


/* These two fill in p->reason. An exit keeps a reason that is already set. */
void ngx_http_lua_nffi_reason_of_exit(ngx_http_lua_nffi_process_t *p);
void ngx_http_lua_nffi_reason_not_started(ngx_http_lua_nffi_process_t *p,
    const nffi_process_report_t *report);

#define NGX_HTTP_LUA_NFFI_HINTS  512     /* bytes */

/* Writes what may be wrong with a process that is not ready, for example
   "; is limits.memory (20480 KiB) enough?". Returns the number of bytes, 0 for
   a process that is or was ready. */
size_t ngx_http_lua_nffi_start_hints(ngx_http_lua_nffi_process_t *p,
    u_char text[NGX_HTTP_LUA_NFFI_HINTS]);

/* Returns the error code for calls while the process is down. */
const char *ngx_http_lua_nffi_down_code(ngx_http_lua_nffi_process_t *p);

/* These two log p->reason: the first for a process that is restarted, the
   second for one that is not. */
void ngx_http_lua_nffi_report_death(ngx_http_lua_nffi_process_t *p);
void ngx_http_lua_nffi_report_end(ngx_http_lua_nffi_process_t *p);


#endif /* _NGX_HTTP_LUA_NFFI_REASON_H_INCLUDED_ */
