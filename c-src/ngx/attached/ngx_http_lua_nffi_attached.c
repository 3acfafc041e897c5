/*
 * ngx_http_lua_nffi_attached.c - the attached glue: the door to ngx_lua,
 * ngx_http_lua_nffi_coroutine.h. It uses only the semaphore functions that
 * lua-resty-core also calls. A `coctx` is the slot on which a coroutine waits.
 */

#include "ngx_http_lua_nffi_attached.h"
#include "ngx_http_lua_nffi_coroutine.h"
#include "ngx_http_lua_nffi_error.h"
#include "ngx_http_lua_nffi_handshake.h"
#include "ngx_http_lua_nffi_layout.h"
#include "ngx_http_lua_nffi_slot.h"
#include "ngx_http_lua_nffi_subsystem.h"
#include "ngx_http_lua_nffi_worker.h"


/* of the calling coroutine, valid until the call has returned */

static void  *ngx_http_lua_nffi_lua_state;


uint32_t
ngx_http_lua_nonblocking_ffi_enter(uint32_t is_stream, void *coroutine)
{
    ngx_http_lua_nffi_lua_state = coroutine;

    return ngx_http_lua_nffi_subsystem_at(is_stream)->is_known;
}


struct ngx_http_lua_co_ctx_s *
ngx_http_lua_nffi_find_coroutine(ngx_http_request_t *r,
    ngx_http_lua_nffi_error_t *err)
{
    ngx_http_lua_nffi_slot_t       *slot;
    ngx_http_lua_nffi_subsystem_t  *subsystem;

    if (ngx_http_lua_nffi_check_thread(err) != NGX_OK) {
        return NULL;
    }

    subsystem = ngx_http_lua_nffi_subsystem_of(r);

    if (subsystem == NULL) {
        (void) ngx_http_lua_nffi_fail(err, "wrong_phase", "the call belongs to "
                                      "no request of http {} or stream {}");
        return NULL;
    }

    if (subsystem->is_unknown) {
        (void) ngx_http_lua_nffi_watch_unsupported(err);
        return NULL;
    }

    /* the requests of a handshake and of timers have no connection */

    if (ngx_http_lua_nffi_connection_of(r)->fd == (ngx_socket_t) -1
        && ngx_http_lua_nffi_check_handshake(r, subsystem, err) != NGX_OK)
    {
        return NULL;
    }

    slot = ngx_http_lua_nffi_slot_get(subsystem, r, ngx_http_lua_nffi_lua_state,
                                      err);
    if (slot == NULL) {
        return NULL;
    }

    /* below a C function a yield would raise an error after the task is
       queued */

    if (!subsystem->is_yieldable(
            ngx_http_lua_nffi_watch_lua_state(&slot->watch)))
    {
        ngx_http_lua_nffi_slot_put(slot);
        (void) ngx_http_lua_nffi_fail(err, "wrong_phase", "attempt to yield "
                                      "across C-call boundary (a callback of "
                                      "string.gsub() or table.sort(), "
                                      "require())");
        return NULL;
    }

    return (struct ngx_http_lua_co_ctx_s *) slot;
}


static ngx_http_lua_nffi_slot_t *
ngx_http_lua_nffi_slot_of(ngx_http_lua_nffi_waiter_t *waiter)
{
    return (ngx_http_lua_nffi_slot_t *) waiter->coctx;
}


void
ngx_http_lua_nffi_park_coroutine(ngx_http_lua_nffi_waiter_t *waiter,
    struct ngx_http_lua_co_ctx_s *coctx)
{
    ngx_http_lua_nffi_slot_t  *slot = (ngx_http_lua_nffi_slot_t *) coctx;

    if (waiter == NULL) {
        ngx_http_lua_nffi_slot_put(slot);
        return;
    }

    ngx_http_lua_nffi_slot_take(slot, waiter);
    waiter->coctx = coctx;
}


/* as in a built glue; ngx_lua pushes the values that a wait returns */

int
ngx_http_lua_nonblocking_ffi_yield(void *L)
{
    ngx_http_lua_nffi_slot_t  *slot = ngx_http_lua_nffi_slot_taken();

    if (slot == NULL) {
        return 0;
    }

    if (ngx_http_lua_nffi_watch_lua_state(&slot->watch) != L) {
        ngx_http_lua_nffi_slot_cancel(slot);
        return 0;
    }

    return slot->watch.subsystem->yield(L, 0);
}


void
ngx_http_lua_nffi_unpark_coroutine(ngx_http_lua_nffi_waiter_t *waiter)
{
    ngx_http_lua_nffi_slot_t  *slot = ngx_http_lua_nffi_slot_of(waiter);

    /* none: its cycle has ended */

    if (slot) {
        slot->waiter = NULL;
    }
}


void
ngx_http_lua_nffi_give_result(ngx_http_lua_nffi_waiter_t *waiter,
    const ngx_http_lua_nffi_result_t *result, nffi_host_t *host,
    nffi_host_response_t *response)
{
    ngx_http_lua_nffi_slot_t  *slot = ngx_http_lua_nffi_slot_of(waiter);

    if (response) {
        ngx_http_lua_nffi_delivery_lend(&slot->delivery, result, host,
                                        response);

    } else {
        ngx_http_lua_nffi_delivery_set(&slot->delivery, result);
    }
}


void
ngx_http_lua_nffi_resume_coroutine(ngx_http_lua_nffi_waiter_t *waiter)
{
    ngx_http_lua_nffi_slot_t  *slot = ngx_http_lua_nffi_slot_of(waiter);

    waiter->coctx = NULL;
    ngx_http_lua_nffi_slot_resume(slot);
}


int
ngx_http_lua_nonblocking_ffi_is_openresty(void)
{
    return ngx_http_lua_nffi_is_openresty();
}


uint32_t
ngx_http_lua_nonblocking_ffi_compared(uint32_t done)
{
    static ngx_pid_t  compared;

    if (done) {
        compared = ngx_pid;
    }

    return compared == ngx_pid;
}


int
ngx_http_lua_nonblocking_ffi_self_test(uint32_t workers,
    ngx_http_lua_nffi_error_t *err)
{
    return ngx_http_lua_nffi_check_layout(workers, err);
}
