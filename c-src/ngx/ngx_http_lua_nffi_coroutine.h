/*
 * ngx_http_lua_nffi_coroutine.h - the door to ngx_lua: how a coroutine waits
 * and continues. There are two implementations: ngx_http_lua_nffi_coroutine.c
 * in a built glue, attached/ngx_http_lua_nffi_attached.c in an attached one.
 *
 * thread: event loop; blocks: no
 */

#ifndef _NGX_HTTP_LUA_NFFI_COROUTINE_H_INCLUDED_
#define _NGX_HTTP_LUA_NFFI_COROUTINE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_lua_nffi_error.h"
#include "ngx_http_lua_nffi_types.h"


struct ngx_http_lua_co_ctx_s;                /* of ngx_lua */

typedef struct ngx_http_lua_nffi_waiter_s  ngx_http_lua_nffi_waiter_t;

typedef void (*ngx_http_lua_nffi_cancel_pt)(
    ngx_http_lua_nffi_waiter_t *waiter);


/* A coroutine that waits or may wait. The owner sets `request` and `cancel`. */

struct ngx_http_lua_nffi_waiter_s {
    ngx_http_request_t            *request;
    ngx_http_lua_nffi_cancel_pt    cancel;   /* called if it ends */
    struct ngx_http_lua_co_ctx_s  *coctx;    /* the coroutine that yielded */
    struct ngx_http_lua_co_ctx_s  *thread;   /* its light thread */
    int                            nrets;    /* values pushed for it */
    void                          *ctx;      /* ngx_lua's, of the request */
};


/* The first value that a resumed coroutine receives, and the values after
   it. */

#define NGX_HTTP_LUA_NFFI_OK       0    /* bytes */
#define NGX_HTTP_LUA_NFFI_RC       1    /* rc, bytes or nil */
#define NGX_HTTP_LUA_NFFI_FAILED   2    /* message, code, detail or nil */
#define NGX_HTTP_LUA_NFFI_ENDED    3    /* end of a stream: none */

typedef struct {
    ngx_uint_t                     kind;
    int32_t                        rc;
    const void                    *data;     /* NULL: nil */
    size_t                         size;
    const void                    *detail;   /* of an error */
    size_t                         detail_size;  /* 0: none */
    const char                    *code;     /* of an error */
} ngx_http_lua_nffi_result_t;


/* Returns the current coroutine, or NULL with `err` if it may not yield. The
   caller passes it to park_coroutine() before Lua runs again. */
struct ngx_http_lua_co_ctx_s *ngx_http_lua_nffi_find_coroutine(
    ngx_http_request_t *r, ngx_http_lua_nffi_error_t *err);

/* Prepares the coroutine for the yield that follows. It then waits until it is
   resumed or ends. If `waiter` is NULL, it does not wait. */
void ngx_http_lua_nffi_park_coroutine(ngx_http_lua_nffi_waiter_t *waiter,
    struct ngx_http_lua_co_ctx_s *coctx);

/* Ends the wait: the coroutine can be resumed, or has ended. */
void ngx_http_lua_nffi_unpark_coroutine(ngx_http_lua_nffi_waiter_t *waiter);

/* Gives a parked coroutine the result. If there is not enough memory, it gets
   the error `no_memory` instead. Releases `response`, which has the bytes, or
   is NULL: at the latest when the coroutine has read them, or
   resume_coroutine() returns. */
void ngx_http_lua_nffi_give_result(ngx_http_lua_nffi_waiter_t *waiter,
    const ngx_http_lua_nffi_result_t *result, nffi_host_t *host,
    nffi_host_response_t *response);

/* Runs the coroutine. It may free `waiter`. */
void ngx_http_lua_nffi_resume_coroutine(ngx_http_lua_nffi_waiter_t *waiter);

/* Calls `handler` with `data` when the request ends. If `handler` is NULL,
   removes the one that `slot` points to. Returns NGX_ERROR if there
   is not enough memory. */
ngx_int_t ngx_http_lua_nffi_on_request_end(ngx_http_request_t *r,
    ngx_http_cleanup_pt **slot, ngx_http_cleanup_pt handler, void *data);

/* Returns 1 if Lua can still send to a client. */
ngx_uint_t ngx_http_lua_nffi_has_client(ngx_http_request_t *r);

/* If a write of the request has failed, wakes a coroutine that waits in
   ngx.flush(), so that it checks its connection. */
void ngx_http_lua_nffi_wake_flush(ngx_http_request_t *r);


#endif /* _NGX_HTTP_LUA_NFFI_COROUTINE_H_INCLUDED_ */
