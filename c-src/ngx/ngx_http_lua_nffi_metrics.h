/*
 * ngx_http_lua_nffi_metrics.h - what became of the calls of a runtime.
 */

#ifndef _NGX_HTTP_LUA_NFFI_METRICS_H_INCLUDED_
#define _NGX_HTTP_LUA_NFFI_METRICS_H_INCLUDED_


#include "ngx_http_lua_nffi_types.h"


/* what became of calls; Lua reads it, and so does resty.nffi.metrics */

#define NGX_HTTP_LUA_NFFI_CODES    7

typedef struct {
    uint64_t                       calls;    /* answers, errors, rejected,
                                                timeouts, cancelled, and those
                                                that wait, make it up */
    uint64_t                       answers;
    uint64_t                       timeouts;
    uint64_t                       cancelled;
    uint64_t                       restarts; /* of processes */
    uint64_t                       errors[NGX_HTTP_LUA_NFFI_CODES];
    uint64_t                       rejected[NGX_HTTP_LUA_NFFI_CODES];
    uint64_t                       refused[NFFI_HOST_MISUSES];
    nffi_host_times_t              times;
} ngx_http_lua_nffi_counts_t;


void ngx_http_lua_nffi_count_rejected(ngx_http_lua_nffi_runtime_t *rt,
    const char *code);
ngx_uint_t ngx_http_lua_nffi_is_error(const nffi_host_response_t *response);
void ngx_http_lua_nffi_count_answer(ngx_http_lua_nffi_runtime_t *rt,
    const nffi_host_response_t *response);
void ngx_http_lua_nffi_count_misuse(ngx_http_lua_nffi_instance_t *inst);
void ngx_http_lua_nffi_count_failed(ngx_http_lua_nffi_runtime_t *rt,
    const char *code);


#endif /* _NGX_HTTP_LUA_NFFI_METRICS_H_INCLUDED_ */
