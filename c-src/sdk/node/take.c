/*
 * take.c - takes tasks in Node's own loop and hands them to JavaScript, one
 * call for a batch: what costs is not the call but waking and making objects
 * for each task.
 *
 * A turn is bounded; when it did not suffice, the idle handle goes on in the
 * next one, after timers and I/O had theirs.
 */

#include "addon.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>


static double
ms_of(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);

    return (double) now.tv_sec * 1e3 + (double) now.tv_nsec / 1e6;
}


/* Reads both clocks when the time of the loop has changed, at most once in a
   turn, and not for each call. Only the main thread has a loop here. */
static double
clock_difference(addon_t *addon)
{
    uint64_t turn = addon->loop == NULL ? 0 : uv_now(addon->loop);

    if (turn == 0 || turn != addon->clocks_read) {
        addon->clock_difference = ms_of(CLOCK_REALTIME)
                                  - ms_of(CLOCK_MONOTONIC);
        addon->clocks_read = turn;
    }

    return addon->clock_difference;
}


/* Deadlines are in the time of Date.now(). */
static double
deadline_of(addon_t *addon, const nffi_request_t *request)
{
    if (request->deadline_ns == 0) {
        return 0;
    }

    return clock_difference(addon) + (double) request->deadline_ns / 1e6;
}


static void
copy_batch(addon_t *addon)
{
    size_t i, used;
    addon_memory_t *memory = addon->memory;
    const nffi_request_t *from;
    addon_request_t *to;

    /* method names first: they must find room, payloads need not */
    used = 0;

    for (i = 0; i < addon->batch_size; i++) {
        from = &addon->batch[i];
        to = &memory->requests[i];
        to->task[0] = (uint32_t) from->task;
        to->task[1] = (uint32_t) (from->task >> 32);
        to->deadline = deadline_of(addon, from);
        to->method_offset = (int32_t) used;
        to->method_size = (int32_t) from->method_size;

        if (from->method_size > 0) {
            memcpy(memory->request_bytes + used, from->method,
                   from->method_size);
            used += from->method_size;
        }
    }

    for (i = 0; i < addon->batch_size; i++) {
        from = &addon->batch[i];
        to = &memory->requests[i];

        if (from->size > ADDON_LARGE
            || from->size > sizeof(memory->request_bytes) - used)
        {
            to->offset = -1;
            to->size = 0;
            continue;
        }

        to->offset = (int32_t) used;
        to->size = (int32_t) from->size;

        if (from->size > 0) {
            memcpy(memory->request_bytes + used, from->data, from->size);
            used += from->size;
        }
    }
}


int
addon_take(addon_t *addon, nffi_task_t task)
{
    int code;

    addon->batch_size = 0;
    code = nffi_task_request(task, &addon->batch[0]);

    if (code == NFFI_OK) {
        addon->batch_size = 1;
        copy_batch(addon);
    }

    return code;
}


/*
 * Runs the ticks and microtasks that a function has left behind. What throws
 * there is reported as uncaught by Node, and fails no call.
 */
static void
run_microtasks(addon_t *addon, napi_value receiver)
{
    napi_callback_scope scope;

    if (napi_open_callback_scope(addon->env, receiver, addon->context, &scope)
        == napi_ok)
    {
        napi_close_callback_scope(addon->env, scope);
    }
}


/*
 * Calls a function of JavaScript, then its microtasks, then sends what they
 * answered. Returns false when it threw or could not be called; `exception` is
 * then what it threw, or NULL.
 *
 * napi_make_callback() does the first two. But each scope of a handler inside
 * its own then leaves an entry in a list of Node, which costs more to remove
 * than the second crossing.
 */
static bool
call_javascript(addon_t *addon, napi_ref reference, size_t count,
    napi_value *exception)
{
    bool pending;
    napi_env env = addon->env;
    napi_value receiver, function, argument;
    napi_status status;

    *exception = NULL;

    if (napi_get_reference_value(env, addon->receiver, &receiver) != napi_ok
        || napi_get_reference_value(env, reference, &function) != napi_ok
        || napi_create_uint32(env, (uint32_t) count, &argument) != napi_ok)
    {
        return false;
    }

    addon->memory->in_batch = 1;
    status = napi_call_function(env, receiver, function, 1, &argument, NULL);

    if (status == napi_ok) {
        run_microtasks(addon, receiver);
    }

    addon->memory->in_batch = 0;
    addon_flush(addon);

    if (status == napi_ok) {
        return true;
    }

    if (napi_is_exception_pending(env, &pending) == napi_ok && pending) {
        napi_get_and_clear_last_exception(env, exception);
    }

    return false;
}


/* Hands a fault to process.on("uncaughtException"). */
static void
report(addon_t *addon, napi_value exception)
{
    if (exception != NULL && !addon->closing) {
        napi_fatal_exception(addon->env, exception);
    }
}


static void
call_js(addon_t *addon, napi_ref function, size_t count)
{
    napi_handle_scope scope;
    napi_value exception;

    if (napi_open_handle_scope(addon->env, &scope) != napi_ok) {
        return;
    }

    if (!call_javascript(addon, function, count, &exception)) {
        report(addon, exception);
    }

    napi_close_handle_scope(addon->env, scope);
}


/* The handler of each task is called inside on_batch and cannot make it throw;
   if it threw nevertheless, its tasks would get no response. */
static void
deliver_batch(addon_t *addon)
{
    size_t i;
    napi_handle_scope scope;
    napi_value exception = NULL;

    copy_batch(addon);

    if (napi_open_handle_scope(addon->env, &scope) != napi_ok) {
        scope = NULL;
    }

    if (scope == NULL
        || !call_javascript(addon, addon->on_batch, addon->batch_size,
                            &exception))
    {
        for (i = 0; i < addon->batch_size; i++) {
            addon_fail(addon->batch[i].task, "the runtime failed");
        }

        report(addon, exception);
    }

    addon->batch_size = 0;

    if (scope != NULL) {
        napi_close_handle_scope(addon->env, scope);
    }
}


/* Asks for tasks until there are no more, and names them to JavaScript. */
static void
report_tasks(addon_t *addon, napi_ref function,
    int (*ask)(nffi_queue_t *queue, nffi_task_t *tasks, size_t max))
{
    int count, i;
    nffi_task_t tasks[ADDON_BATCH];

    do {
        count = ask(addon->queue, tasks, ADDON_BATCH);

        for (i = 0; i < count; i++) {
            addon->memory->noted[i][0] = (uint32_t) tasks[i];
            addon->memory->noted[i][1] = (uint32_t) (tasks[i] >> 32);
        }

        if (count > 0) {
            call_js(addon, function, (size_t) count);
        }

    } while (count == ADDON_BATCH && !addon->closing);
}


void
addon_report_cancelled(addon_t *addon)
{
    report_tasks(addon, addon->on_cancelled, nffi_queue_cancelled);
}


/* The end: no task arrives after it, but credit for streams and cancellations
   may. These alone do not keep Node running. */
static void
end(addon_t *addon)
{
    addon->ended = true;
    uv_unref((uv_handle_t *) addon->watch);
    call_js(addon, addon->on_closed, 0);
}


/* Returns whether there may be more. */
static bool
take_turn(addon_t *addon)
{
    int count, round;

    for (round = 0; round < ADDON_ROUNDS; round++) {
        addon_report_cancelled(addon);

        if (!addon->closing) {
            report_tasks(addon, addon->on_writable, nffi_stream_writable);
        }

        if (addon->closing) {
            return false;
        }

        count = addon->ended ? 0 : nffi_queue_poll(addon->queue, addon->batch,
                                                   ADDON_BATCH, 0);

        if (count > 0) {
            addon->batch_size = (size_t) count;
            deliver_batch(addon);

        } else if (count < 0) {
            end(addon);
        }

        if (addon->closing) {
            return false;
        }

        /* behind a single call there is rarely another one to poll for */
        if ((count == 0 || count == 1) && nffi_queue_arm(addon->queue) == 0) {
            return false;
        }
    }

    return true;
}


static void
on_idle(uv_idle_t *again)
{
    addon_t *addon = uv_handle_get_data((uv_handle_t *) again);

    addon->more = take_turn(addon);

    if (!addon->more && !addon->closing) {
        uv_idle_stop(again);
    }
}


/* The descriptor stays readable until the queue is armed again, so this is
   called in each turn; while the idle handle is at work, it alone takes. */
static void
on_readable(uv_poll_t *watch, int status, int events)
{
    addon_t *addon = uv_handle_get_data((uv_handle_t *) watch);

    (void) status;
    (void) events;

    if (addon->more) {
        return;
    }

    addon->more = take_turn(addon);

    if (addon->more) {
        uv_idle_start(addon->again, on_idle);
    }
}


int
addon_watch(addon_t *addon, uv_loop_t *loop)
{
    int code;

    addon->watch = calloc(1, uv_handle_size(NFFI_UV_POLL));
    addon->again = calloc(1, uv_handle_size(NFFI_UV_IDLE));

    if (addon->watch == NULL || addon->again == NULL) {
        code = NFFI_NO_MEMORY;
        goto failed;
    }

    if (uv_poll_init(loop, addon->watch, nffi_queue_fd(addon->queue)) != 0) {
        code = NFFI_SYSTEM;
        goto failed;
    }

    addon->loop = loop;
    uv_idle_init(loop, addon->again);
    addon->open_handles = 2;
    uv_handle_set_data((uv_handle_t *) addon->watch, addon);
    uv_handle_set_data((uv_handle_t *) addon->again, addon);

    /* the first turn arms the queue; tasks may wait already */
    addon->more = true;
    uv_idle_start(addon->again, on_idle);

    if (uv_poll_start(addon->watch, NFFI_UV_READABLE, on_readable) != 0) {
        return NFFI_SYSTEM;
    }

    return NFFI_OK;

failed:

    free(addon->watch);
    free(addon->again);
    addon->watch = NULL;
    addon->again = NULL;

    return code;
}


static void
on_handle_closed(uv_handle_t *handle)
{
    addon_t *addon = uv_handle_get_data(handle);

    free(handle);

    if (--addon->open_handles == 0) {
        addon->unwatched(addon);
    }
}


void
addon_unwatch(addon_t *addon, void (*unwatched)(addon_t *addon))
{
    if (addon->open_handles == 0) {
        unwatched(addon);
        return;
    }

    addon->unwatched = unwatched;
    uv_close((uv_handle_t *) addon->watch, on_handle_closed);
    uv_close((uv_handle_t *) addon->again, on_handle_closed);
}
