/*
 * ngx_http_lua_nffi_metrics.h - counts the calls of a runtime by how they
 * ended.
 */

#ifndef _NGX_HTTP_LUA_NFFI_METRICS_H_INCLUDED_
#define _NGX_HTTP_LUA_NFFI_METRICS_H_INCLUDED_


#include "ngx_http_lua_nffi_types.h"


/* Counts of calls. Lua reads them through resty.nffi.metrics. */

#define NGX_HTTP_LUA_NFFI_CODES    7

typedef struct {
    uint64_t                       calls;    /* the sum of answers, errors,
                                                rejected, timeouts, cancelled
                                                and the calls that wait */
    uint64_t                       answers;
    uint64_t                       timeouts;
    uint64_t                       cancelled;
    uint64_t                       restarts; /* of processes */
    uint64_t                       idle_stops;
    uint64_t                       errors[NGX_HTTP_LUA_NFFI_CODES];
    uint64_t                       rejected[NGX_HTTP_LUA_NFFI_CODES];
    uint64_t                       refused[NFFI_HOST_MISUSES];
    nffi_host_times_t              times;
} ngx_http_lua_nffi_counts_t;


void ngx_http_lua_nffi_count_rejected(ngx_http_lua_nffi_runtime_t *rt,
    const char *code);
ngx_uint_t ngx_http_lua_nffi_is_error(const nffi_host_response_t *response);
void ngx_http_lua_nffi_count_response(ngx_http_lua_nffi_runtime_t *rt,
    const nffi_host_response_t *response);
void ngx_http_lua_nffi_count_misuse(ngx_http_lua_nffi_instance_t *inst);
void ngx_http_lua_nffi_count_failed(ngx_http_lua_nffi_runtime_t *rt,
    const char *code);


#endif /* _NGX_HTTP_LUA_NFFI_METRICS_H_INCLUDED_ */
