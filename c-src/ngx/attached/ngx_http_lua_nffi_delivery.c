/*
 * ngx_http_lua_nffi_delivery.c - the attached glue: keeps the result of a call,
 * since ngx_lua pushes values of its own when it resumes a coroutine.
 */

#include "ngx_http_lua_nffi_delivery.h"
#include "ngx_http_lua_nffi_attached.h"


/* Lua releases results with more bytes, which are not copied */
#define NGX_HTTP_LUA_NFFI_KEPT         16384


/* of the coroutine that is resumed now, and of the one that has read its own
   last */

static ngx_http_lua_nffi_delivery_t  *ngx_http_lua_nffi_offered;
static ngx_http_lua_nffi_delivery_t  *ngx_http_lua_nffi_read;


static ngx_int_t
ngx_http_lua_nffi_delivery_reserve(ngx_http_lua_nffi_delivery_t *delivery,
    size_t size)
{
    if (size <= delivery->room) {
        return NGX_OK;
    }

    ngx_http_lua_nffi_delivery_free(delivery);
    delivery->room = ngx_max(size, 1024);
    delivery->buffer = ngx_alloc(delivery->room, ngx_cycle->log);

    if (delivery->buffer == NULL) {
        delivery->room = 0;
        return NGX_ERROR;
    }

    return NGX_OK;
}


void
ngx_http_lua_nffi_delivery_set(ngx_http_lua_nffi_delivery_t *delivery,
    const ngx_http_lua_nffi_result_t *result)
{
    u_char  *p;

    static const char  no_memory[] = "not enough memory for the response";

    ngx_memzero(delivery, offsetof(ngx_http_lua_nffi_delivery_t, buffer));

    if (ngx_http_lua_nffi_delivery_reserve(delivery,
                                           result->size + result->detail_size)
        != NGX_OK)
    {
        delivery->kind = NGX_HTTP_LUA_NFFI_FAILED;
        delivery->data = (const u_char *) no_memory;
        delivery->size = sizeof(no_memory) - 1;
        delivery->code = "no_memory";
        return;
    }

    delivery->kind = result->kind;
    delivery->rc = result->rc;
    delivery->code = result->code;
    p = delivery->buffer;

    if (result->data) {
        delivery->data = result->size ? p : (const u_char *) "";
        delivery->size = result->size;
        p = ngx_cpymem(p, result->data, result->size);
    }

    if (result->detail_size) {
        delivery->detail = p;
        delivery->detail_size = result->detail_size;
        ngx_memcpy(p, result->detail, result->detail_size);
    }
}


/* The response must be released before Lua goes on: a queue that is full has no
   room for another call until then. */

void
ngx_http_lua_nffi_delivery_lend(ngx_http_lua_nffi_delivery_t *delivery,
    const ngx_http_lua_nffi_result_t *result, nffi_host_t *host,
    nffi_host_response_t *response)
{
    if (result->size + result->detail_size <= NGX_HTTP_LUA_NFFI_KEPT) {
        ngx_http_lua_nffi_delivery_set(delivery, result);
        nffi_host_release(host, response);
        return;
    }

    delivery->kind = result->kind;
    delivery->rc = result->rc;
    delivery->data = result->data;
    delivery->size = result->size;
    delivery->detail = result->detail_size ? result->detail : NULL;
    delivery->detail_size = result->detail_size;
    delivery->code = result->code;
    delivery->host = host;
    delivery->response = *response;
}


void
ngx_http_lua_nffi_delivery_return(ngx_http_lua_nffi_delivery_t *delivery)
{
    nffi_host_t  *host = delivery->host;

    if (host) {
        delivery->host = NULL;
        nffi_host_release(host, &delivery->response);
    }
}


void
ngx_http_lua_nffi_delivery_free(ngx_http_lua_nffi_delivery_t *delivery)
{
    if (delivery->buffer) {
        ngx_free(delivery->buffer);
        delivery->buffer = NULL;
        delivery->room = 0;
    }
}


void
ngx_http_lua_nffi_delivery_offer(ngx_http_lua_nffi_delivery_t *delivery)
{
    ngx_http_lua_nffi_offered = delivery;
}


const ngx_http_lua_nffi_delivery_t *
ngx_http_lua_nonblocking_ffi_result(void)
{
    static const char  message[] = "the coroutine was resumed without a "
                                   "response";
    static const ngx_http_lua_nffi_delivery_t  failure = {
        .kind = NGX_HTTP_LUA_NFFI_FAILED,
        .data = (const u_char *) message,
        .size = sizeof(message) - 1,
        .code = "unsupported_nginx"
    };

    ngx_http_lua_nffi_read = ngx_http_lua_nffi_offered;
    ngx_http_lua_nffi_offered = NULL;

    return ngx_http_lua_nffi_read ? ngx_http_lua_nffi_read : &failure;
}


void
ngx_http_lua_nonblocking_ffi_release_result(void)
{
    ngx_http_lua_nffi_delivery_return(ngx_http_lua_nffi_read);
    ngx_http_lua_nffi_delivery_free(ngx_http_lua_nffi_read);
}
