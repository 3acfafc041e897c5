/*
 * ngx_http_lua_nffi_collect.c - the glue: collects the responses of an instance
 * and resumes the coroutines that wait for them.
 *
 * Everything runs in the event loop.
 */

#ifndef DDEBUG
#define DDEBUG 0
#endif
#include "ddebug.h"


#include "ngx_http_lua_nffi_collect.h"
#include "ngx_http_lua_nffi_call.h"
#include "ngx_http_lua_nffi_instance.h"
#include "ngx_http_lua_nffi_log.h"
#include "ngx_http_lua_nffi_metrics.h"
#include "ngx_http_lua_nffi_reap.h"


/* Called when no response is left to collect. While calls are answered within
   microseconds, the event loop polls the queue for a bounded time instead of
   sleeping. It handles its other events between two polls. */

static ngx_uint_t
ngx_http_lua_nffi_looks_again(ngx_http_lua_nffi_instance_t *inst,
    ngx_uint_t collected)
{
    nffi_spinner_t  *spinner = &inst->spinner;

    if (collected) {
        if (spinner->until_ns) {
            nffi_spin_found(spinner);
        }

        return inst->awaited && nffi_spin_begin(spinner, false);
    }

    if (spinner->until_ns == 0) {
        return 0;
    }

    if (inst->awaited == 0) {
        spinner->until_ns = 0;
        return 0;
    }

    return nffi_spin_again(spinner);
}


/* Resumes the coroutines whose responses have arrived, one at a time: a resumed
   coroutine may kill the thread of another one, or close the runtime. */

void
ngx_http_lua_nffi_collect(ngx_http_lua_nffi_instance_t *inst, ngx_uint_t turn)
{
    int                        n;
    size_t                     bytes;
    ngx_uint_t                 left, waiting, messages;
    nffi_host_t               *host;
    nffi_host_response_t       response;
    ngx_http_lua_nffi_call_t  *call;

    if (inst->collecting || inst->host == NULL) {
        return;
    }

    inst->collecting = 1;
    host = inst->host;

    n = 0;
    bytes = 0;
    messages = 0;

    for (left = turn; left; left--) {

        if (bytes >= NGX_HTTP_LUA_NFFI_TURN_BYTES) {
            left = 0;
            break;
        }

        waiting = nffi_host_waiting(host);

        /* messages sent before the response: their request still exists */
        messages += ngx_http_lua_nffi_write_messages(inst);

        if (messages >= NGX_HTTP_LUA_NFFI_MESSAGES) {
            left = 0;
            break;
        }

        n = waiting ? nffi_host_collect(host, &response, 1) : 0;

        if (n != 1) {
            break;
        }

        call = response.owner;
        bytes += response.size;

        call->ops->deliver(call, &response);
    }

    inst->collecting = 0;
    ngx_http_lua_nffi_count_misuse(inst);

    if (inst->reaping) {
        ngx_http_lua_nffi_reap_soon();
    }

    if (left && n < 0) {
        /* nothing more can be collected, so no call would be answered */

        if (!inst->broken) {
            inst->ops->broken(inst);
        }

        return;
    }

    if (left == 0
        || ngx_http_lua_nffi_looks_again(inst, left != turn)
        || nffi_host_park(host))
    {
        if (!inst->collect.posted) {
            ngx_post_event(&inst->collect, &ngx_posted_next_events);
        }
    }
}


/* Collects in this turn of the event loop, after its timers. */

void
ngx_http_lua_nffi_collect_soon(ngx_http_lua_nffi_instance_t *inst)
{
    if (inst->collect.posted) {
        ngx_delete_posted_event(&inst->collect);
    }

    ngx_post_event(&inst->collect, &ngx_posted_events);
}


void
ngx_http_lua_nffi_collect_handler(ngx_event_t *ev)
{
    ngx_http_lua_nffi_collect(ev->data, NGX_HTTP_LUA_NFFI_TURN);
}


/* Collects after a thread of the library has woken the event loop. */

void
ngx_http_lua_nffi_woken(void *data)
{
    ngx_http_lua_nffi_collect(data, NGX_HTTP_LUA_NFFI_TURN);
}


/* Returns NGX_AGAIN if calls are left that can fail in the next turn. */

ngx_int_t
ngx_http_lua_nffi_fail_some_calls(ngx_http_lua_nffi_instance_t *inst,
    ngx_str_t *message, const char *code, ngx_uint_t max)
{
    ngx_uint_t                 n;
    nffi_host_t               *host = inst->host;
    ngx_http_lua_nffi_call_t  *call;

    for (n = 0; n < max && inst->host == host && host != NULL; n++) {
        call = nffi_host_take_pending(host);

        if (call == NULL) {
            return NGX_OK;
        }

        call->ops->fail(call, message, code);
    }

    return inst->host == host && host != NULL ? NGX_AGAIN : NGX_OK;
}


/* Fails every waiting call with nil, message, code. Calls that are made during
   this function are not included: a coroutine that retries in a loop would
   block the event loop. */

void
ngx_http_lua_nffi_fail_calls(ngx_http_lua_nffi_instance_t *inst,
    ngx_str_t *message, const char *code)
{
    (void) ngx_http_lua_nffi_fail_some_calls(inst, message, code,
                                             inst->awaited);
}
