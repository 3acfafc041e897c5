/*
 * nffi_testhost.c - the worker of a unit test. There is no event loop: one
 * mutex serialises the worker's side of the queue, and a thread that waits for
 * its own call collects the responses for all.
 */

#define _GNU_SOURCE

#include "nffi_testhost.h"
#include "host/nffi_host.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BATCH 64
#define WINDOW (64u << 10)

struct nffi_testhost {
    pthread_mutex_t mutex;
    pthread_cond_t changed;   /* responses wait, or a call has ended */
    nffi_host_t *host;
    nffi_queue_t *queue;
};

typedef struct chunk {
    struct chunk *next;
    size_t size;
    char data[];
} chunk_t;

struct nffi_testhost_call {
    nffi_testhost_t *testhost;
    nffi_task_t task;
    uint64_t deadline_ns;     /* CLOCK_MONOTONIC, 0: none */
    int ended;
    int streamed;
    chunk_t *chunks;          /* that came and were not read */
    chunk_t **last;
    chunk_t *reading;
    nffi_testhost_response_t response;
};


static uint64_t
now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);

    return (uint64_t) now.tv_sec * 1000000000 + (uint64_t) now.tv_nsec;
}


/* thread: of the runtime, which holds no lock of the queue then */
static void
wake(void *data)
{
    nffi_testhost_t *testhost = data;

    pthread_mutex_lock(&testhost->mutex);
    pthread_cond_broadcast(&testhost->changed);
    pthread_mutex_unlock(&testhost->mutex);
}


int
nffi_testhost_create(nffi_testhost_t **result, uint32_t max_queue)
{
    return nffi_testhost_create_with_config(result, max_queue, NULL, 0);
}


int
nffi_testhost_create_with_config(nffi_testhost_t **result, uint32_t max_queue,
    const void *config, size_t config_size)
{
    int rc;
    nffi_testhost_t *testhost;
    pthread_condattr_t attr;
    nffi_host_options_t options = { 0 };

    testhost = calloc(1, sizeof(*testhost));
    if (testhost == NULL) {
        return NFFI_NO_MEMORY;
    }

    pthread_mutex_init(&testhost->mutex, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&testhost->changed, &attr);
    pthread_condattr_destroy(&attr);

    options.max_queue = max_queue;
    options.config = config;
    options.config_size = config_size;
    options.wake = wake;
    options.wake_data = testhost;

    rc = nffi_host_create(&testhost->host, &options);
    if (rc != NFFI_OK) {
        goto failed;
    }

    rc = nffi_host_queue(testhost->host, &testhost->queue);
    if (rc != NFFI_OK) {
        nffi_host_destroy(testhost->host);
        goto failed;
    }

    (void) nffi_host_park(testhost->host);
    *result = testhost;

    return NFFI_OK;

failed:

    pthread_cond_destroy(&testhost->changed);
    pthread_mutex_destroy(&testhost->mutex);
    free(testhost);

    return rc;
}


nffi_queue_t *
nffi_testhost_queue(nffi_testhost_t *testhost)
{
    return testhost->queue;
}


void
nffi_testhost_close(nffi_testhost_t *testhost)
{
    pthread_mutex_lock(&testhost->mutex);
    nffi_host_close(testhost->host);
    pthread_mutex_unlock(&testhost->mutex);
}


static void
finish(nffi_testhost_call_t *call, enum nffi_testhost_end end)
{
    call->ended = 1;
    call->response.end = end;
    pthread_cond_broadcast(&call->testhost->changed);
}


static void
keep_chunk(nffi_testhost_call_t *call, const nffi_host_response_t *response)
{
    chunk_t *chunk;

    chunk = malloc(sizeof(*chunk) + response->size);
    if (chunk == NULL || (response->flags & NFFI_HOST_ERROR)) {
        free(chunk);
        nffi_host_cancel(call->testhost->host, call->task);
        finish(call, NFFI_TESTHOST_BROKEN);
        return;
    }

    chunk->next = NULL;
    chunk->size = response->size;

    if (response->size > 0) {
        memcpy(chunk->data, response->data, response->size);
    }

    *call->last = chunk;
    call->last = &chunk->next;
    pthread_cond_broadcast(&call->testhost->changed);
}


static void
keep_response(nffi_testhost_call_t *call, const nffi_host_response_t *response)
{
    char *copy;
    size_t message = response->size;

    if (response->flags & NFFI_HOST_CHUNK) {
        keep_chunk(call, response);
        return;
    }

    if (response->flags & NFFI_HOST_END) {
        finish(call, NFFI_TESTHOST_RESPONSE);
        return;
    }

    copy = malloc(response->size + 1);
    if (copy == NULL) {
        finish(call, NFFI_TESTHOST_BROKEN);
        return;
    }

    if (response->size > 0) {
        memcpy(copy, response->data, response->size);
    }

    if (response->flags & NFFI_HOST_ERROR) {
        message = response->message_size;
        call->response.detail = copy + message;
        call->response.detail_size = response->size - message;
    }

    call->response.data = copy;
    call->response.size = message;
    call->response.rc = response->rc;
    finish(call, response->flags & NFFI_HOST_ERROR ? NFFI_TESTHOST_ERROR
                                                   : NFFI_TESTHOST_RESPONSE);
}


static void
print_logs(nffi_testhost_t *testhost)
{
    nffi_host_log_t log;

    static const char *levels[] = {
        "", "error", "warn", "notice", "info", "debug"
    };

    while (nffi_host_log(testhost->host, &log) == 1) {
        fprintf(stderr, "[%s] %.*s\n",
                levels[log.level >= NFFI_LOG_ERROR
                       && log.level <= NFFI_LOG_DEBUG ? log.level : 0],
                (int) log.size, (const char *) log.text);
    }
}


/* Takes the responses that are there; the mutex is held. */
static void
collect(nffi_testhost_t *testhost)
{
    int i, n;
    void *owner;
    nffi_host_response_t responses[BATCH];

    print_logs(testhost);

    while ((n = nffi_host_collect(testhost->host, responses, BATCH)) > 0) {
        for (i = 0; i < n; i++) {
            if (responses[i].owner != NULL) {
                keep_response(responses[i].owner, &responses[i]);
            }

            nffi_host_release(testhost->host, &responses[i]);
        }
    }

    if (n < 0) {
        nffi_host_close(testhost->host);

        while ((owner = nffi_host_take_pending(testhost->host)) != NULL) {
            finish(owner, NFFI_TESTHOST_BROKEN);
        }
    }
}


uint32_t
nffi_testhost_unanswered(nffi_testhost_t *testhost)
{
    nffi_host_state_t state;

    pthread_mutex_lock(&testhost->mutex);

    do {
        collect(testhost);
    } while (nffi_host_park(testhost->host));

    nffi_host_state(testhost->host, &state);
    pthread_mutex_unlock(&testhost->mutex);

    return state.unanswered;
}


static int
begin(nffi_testhost_t *testhost, const char *method, size_t method_size,
    const void *data, size_t size, uint32_t timeout_ms, uint32_t window,
    nffi_testhost_call_t **result)
{
    int rc;
    nffi_testhost_call_t *call;
    nffi_host_request_t request = { 0 };

    call = calloc(1, sizeof(*call));
    if (call == NULL) {
        return NFFI_NO_MEMORY;
    }

    call->testhost = testhost;
    call->streamed = window > 0;
    call->last = &call->chunks;

    if (timeout_ms > 0) {
        call->deadline_ns = now_ns() + (uint64_t) timeout_ms * 1000000;
    }

    request.method = method;
    request.method_size = method_size;
    request.data = data;
    request.size = size;
    request.deadline_ns = call->deadline_ns;
    request.window = window;

    pthread_mutex_lock(&testhost->mutex);
    rc = nffi_host_submit(testhost->host, &request, call, &call->task);
    pthread_mutex_unlock(&testhost->mutex);

    if (rc != NFFI_OK) {
        free(call);
        return rc;
    }

    *result = call;

    return NFFI_OK;
}


int
nffi_testhost_call(nffi_testhost_t *testhost, const char *method,
    size_t method_size, const void *data, size_t size, uint32_t timeout_ms,
    nffi_testhost_call_t **call)
{
    return begin(testhost, method, method_size, data, size, timeout_ms, 0,
                 call);
}


int
nffi_testhost_stream(nffi_testhost_t *testhost, const char *method,
    size_t method_size, const void *data, size_t size, uint32_t timeout_ms,
    uint32_t window, nffi_testhost_call_t **call)
{
    return begin(testhost, method, method_size, data, size, timeout_ms,
                 window > 0 ? window : WINDOW, call);
}


/* Sleeps until something has changed, or the call's deadline. */
static void
wait_for_change(nffi_testhost_call_t *call)
{
    struct timespec until;
    nffi_testhost_t *testhost = call->testhost;

    if (call->deadline_ns == 0) {
        pthread_cond_wait(&testhost->changed, &testhost->mutex);
        return;
    }

    until.tv_sec = (time_t) (call->deadline_ns / 1000000000);
    until.tv_nsec = (long) (call->deadline_ns % 1000000000);

    if (pthread_cond_timedwait(&testhost->changed, &testhost->mutex, &until)
        == ETIMEDOUT && !call->ended)
    {
        nffi_host_cancel(testhost->host, call->task);
        finish(call, NFFI_TESTHOST_TIMEOUT);
    }
}


/* Until the call has ended or, with `chunk`, one has come; the mutex is
   held. */
static void
wait_for(nffi_testhost_call_t *call, int chunk)
{
    nffi_testhost_t *testhost = call->testhost;

    for ( ;; ) {
        collect(testhost);

        if (call->ended || (chunk && call->chunks != NULL)) {
            return;
        }

        if (nffi_host_park(testhost->host) == 0) {
            wait_for_change(call);
        }
    }
}


void
nffi_testhost_wait(nffi_testhost_call_t *call,
    nffi_testhost_response_t *response)
{
    pthread_mutex_lock(&call->testhost->mutex);
    wait_for(call, 0);
    *response = call->response;
    pthread_mutex_unlock(&call->testhost->mutex);
}


int
nffi_testhost_read(nffi_testhost_call_t *call, const void **data, size_t *size)
{
    chunk_t *chunk;

    free(call->reading);
    call->reading = NULL;
    pthread_mutex_lock(&call->testhost->mutex);
    wait_for(call, 1);
    chunk = call->chunks;

    if (chunk != NULL) {
        call->chunks = chunk->next;

        if (call->chunks == NULL) {
            call->last = &call->chunks;
        }

        call->reading = chunk;
        nffi_host_credit(call->testhost->host, call->task, chunk->size);
        *data = chunk->data;
        *size = chunk->size;

    } else if (call->streamed && call->response.end == NFFI_TESTHOST_RESPONSE
               && call->response.rc == 0 && call->response.data != NULL)
    {
        /* a single response: a stream of one chunk */
        call->streamed = 0;
        *data = call->response.data;
        *size = call->response.size;
        pthread_mutex_unlock(&call->testhost->mutex);
        return 1;
    }

    pthread_mutex_unlock(&call->testhost->mutex);

    return chunk != NULL;
}


void
nffi_testhost_cancel(nffi_testhost_call_t *call)
{
    nffi_testhost_t *testhost = call->testhost;

    pthread_mutex_lock(&testhost->mutex);
    collect(testhost);

    if (!call->ended) {
        nffi_host_cancel(testhost->host, call->task);
        finish(call, NFFI_TESTHOST_CANCELLED);
    }

    pthread_mutex_unlock(&testhost->mutex);
}


void
nffi_testhost_free(nffi_testhost_call_t *call)
{
    chunk_t *chunk;

    nffi_testhost_cancel(call);

    while ((chunk = call->chunks) != NULL) {
        call->chunks = chunk->next;
        free(chunk);
    }

    free(call->reading);
    free((void *) call->response.data);
    free(call);
}
