/* calls.c - the calls under way in the event loop, and what becomes of them. */

#include "calls.h"
#include "json.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define MAX_MS (60 * 60 * 1000)

struct call {
    TAILQ_ENTRY(call) link;
    int is_blocked;           /* which list it is in */
    nffi_task_t task;
    uint64_t due_ns;
    int ms;
    int is_stream;
    int sent;                 /* chunks of it */
    int count;
};


static uint64_t
now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);

    return (uint64_t) now.tv_sec * 1000000000 + (uint64_t) now.tv_nsec;
}


void
calls_init(calls_t *calls)
{
    TAILQ_INIT(&calls->timed);
    TAILQ_INIT(&calls->blocked);
}


int
calls_none(const calls_t *calls)
{
    return TAILQ_EMPTY(&calls->timed) && TAILQ_EMPTY(&calls->blocked);
}


uint64_t
calls_due(const calls_t *calls)
{
    const call_t *first = TAILQ_FIRST(&calls->timed);

    return first != NULL ? first->due_ns : 0;
}


/* Most calls wait equally long, so its place is found from the end. */
static void
insert(calls_t *calls, call_t *call)
{
    call_t *before;

    TAILQ_FOREACH_REVERSE(before, &calls->timed, call_list, link) {
        if (before->due_ns <= call->due_ns) {
            TAILQ_INSERT_AFTER(&calls->timed, before, call, link);
            return;
        }
    }

    TAILQ_INSERT_HEAD(&calls->timed, call, link);
}


static void
remove_call(calls_t *calls, call_t *call)
{
    if (call->is_blocked) {
        TAILQ_REMOVE(&calls->blocked, call, link);
        call->is_blocked = 0;
    } else {
        TAILQ_REMOVE(&calls->timed, call, link);
    }
}


static call_t *
find(calls_t *calls, nffi_task_t task)
{
    call_t *call;

    TAILQ_FOREACH(call, &calls->blocked, link) {
        if (call->task == task) {
            return call;
        }
    }

    TAILQ_FOREACH(call, &calls->timed, link) {
        if (call->task == task) {
            return call;
        }
    }

    return NULL;
}


static void
fail(nffi_task_t task, char *message)
{
    nffi_response_t response;

    json_failure(&response, task, message);
    nffi_respond_batch(&response, 1);
}


/* 0, or -1 with a reason in `message`. */
static int
read_request(call_t *call, const nffi_request_t *request, char *message)
{
    int rc;
    json_t *params;
    json_error_t what;

    params = json_read(request->data, request->size, message);
    if (params == NULL) {
        return -1;
    }

    if (json_is_method(request, "wait")) {
        rc = json_unpack_ex(params, &what, 0, "{s:i}", "ms", &call->ms);

    } else if (json_is_method(request, "ticks")) {
        rc = json_unpack_ex(params, &what, 0, "{s:i s:i}", "ms", &call->ms,
                            "count", &call->count);
        call->is_stream = 1;

    } else {
        json_decref(params);
        snprintf(message, MESSAGE_SIZE, "unknown method \"%.*s\"",
                 (int) request->method_size, request->method);
        return -1;
    }

    json_decref(params);

    if (rc != 0) {
        snprintf(message, MESSAGE_SIZE, "request: %s", what.text);
        return -1;
    }

    if (call->ms < 0 || call->ms > MAX_MS) {
        snprintf(message, MESSAGE_SIZE, "ms is a number from 0 to %d", MAX_MS);
        return -1;
    }

    if (call->is_stream && call->count < 1) {
        snprintf(message, MESSAGE_SIZE, "count is a number from 1");
        return -1;
    }

    if (call->is_stream && !(request->flags & NFFI_REQUEST_STREAM)) {
        snprintf(message, MESSAGE_SIZE,
                 "ticks is a stream: runtime.streams:ticks()");
        return -1;
    }

    return 0;
}


void
calls_begin(calls_t *calls, const nffi_request_t *request)
{
    char message[MESSAGE_SIZE] = "no memory";
    call_t *call = calloc(1, sizeof(*call));

    if (call == NULL || read_request(call, request, message) != 0) {
        fail(request->task, message);
        free(call);
        return;
    }

    call->task = request->task;
    call->due_ns = now_ns() + (uint64_t) call->ms * 1000000;
    insert(calls, call);
}


static void
respond(call_t *call)
{
    nffi_response_t response;

    json_response(&response, call->task,
                  json_pack("{s:i}", "waited", call->ms));
    nffi_respond_batch(&response, 1);
    free(call);
}


/* Writes one chunk of a stream, which then waits for its time or its reader. */
static void
tick(calls_t *calls, call_t *call)
{
    int rc, size;
    char chunk[32];

    size = snprintf(chunk, sizeof(chunk), "{\"tick\":%d}\n",
                    call->sent + 1);
    rc = nffi_stream_write(call->task, chunk, (size_t) size);

    if (rc == NFFI_WOULD_BLOCK) {
        call->is_blocked = 1;
        TAILQ_INSERT_TAIL(&calls->blocked, call, link);
        return;
    }

    if (rc == NFFI_OK && ++call->sent < call->count) {
        call->due_ns += (uint64_t) call->ms * 1000000;
        insert(calls, call);
        return;
    }

    /* the stream is cancelled, or complete */
    nffi_stream_end(call->task);
    free(call);
}


/* Only the calls that are due now, not those that become due in this turn: a
   stream without pauses ends its turn when it has no credit. */
void
calls_fire(calls_t *calls)
{
    call_t *call;
    uint64_t now = now_ns();

    while ((call = TAILQ_FIRST(&calls->timed)) != NULL && call->due_ns <= now) {
        TAILQ_REMOVE(&calls->timed, call, link);

        if (call->is_stream) {
            tick(calls, call);
        } else {
            respond(call);
        }
    }
}


/* A cancelled call also needs a response, which is discarded. */
void
calls_cancelled(calls_t *calls, nffi_task_t task)
{
    call_t *call = find(calls, task);

    if (call != NULL) {
        remove_call(calls, call);
        nffi_stream_end(task);
        free(call);
    }
}


void
calls_writable(calls_t *calls, nffi_task_t task)
{
    call_t *call = find(calls, task);

    if (call != NULL && call->is_blocked) {
        remove_call(calls, call);
        call->due_ns = now_ns();
        insert(calls, call);
    }
}
