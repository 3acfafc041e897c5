/*
 * ngx_http_lua_nffi_delivery.h - the attached glue: the result of a call, which
 * Lua reads after its coroutine was resumed.
 *
 * thread: event loop; blocks: no
 */

#ifndef _NGX_HTTP_LUA_NFFI_DELIVERY_H_INCLUDED_
#define _NGX_HTTP_LUA_NFFI_DELIVERY_H_INCLUDED_


#include "ngx_http_lua_nffi_coroutine.h"


/* Lua knows the fields before `buffer`; C strings are static. */

typedef struct {
    uint32_t                       kind;
    int32_t                        rc;
    const u_char                  *data;     /* NULL: nil */
    size_t                         size;
    const u_char                  *detail;
    size_t                         detail_size;
    const char                    *code;

    u_char                        *buffer;
    size_t                         room;

    nffi_host_t                   *host;     /* NULL: the bytes are a copy */
    nffi_host_response_t           response;
} ngx_http_lua_nffi_delivery_t;


/* Copies a result. Without memory, the delivery is the error `no_memory`. */
void ngx_http_lua_nffi_delivery_set(ngx_http_lua_nffi_delivery_t *delivery,
    const ngx_http_lua_nffi_result_t *result);

/* Takes a response with its result, without a copy of many bytes. They are
   valid until delivery_return(), which releases the response. */
void ngx_http_lua_nffi_delivery_lend(ngx_http_lua_nffi_delivery_t *delivery,
    const ngx_http_lua_nffi_result_t *result, nffi_host_t *host,
    nffi_host_response_t *response);
void ngx_http_lua_nffi_delivery_return(ngx_http_lua_nffi_delivery_t *delivery);

/* Sets the delivery that the coroutine, which is resumed now, reads; NULL:
   none. */
void ngx_http_lua_nffi_delivery_offer(ngx_http_lua_nffi_delivery_t *delivery);

/* Frees the memory of copies. */
void ngx_http_lua_nffi_delivery_free(ngx_http_lua_nffi_delivery_t *delivery);


#endif /* _NGX_HTTP_LUA_NFFI_DELIVERY_H_INCLUDED_ */
