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


/* a turn that polls takes at most this long before other events are handled */
#define NGX_HTTP_LUA_NFFI_POLL_NS  10000


/* What polling knows of this turn. */

typedef struct {
    uint64_t    until_ns;       /* 0: this turn has not begun to poll */
    ngx_uint_t  collected;      /* since the last poll */
} ngx_http_lua_nffi_turn_t;


/* Continues to poll at the start of a turn. While calls are answered within
   microseconds, the event loop polls the queue for a bounded time instead of
   sleeping. It handles its other events between two polls. */

static void
ngx_http_lua_nffi_poll_again(ngx_http_lua_nffi_instance_t *inst,
    nffi_host_t *host, ngx_http_lua_nffi_turn_t *turn)
{
    nffi_spinner_t  *spinner = &inst->spinner;

    if (inst->awaited == 0) {
        spinner->until_ns = 0;
        return;
    }

    if (nffi_host_waiting(host)) {
        nffi_spin_found_at(spinner, nffi_spin_now());
        return;
    }

    if (nffi_spin_again(spinner) && nffi_host_waiting(host)) {
        turn->until_ns = spinner->seen_ns + NGX_HTTP_LUA_NFFI_POLL_NS;
        nffi_spin_found(spinner);
    }
}


/* Begins to poll when no response is left. Returns 1 if the first poll has
   found one: short calls that follow each other need no turn for each. */

static ngx_uint_t
ngx_http_lua_nffi_poll(ngx_http_lua_nffi_instance_t *inst, nffi_host_t *host,
    ngx_http_lua_nffi_turn_t *turn)
{
    nffi_spinner_t  *spinner = &inst->spinner;

    if (!turn->collected) {
        return 0;
    }

    turn->collected = 0;

    if (spinner->until_ns) {
        nffi_spin_found_at(spinner, nffi_spin_now());
    }

    if (inst->awaited == 0 || !nffi_spin_begin(spinner, false)) {
        return 0;
    }

    if (turn->until_ns == 0) {
        turn->until_ns = spinner->seen_ns + NGX_HTTP_LUA_NFFI_POLL_NS;

    } else if (spinner->seen_ns >= turn->until_ns) {
        return 0;
    }

    /* other events wait for their turn, such as those of another runtime */

    if (!ngx_queue_empty(&ngx_posted_events)
        || !ngx_queue_empty(&ngx_posted_next_events))
    {
        return 0;
    }

    if (!nffi_spin_look_again(spinner) || !nffi_host_waiting(host)) {
        return 0;
    }

    nffi_spin_found(spinner);

    return 1;
}


/* Whether the event loop polls in its next turn. */

static ngx_uint_t
ngx_http_lua_nffi_polls(ngx_http_lua_nffi_instance_t *inst)
{
    if (inst->awaited == 0) {
        inst->spinner.until_ns = 0;
    }

    return inst->spinner.until_ns != 0;
}


/* Resumes the coroutines whose responses have arrived, one at a time: a resumed
   coroutine may kill the thread of another one, or close the runtime. */

void
ngx_http_lua_nffi_collect(ngx_http_lua_nffi_instance_t *inst, ngx_uint_t max)
{
    int                        n;
    size_t                     bytes;
    ngx_uint_t                 left, waiting, messages;
    nffi_host_t               *host;
    nffi_host_response_t       response;
    ngx_http_lua_nffi_call_t  *call;
    ngx_http_lua_nffi_turn_t   turn = { 0, 0 };

    if (inst->collecting || inst->host == NULL) {
        return;
    }

    inst->collecting = 1;
    host = inst->host;

    if (inst->spinner.until_ns) {
        ngx_http_lua_nffi_poll_again(inst, host, &turn);
    }

    n = 0;
    bytes = 0;
    messages = 0;

    for (left = max; left; left--) {

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

        if (n == 0 && ngx_http_lua_nffi_poll(inst, host, &turn)) {
            continue;
        }

        if (n != 1) {
            break;
        }

        turn.collected = 1;
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
        || ngx_http_lua_nffi_polls(inst)
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
