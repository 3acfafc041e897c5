/*
 * ngx_http_lua_nffi_coroutine.h - the door to ngx_lua: how a coroutine waits
 * and goes on. Another way of waiting can stand behind these eight functions.
 *
 * thread: event loop; blocks: no
 */

#ifndef _NGX_HTTP_LUA_NFFI_COROUTINE_H_INCLUDED_
#define _NGX_HTTP_LUA_NFFI_COROUTINE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_lua_nffi_error.h"


struct ngx_http_lua_co_ctx_s;                /* of ngx_lua */

typedef struct ngx_http_lua_nffi_waiter_s  ngx_http_lua_nffi_waiter_t;

typedef void (*ngx_http_lua_nffi_cancel_pt)(
    ngx_http_lua_nffi_waiter_t *waiter);


/* a coroutine that waits, or may; `request` and `cancel` are the owner's */

struct ngx_http_lua_nffi_waiter_s {
    ngx_http_request_t            *request;
    ngx_http_lua_nffi_cancel_pt    cancel;   /* the coroutine is gone */
    struct ngx_http_lua_co_ctx_s  *coctx;    /* the coroutine that yielded */
    struct ngx_http_lua_co_ctx_s  *thread;   /* the light thread it runs in */
    int                            nrets;    /* values it was given */
};


/* the first value that a resumed coroutine gets, and what follows */

#define NGX_HTTP_LUA_NFFI_OK       0    /* bytes */
#define NGX_HTTP_LUA_NFFI_RC       1    /* rc, bytes or nil */
#define NGX_HTTP_LUA_NFFI_FAILED   2    /* message, code, detail or nil */
#define NGX_HTTP_LUA_NFFI_ENDED    3    /* of a stream: nothing */

typedef struct {
    ngx_uint_t                     kind;
    int32_t                        rc;
    const void                    *data;     /* NULL: nil */
    size_t                         size;
    const void                    *detail;   /* of a failure */
    size_t                         detail_size;  /* 0: none */
    const char                    *code;     /* of a failure */
} ngx_http_lua_nffi_result_t;


/* the current coroutine if it may yield, else NULL and why not */
struct ngx_http_lua_co_ctx_s *ngx_http_lua_nffi_find_coroutine(
    ngx_http_request_t *r, ngx_http_lua_nffi_error_t *err);

/* the coroutine is about to yield, until it is resumed or goes */
void ngx_http_lua_nffi_park_coroutine(ngx_http_lua_nffi_waiter_t *waiter,
    struct ngx_http_lua_co_ctx_s *coctx);

/* it waits no more: it may be resumed, or is gone */
void ngx_http_lua_nffi_unpark_coroutine(ngx_http_lua_nffi_waiter_t *waiter);

/* copies what a parked coroutine gets when it is resumed; without memory for
   it that is a failure */
void ngx_http_lua_nffi_give_result(ngx_http_lua_nffi_waiter_t *waiter,
    const ngx_http_lua_nffi_result_t *result);

/* runs the coroutine; `waiter` may be gone when this returns */
void ngx_http_lua_nffi_resume_coroutine(ngx_http_lua_nffi_waiter_t *waiter);

/* calls `handler` when the request ends; NULL takes back what `slot` names.
   NGX_ERROR: not enough memory */
ngx_int_t ngx_http_lua_nffi_on_request_end(ngx_http_request_t *r,
    ngx_http_cleanup_pt **slot, ngx_http_cleanup_pt handler, void *data);

/* 1: there is a client that Lua may still send to */
ngx_uint_t ngx_http_lua_nffi_has_client(ngx_http_request_t *r);

/* a coroutine that waits in ngx.flush() looks at its connection again */
void ngx_http_lua_nffi_wake_flush(ngx_http_request_t *r);


#endif /* _NGX_HTTP_LUA_NFFI_COROUTINE_H_INCLUDED_ */
