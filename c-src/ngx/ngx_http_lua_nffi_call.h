/*
 * ngx_http_lua_nffi_call.h - the part that calls with one response and streams
 * share: a task, its deadline, and the coroutine that waits for it.
 */

#ifndef _NGX_HTTP_LUA_NFFI_CALL_H_INCLUDED_
#define _NGX_HTTP_LUA_NFFI_CALL_H_INCLUDED_


#include "ngx_http_lua_nffi_coroutine.h"
#include "ngx_http_lua_nffi_error.h"
#include "ngx_http_lua_nffi_types.h"


/* how a call receives its response or its error */

typedef struct {
    /* takes ownership of the response; may free the call */
    void  (*deliver)(ngx_http_lua_nffi_call_t *call,
                     nffi_host_response_t *response);

    /* the task is already cancelled; may free the call */
    void  (*fail)(ngx_http_lua_nffi_call_t *call, ngx_str_t *message,
                  const char *code);

    /* the waiting coroutine has ended */
    void  (*abort)(ngx_http_lua_nffi_call_t *call);
} ngx_http_lua_nffi_call_ops_t;


/* a call that waits for its response; owned by the glue, recycled */

struct ngx_http_lua_nffi_call_s {
    ngx_http_lua_nffi_waiter_t     waiter;
    const ngx_http_lua_nffi_call_ops_t  *ops;
    ngx_http_lua_nffi_instance_t  *instance;
    nffi_host_t                   *host;
    nffi_task_t                    task;
    ngx_event_t                    timeout;
    ngx_queue_t                    queue;    /* link in the list of equal
                                                timeouts */
    uint64_t                       deadline_ns;  /* CLOCK_MONOTONIC, 0: none */
    uint32_t                       mark;     /* responses to check before a
                                                timeout */
    unsigned                       marked:1;
    unsigned                       listed:1;
    ngx_http_lua_nffi_call_t      *next;     /* in the list of free calls */
};


ngx_int_t ngx_http_lua_nffi_refused(ngx_http_lua_nffi_error_t *err,
    ngx_http_lua_nffi_instance_t *inst, int rc);
uint64_t ngx_http_lua_nffi_deadline(uint32_t timeout_ms, uint64_t *now_ns);
void ngx_http_lua_nffi_wait(ngx_http_lua_nffi_call_t *call,
    struct ngx_http_lua_co_ctx_s *coctx, uint32_t timeout_ms,
    uint64_t deadline_ns);
ngx_uint_t ngx_http_lua_nffi_is_over(ngx_http_lua_nffi_call_t *call);
ngx_uint_t ngx_http_lua_nffi_is_early(ngx_http_lua_nffi_call_t *call);
void ngx_http_lua_nffi_stop_waiting(ngx_http_lua_nffi_call_t *call);
void ngx_http_lua_nffi_give_response(ngx_http_lua_nffi_call_t *call,
    const nffi_host_response_t *response);
void ngx_http_lua_nffi_hand_over_response(ngx_http_lua_nffi_call_t *call,
    nffi_host_response_t *response);
void ngx_http_lua_nffi_give_failure(ngx_http_lua_nffi_call_t *call,
    const ngx_str_t *message, const char *code);


#endif /* _NGX_HTTP_LUA_NFFI_CALL_H_INCLUDED_ */
