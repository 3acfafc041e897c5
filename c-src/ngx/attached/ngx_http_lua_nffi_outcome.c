/*
 * ngx_http_lua_nffi_outcome.c - the attached glue: keeps the result of a call,
 * since ngx_lua pushes values of its own when it resumes a coroutine.
 */

#include "ngx_http_lua_nffi_outcome.h"
#include "ngx_http_lua_nffi_attached.h"


/* Lua releases outcomes with more bytes, which are not copied */
#define NGX_HTTP_LUA_NFFI_KEPT         16384


static ngx_int_t
ngx_http_lua_nffi_outcome_reserve(ngx_http_lua_nffi_outcome_t *outcome,
    size_t size)
{
    if (size <= outcome->room) {
        return NGX_OK;
    }

    ngx_http_lua_nffi_outcome_free(outcome);
    outcome->room = ngx_max(size, 1024);
    outcome->buffer = ngx_alloc(outcome->room, ngx_cycle->log);

    if (outcome->buffer == NULL) {
        outcome->room = 0;
        return NGX_ERROR;
    }

    return NGX_OK;
}


void
ngx_http_lua_nffi_outcome_set(ngx_http_lua_nffi_outcome_t *outcome,
    const ngx_http_lua_nffi_result_t *result)
{
    u_char  *p;

    static const char  no_memory[] = "not enough memory for the response";

    ngx_memzero(outcome, offsetof(ngx_http_lua_nffi_outcome_t, buffer));

    if (ngx_http_lua_nffi_outcome_reserve(outcome,
                                          result->size + result->detail_size)
        != NGX_OK)
    {
        outcome->kind = NGX_HTTP_LUA_NFFI_FAILED;
        outcome->data = (const u_char *) no_memory;
        outcome->size = sizeof(no_memory) - 1;
        outcome->code = "no_memory";
        return;
    }

    outcome->kind = result->kind;
    outcome->rc = result->rc;
    outcome->code = result->code;
    p = outcome->buffer;

    if (result->data) {
        outcome->data = result->size ? p : (const u_char *) "";
        outcome->size = result->size;
        p = ngx_cpymem(p, result->data, result->size);
    }

    if (result->detail_size) {
        outcome->detail = p;
        outcome->detail_size = result->detail_size;
        ngx_memcpy(p, result->detail, result->detail_size);
    }
}


/* The response must be released before Lua goes on: a queue that is full has no
   room for another call until then. */

void
ngx_http_lua_nffi_outcome_lend(ngx_http_lua_nffi_outcome_t *outcome,
    const ngx_http_lua_nffi_result_t *result, nffi_host_t *host,
    nffi_host_response_t *response)
{
    if (result->size + result->detail_size <= NGX_HTTP_LUA_NFFI_KEPT) {
        ngx_http_lua_nffi_outcome_set(outcome, result);
        nffi_host_release(host, response);
        return;
    }

    outcome->kind = result->kind;
    outcome->rc = result->rc;
    outcome->data = result->data;
    outcome->size = result->size;
    outcome->detail = result->detail_size ? result->detail : NULL;
    outcome->detail_size = result->detail_size;
    outcome->code = result->code;
    outcome->host = host;
    outcome->response = *response;
}


void
ngx_http_lua_nffi_outcome_return(ngx_http_lua_nffi_outcome_t *outcome)
{
    nffi_host_t  *host = outcome->host;

    if (host) {
        outcome->host = NULL;
        nffi_host_release(host, &outcome->response);
    }
}


void
ngx_http_lua_nffi_outcome_free(ngx_http_lua_nffi_outcome_t *outcome)
{
    if (outcome->buffer) {
        ngx_free(outcome->buffer);
        outcome->buffer = NULL;
        outcome->room = 0;
    }
}


const ngx_http_lua_nffi_outcome_t *
ngx_http_lua_nonblocking_ffi_outcome(void *data)
{
    ngx_http_lua_nffi_outcome_t  *outcome = data;

    static const char  message[] = "the coroutine was resumed without a "
                                   "response";
    static const ngx_http_lua_nffi_outcome_t  failure = {
        .kind = NGX_HTTP_LUA_NFFI_FAILED,
        .data = (const u_char *) message,
        .size = sizeof(message) - 1,
        .code = "unsupported_nginx"
    };

    if (!outcome->is_ready) {
        return &failure;
    }

    outcome->is_ready = 0;

    return outcome;
}


void
ngx_http_lua_nonblocking_ffi_release_outcome(void *data)
{
    ngx_http_lua_nffi_outcome_return(data);
    ngx_http_lua_nffi_outcome_free(data);
}
