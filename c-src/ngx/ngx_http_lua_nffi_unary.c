/*
 * ngx_http_lua_nffi_unary.c - the glue: a call submits a task and yields its
 * coroutine. A response, an error, a timeout or the exit of the worker resumes
 * it.
 *
 * Everything runs in the event loop.
 */

#ifndef DDEBUG
#define DDEBUG 0
#endif
#include "ddebug.h"


#include "ngx_http_lua_nffi_call.h"
#include "ngx_http_lua_nffi_coroutine.h"
#include "ngx_http_lua_nffi_error.h"
#include "ngx_http_lua_nffi_instance.h"
#include "ngx_http_lua_nffi_metrics.h"
#include "ngx_http_lua_nffi_runtime.h"
#include "ngx_http_lua_nonblocking_ffi.h"


static void ngx_http_lua_nffi_unary_deliver(ngx_http_lua_nffi_call_t *call,
    nffi_host_response_t *response);
static void ngx_http_lua_nffi_unary_fail(ngx_http_lua_nffi_call_t *call,
    ngx_str_t *message, const char *code);
static void ngx_http_lua_nffi_unary_abort(ngx_http_lua_nffi_call_t *call);
static void ngx_http_lua_nffi_timed_out(ngx_event_t *ev);


static const ngx_http_lua_nffi_call_ops_t  ngx_http_lua_nffi_unary_ops = {
    ngx_http_lua_nffi_unary_deliver,
    ngx_http_lua_nffi_unary_fail,
    ngx_http_lua_nffi_unary_abort
};

static ngx_str_t  ngx_http_lua_nffi_timeout = ngx_string("timeout");

static ngx_http_lua_nffi_call_t  *ngx_http_lua_nffi_free_calls;


static ngx_http_lua_nffi_call_t *
ngx_http_lua_nffi_get_call(void)
{
    ngx_http_lua_nffi_call_t  *call;

    call = ngx_http_lua_nffi_free_calls;

    if (call) {
        ngx_http_lua_nffi_free_calls = call->next;
        return call;
    }

    call = ngx_calloc(sizeof(ngx_http_lua_nffi_call_t), ngx_cycle->log);
    if (call == NULL) {
        return NULL;
    }

    call->ops = &ngx_http_lua_nffi_unary_ops;
    call->timeout.data = call;
    call->timeout.handler = ngx_http_lua_nffi_timed_out;
    call->timeout.log = ngx_cycle->log;

    return call;
}


/* Ends the wait of a call. Its coroutine can be resumed, or has ended. */

static void
ngx_http_lua_nffi_end_call(ngx_http_lua_nffi_call_t *call)
{
    ngx_http_lua_nffi_stop_waiting(call);
    ngx_http_lua_nffi_not_awaited(call->instance);

    call->next = ngx_http_lua_nffi_free_calls;
    ngx_http_lua_nffi_free_calls = call;
}


/* Returns NGX_OK if the current coroutine can wait for a runtime. */

int
ngx_http_lua_nonblocking_ffi_may_wait(ngx_http_request_t *r,
    ngx_http_lua_nffi_error_t *err)
{
    struct ngx_http_lua_co_ctx_s  *coctx;

    coctx = ngx_http_lua_nffi_find_coroutine(r, err);
    if (coctx == NULL) {
        return NGX_ERROR;
    }

    ngx_http_lua_nffi_park_coroutine(NULL, coctx);

    return NGX_OK;
}


/* Submits a task for the current coroutine. Returns NGX_AGAIN if the coroutine
   must yield now, or NGX_ERROR with `err`: nothing was submitted. */

int
ngx_http_lua_nonblocking_ffi_call(ngx_http_request_t *r, void *runtime,
    const u_char *method, size_t method_size, const u_char *data, size_t size,
    uint32_t timeout_ms, ngx_http_lua_nffi_error_t *err)
{
    int                            rc;
    nffi_host_request_t            request;
    struct ngx_http_lua_co_ctx_s  *coctx;
    ngx_http_lua_nffi_call_t      *call;
    ngx_http_lua_nffi_runtime_t   *rt = runtime;
    ngx_http_lua_nffi_instance_t  *inst;

    coctx = ngx_http_lua_nffi_find_coroutine(r, err);
    if (coctx == NULL) {
        return NGX_ERROR;
    }

    rt->counts.calls++;

    inst = ngx_http_lua_nffi_instance_choose(rt, err);
    if (inst == NULL) {
        goto rejected;
    }

    call = ngx_http_lua_nffi_get_call();
    if (call == NULL) {
        (void) ngx_http_lua_nffi_fail(err, "no_memory", "not enough memory");
        goto rejected;
    }

    request.data = data;
    request.size = size;
    request.method = (const char *) method;
    request.method_size = method_size;
    request.deadline_ns = ngx_http_lua_nffi_deadline(timeout_ms,
                                                     &request.now_ns);
    request.window = 0;

    rc = nffi_host_submit(inst->host, &request, call, &call->task);

    if (rc != NFFI_OK) {
        call->next = ngx_http_lua_nffi_free_calls;
        ngx_http_lua_nffi_free_calls = call;

        (void) ngx_http_lua_nffi_refused(err, inst, rc);
        goto rejected;
    }

    call->waiter.request = r;
    call->instance = inst;
    call->host = inst->host;

    ngx_http_lua_nffi_wait(call, coctx, timeout_ms, request.deadline_ns);
    ngx_http_lua_nffi_awaited(inst);

    return NGX_AGAIN;

rejected:

    ngx_http_lua_nffi_park_coroutine(NULL, coctx);
    ngx_http_lua_nffi_count_rejected(rt, err->code);

    return NGX_ERROR;
}


/* The runtime knows the deadline as well. The error of its handler may arrive
   before the timer fires, since the timer waits for the end of this turn of the
   event loop. Lua receives the same error in both cases. */

static ngx_uint_t
ngx_http_lua_nffi_is_late(ngx_http_lua_nffi_call_t *call,
    const nffi_host_response_t *response)
{
    return ngx_http_lua_nffi_is_error(response)
           && ngx_http_lua_nffi_is_over(call);
}


static void
ngx_http_lua_nffi_unary_deliver(ngx_http_lua_nffi_call_t *call,
    nffi_host_response_t *response)
{
    if (ngx_http_lua_nffi_is_late(call, response)) {
        nffi_host_release(call->host, response);
        ngx_http_lua_nffi_unary_fail(call, &ngx_http_lua_nffi_timeout,
                                     "timeout");
        return;
    }

    ngx_http_lua_nffi_count_response(call->instance->runtime, response);
    ngx_http_lua_nffi_hand_over_response(call, response);
    ngx_http_lua_nffi_end_call(call);
    ngx_http_lua_nffi_resume_coroutine(&call->waiter);
}


/* Fails a call that has no task, or whose task is cancelled. */

static void
ngx_http_lua_nffi_unary_fail(ngx_http_lua_nffi_call_t *call,
    ngx_str_t *message, const char *code)
{
    ngx_http_lua_nffi_count_failed(call->instance->runtime, code);
    ngx_http_lua_nffi_give_failure(call, message, code);
    ngx_http_lua_nffi_end_call(call);
    ngx_http_lua_nffi_resume_coroutine(&call->waiter);
}


/* Called when its coroutine has ended. */

static void
ngx_http_lua_nffi_unary_abort(ngx_http_lua_nffi_call_t *call)
{
    call->instance->runtime->counts.cancelled++;
    nffi_host_cancel(call->host, call->task);
    ngx_http_lua_nffi_end_call(call);
}


static void
ngx_http_lua_nffi_timed_out(ngx_event_t *ev)
{
    ngx_http_lua_nffi_call_t  *call = ev->data;

    if (ngx_http_lua_nffi_is_early(call)) {
        return;
    }

    nffi_host_cancel(call->host, call->task);
    ngx_http_lua_nffi_unary_fail(call, &ngx_http_lua_nffi_timeout, "timeout");
}
