/*
 * ngx_http_lua_nffi_call.c - the glue: the part that calls with one response
 * and streams share: a task, its deadline, and the coroutine that waits for it.
 *
 * Everything runs in the event loop.
 */

#ifndef DDEBUG
#define DDEBUG 0
#endif
#include "ddebug.h"


#include "ngx_http_lua_nffi_call.h"
#include "ngx_http_lua_nffi_core.h"
#include "ngx_http_lua_nffi_coroutine.h"
#include "ngx_http_lua_nffi_collect.h"
#include "ngx_http_lua_nffi_error.h"
#include "ngx_http_lua_nffi_instance.h"
#include "ngx_http_lua_nffi_runtime.h"
#include "ngx_http_lua_nffi_types.h"


static void ngx_http_lua_nffi_deadline_handler(ngx_event_t *ev);


static uint64_t
ngx_http_lua_nffi_now(void)
{
    struct timespec  now;

    clock_gettime(CLOCK_MONOTONIC, &now);

    return (uint64_t) now.tv_sec * 1000000000 + now.tv_nsec;
}


/* Returns the deadline on the monotonic clock and the time now; both are 0
   without a timeout. */

uint64_t
ngx_http_lua_nffi_deadline(uint32_t timeout_ms, uint64_t *now_ns)
{
    *now_ns = timeout_ms ? ngx_http_lua_nffi_now() : 0;

    return timeout_ms ? *now_ns + (uint64_t) timeout_ms * 1000000 : 0;
}


/* Returns 1 if the deadline has passed, to the millisecond of nginx's timers.
   Reads the clock, since the time that nginx caches does not change during a
   turn of the event loop. */

ngx_uint_t
ngx_http_lua_nffi_is_over(ngx_http_lua_nffi_call_t *call)
{
    return call->deadline_ns
           && ngx_http_lua_nffi_now() + 1000000 >= call->deadline_ns;
}


/*
 * Called when the timer has fired. Returns 1 and sets the timer again if it
 * fired too early. That happens if it was set late in a long turn of the event
 * loop, or if the turn was so slow that responses that arrived in time are not
 * collected yet.
 */

ngx_uint_t
ngx_http_lua_nffi_is_early(ngx_http_lua_nffi_call_t *call)
{
    uint64_t  now;

    now = ngx_http_lua_nffi_now();

    if (now + 1000000 < call->deadline_ns) {
        ngx_add_timer(&call->timeout,
                      (call->deadline_ns - now + 999999) / 1000000);
        return 1;
    }

    if (!call->marked) {
        call->marked = 1;
        call->mark = nffi_host_mark(call->host);
    }

    if (nffi_host_is_past(call->host, call->mark)) {
        return 0;
    }

    ngx_add_timer(&call->timeout, 1);
    ngx_http_lua_nffi_collect_soon(call->instance);

    return 1;
}


/*
 * Most calls of a runtime use the default timeout, so their deadlines are in
 * the order of the calls. Such calls form a list with one timer, and a call
 * needs no search in nginx's timer tree. Calls with other timeouts have a timer
 * each.
 */

static void
ngx_http_lua_nffi_set_timeout(ngx_http_lua_nffi_call_t *call,
    ngx_msec_t timeout)
{
    ngx_http_lua_nffi_instance_t  *inst = call->instance;
    ngx_event_t                   *ev = &inst->deadline;

    if (ngx_queue_empty(&inst->deadlines)) {
        inst->deadlines_timeout = timeout;

        /* it may still be set for an earlier call that has ended, to a later
           time */

        if (ev->timer_set
            && (ngx_msec_int_t) (ev->timer.key - (ngx_current_msec + timeout))
               > 0)
        {
            ngx_del_timer(ev);
        }

        if (!ev->timer_set) {
            ev->data = inst;
            ev->handler = ngx_http_lua_nffi_deadline_handler;
            ev->log = ngx_cycle->log;
            ngx_http_lua_nffi_set_cancelable(ev, 1);
            ngx_add_timer(ev, timeout);
        }

    } else if (inst->deadlines_timeout != timeout) {
        ngx_add_timer(&call->timeout, timeout);
        return;
    }

    ngx_queue_insert_tail(&inst->deadlines, &call->queue);
    call->listed = 1;
}


static void
ngx_http_lua_nffi_unlist(ngx_http_lua_nffi_call_t *call)
{
    if (call->listed) {
        ngx_queue_remove(&call->queue);
        call->listed = 0;
    }
}


static void
ngx_http_lua_nffi_deadline_handler(ngx_event_t *ev)
{
    uint64_t                       now;
    ngx_uint_t                     n;
    ngx_queue_t                   *q;
    ngx_http_lua_nffi_call_t      *call;
    ngx_http_lua_nffi_instance_t  *inst = ev->data;

    for (n = 0; !ngx_queue_empty(&inst->deadlines); n++) {
        q = ngx_queue_head(&inst->deadlines);
        call = ngx_queue_data(q, ngx_http_lua_nffi_call_t, queue);
        now = ngx_http_lua_nffi_now();

        if (n == NGX_HTTP_LUA_NFFI_TURN || now + 1000000 < call->deadline_ns) {

            if (!ev->timer_set) {
                ngx_add_timer(ev, now >= call->deadline_ns ? 1
                                  : (call->deadline_ns - now + 999999)
                                    / 1000000);
            }

            return;
        }

        /* the handler may set the call's own timer, or resume its coroutine */

        ngx_http_lua_nffi_unlist(call);
        call->timeout.handler(&call->timeout);
    }
}


static void
ngx_http_lua_nffi_call_cancelled(ngx_http_lua_nffi_waiter_t *waiter)
{
    ngx_http_lua_nffi_call_t  *call;

    call = (ngx_http_lua_nffi_call_t *)
               ((u_char *) waiter - offsetof(ngx_http_lua_nffi_call_t, waiter));

    call->ops->abort(call);
}


/* Prepares the coroutine for a yield. It waits until it is resumed or ends. */

void
ngx_http_lua_nffi_wait(ngx_http_lua_nffi_call_t *call,
    struct ngx_http_lua_co_ctx_s *coctx, uint32_t timeout_ms,
    uint64_t deadline_ns)
{
    call->waiter.cancel = ngx_http_lua_nffi_call_cancelled;
    ngx_http_lua_nffi_park_coroutine(&call->waiter, coctx);

    call->deadline_ns = deadline_ns;
    call->marked = 0;

    if (timeout_ms > 0) {
        ngx_http_lua_nffi_set_timeout(call, timeout_ms);
    }
}


void
ngx_http_lua_nffi_stop_waiting(ngx_http_lua_nffi_call_t *call)
{
    ngx_http_lua_nffi_unlist(call);

    if (call->timeout.timer_set) {
        ngx_del_timer(&call->timeout);
    }

    ngx_http_lua_nffi_unpark_coroutine(&call->waiter);
}


static void
ngx_http_lua_nffi_result_of(const nffi_host_response_t *response,
    ngx_http_lua_nffi_result_t *result)
{
    ngx_memzero(result, sizeof(*result));
    result->kind = response->rc == 0 ? NGX_HTTP_LUA_NFFI_OK
                                     : NGX_HTTP_LUA_NFFI_RC;
    result->rc = response->rc;
    result->data = response->data;
    result->size = response->size;

    if (response->flags & NFFI_HOST_ERROR) {
        result->kind = NGX_HTTP_LUA_NFFI_FAILED;
        result->code = "runtime_error";
        result->size = response->message_size;
        result->detail = (u_char *) response->data + response->message_size;
        result->detail_size = response->size - response->message_size;
    }
}


/* Passes a response to the waiting coroutine. */

void
ngx_http_lua_nffi_give_response(ngx_http_lua_nffi_call_t *call,
    const nffi_host_response_t *response)
{
    ngx_http_lua_nffi_result_t  result;

    ngx_http_lua_nffi_result_of(response, &result);
    ngx_http_lua_nffi_give_result(&call->waiter, &result, NULL, NULL);
}


/* Passes a response to the waiting coroutine, which is resumed next, and
   releases it. */

void
ngx_http_lua_nffi_hand_over_response(ngx_http_lua_nffi_call_t *call,
    nffi_host_response_t *response)
{
    ngx_http_lua_nffi_result_t  result;

    ngx_http_lua_nffi_result_of(response, &result);
    ngx_http_lua_nffi_give_result(&call->waiter, &result, call->host, response);
}


void
ngx_http_lua_nffi_give_failure(ngx_http_lua_nffi_call_t *call,
    const ngx_str_t *message, const char *code)
{
    ngx_http_lua_nffi_result_t  result;

    ngx_memzero(&result, sizeof(result));
    result.kind = NGX_HTTP_LUA_NFFI_FAILED;
    result.data = message->data;
    result.size = message->len;
    result.code = code;

    ngx_http_lua_nffi_give_result(&call->waiter, &result, NULL, NULL);
}


/* Fills in `err` with the reason why a task was not submitted. */

ngx_int_t
ngx_http_lua_nffi_refused(ngx_http_lua_nffi_error_t *err,
    ngx_http_lua_nffi_instance_t *inst, int rc)
{
    uint64_t     used;
    ngx_uint_t   one;
    const char  *limit;

    switch (rc) {

    case NFFI_QUEUE_FULL:
        limit = nffi_host_full(inst->host, &used);
        one = used == 1;

        return ngx_http_lua_nffi_fail(err, "queue_full",
                   "the queue of the runtime \"%V\" is full: %uL %s",
                   &inst->runtime->name, used,
                   limit == NULL
                   ? "bytes of requests are unanswered (max_bytes)"
                   : ngx_strcmp(limit, "max_queue") == 0
                   ? one ? "call waits (max_queue)" : "calls wait (max_queue)"
                   : ngx_strcmp(limit, "arena") == 0
                   ? "requests wait that its memory has no room for (arena)"
                   : one ? "call is unanswered (max_tasks)"
                         : "calls are unanswered (max_tasks)");

    case NFFI_NO_MEMORY:
        return ngx_http_lua_nffi_fail(err, "no_memory", "%s",
                                      nffi_error_text(rc));

    case NFFI_INVALID:
        return ngx_http_lua_nffi_fail(err, "invalid",
                   "the payload is larger than a queue takes (max_bytes), or "
                   "the method has more than 255 bytes");

    default:
        /* the glue did not close it: the runtime violated the queue protocol,
           or has just ended */
        return ngx_http_lua_nffi_fail(err, "runtime_down",
                                      "the runtime \"%V\" is down: %s",
                                      &inst->runtime->name,
                                      nffi_error_text(rc));
    }
}
