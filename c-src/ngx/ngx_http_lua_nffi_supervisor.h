/*
 * ngx_http_lua_nffi_supervisor.h - limits the time that a process needs to
 * start and to exit, fails its calls when it dies, and restarts it.
 */

#ifndef _NGX_HTTP_LUA_NFFI_SUPERVISOR_H_INCLUDED_
#define _NGX_HTTP_LUA_NFFI_SUPERVISOR_H_INCLUDED_


#include "ngx_http_lua_nffi_error.h"
#include "ngx_http_lua_nffi_types.h"


void ngx_http_lua_nffi_supervise(ngx_http_lua_nffi_process_t *p,
    ngx_event_handler_pt restart);
ngx_int_t ngx_http_lua_nffi_process_available(
    ngx_http_lua_nffi_instance_t *inst, ngx_http_lua_nffi_error_t *err);
void ngx_http_lua_nffi_process_finish(ngx_http_lua_nffi_instance_t *inst);
void ngx_http_lua_nffi_process_broken(ngx_http_lua_nffi_instance_t *inst);
void ngx_http_lua_nffi_process_not_restarted(ngx_http_lua_nffi_process_t *p);
void ngx_http_lua_nffi_process_started(ngx_http_lua_nffi_process_t *p);
void ngx_http_lua_nffi_process_ready(ngx_http_lua_nffi_process_t *p);
void ngx_http_lua_nffi_process_gone(ngx_http_lua_nffi_process_t *p);
void ngx_http_lua_nffi_process_not_started(ngx_http_lua_nffi_process_t *p,
    const nffi_process_report_t *report);
void ngx_http_lua_nffi_process_died(ngx_http_lua_nffi_process_t *p);
void ngx_http_lua_nffi_process_grown(void *data);


#endif /* _NGX_HTTP_LUA_NFFI_SUPERVISOR_H_INCLUDED_ */
