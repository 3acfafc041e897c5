/*
 * ngx_http_lua_nffi_metrics.c - the glue: counts the calls of a runtime in this
 * worker. The counts belong to the runtime, so they outlive a Lua VM
 * (lua_code_cache off).
 *
 * Everything runs in the event loop.
 */

#ifndef DDEBUG
#define DDEBUG 0
#endif
#include "ddebug.h"


#include "ngx_http_lua_nffi_metrics.h"
#include "ngx_http_lua_nffi_instance.h"
#include "ngx_http_lua_nffi_runtime.h"
#include "ngx_http_lua_nonblocking_ffi.h"


/* the NGX_HTTP_LUA_NFFI_CODES codes, as Lua receives them; the last one stands
   for all others */

static const char  *ngx_http_lua_nffi_codes[NGX_HTTP_LUA_NFFI_CODES] = {
    "runtime_error", "runtime_down", "exiting", "closed", "no_memory",
    "queue_full", "invalid"
};


static void
ngx_http_lua_nffi_count(uint64_t *counts, const char *code)
{
    ngx_uint_t  i;

    for (i = 0; i < NGX_HTTP_LUA_NFFI_CODES - 1; i++) {
        if (ngx_strcmp(ngx_http_lua_nffi_codes[i], code) == 0) {
            break;
        }
    }

    counts[i]++;
}


void
ngx_http_lua_nffi_count_rejected(ngx_http_lua_nffi_runtime_t *rt,
    const char *code)
{
    ngx_http_lua_nffi_count(rt->counts.rejected, code);
}


ngx_uint_t
ngx_http_lua_nffi_is_error(const nffi_host_response_t *response)
{
    return response->rc != 0 || (response->flags & NFFI_HOST_ERROR);
}


/* Counts a response. For a stream, only its last one. */

void
ngx_http_lua_nffi_count_response(ngx_http_lua_nffi_runtime_t *rt,
    const nffi_host_response_t *response)
{
    if (ngx_http_lua_nffi_is_error(response)) {
        ngx_http_lua_nffi_count(rt->counts.errors, "runtime_error");

    } else {
        rt->counts.answers++;
    }
}


/* Counts misuse of the queue. Each kind is logged once per runtime. */

void
ngx_http_lua_nffi_count_misuse(ngx_http_lua_nffi_instance_t *inst)
{
    ngx_uint_t                    kind;
    ngx_http_lua_nffi_runtime_t  *rt = inst->runtime;

    static const char  *kinds[NFFI_HOST_MISUSES] = {
        "responded to a task a second time",
        "responded to a task that does not exist"
    };

    for (kind = 0; kind < NFFI_HOST_MISUSES; kind++) {

        if (nffi_host_misuse(inst->host, kind, &rt->counts.refused[kind])
            && !(rt->misused & (1u << kind)))
        {
            rt->misused |= 1u << kind;

            ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                          "nffi: runtime \"%V\" %s; this was refused, and "
                          "the next ones are only counted", &rt->label,
                          kinds[kind]);
        }
    }
}


/* Counts a call that ended without a response. */

void
ngx_http_lua_nffi_count_failed(ngx_http_lua_nffi_runtime_t *rt,
    const char *code)
{
    if (ngx_strcmp(code, "timeout") == 0) {
        rt->counts.timeouts++;

    } else {
        ngx_http_lua_nffi_count(rt->counts.errors, code);
    }
}


const char *
ngx_http_lua_nonblocking_ffi_code(uint32_t index)
{
    return index < NGX_HTTP_LUA_NFFI_CODES ? ngx_http_lua_nffi_codes[index]
                                           : NULL;
}
