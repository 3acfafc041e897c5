/*
 * nffi_echo.c - the runtime that responds to every request with the bytes of
 * the request. The build loads it to prove its product; it is also the shortest
 * native library.
 *
 * Configuration: the number of threads as text, 1 when empty. A method other
 * than "echo" is for tests: "fail" responds with an error, "sleep" waits for
 * the number of milliseconds in the request, "count" responds in chunks,
 * "counted" returns how many chunks there were, "log" logs its request, as
 * often as the number before it says, "log-late" after the response.
 */

#include <nffi.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BATCH 64
#define MAX_THREADS 64

NFFI_RUNTIME_ABI;

NFFI_API int nffi_runtime_start(nffi_queue_t *queue, const char *config,
    size_t config_size, char *error, size_t error_size);


static atomic_ulong counted;
static atomic_int counting;


static int
is_method(const nffi_request_t *request, const char *name)
{
    return request->method_size == strlen(name)
           && memcmp(request->method, name, request->method_size) == 0;
}


static void
sleep_ms(const nffi_request_t *request)
{
    long ms;
    char text[16];
    struct timespec pause;

    if (request->size == 0 || request->size >= sizeof(text)) {
        return;
    }

    memcpy(text, request->data, request->size);
    text[request->size] = '\0';
    ms = strtol(text, NULL, 10);
    pause.tv_sec = ms / 1000;
    pause.tv_nsec = ms % 1000 * 1000000L;
    (void) nanosleep(&pause, NULL);
}


/*
 * "COUNT [SIZE [fail]]": a number of chunks, each its number, filled up with
 * dots to its size; then the end, or an error.
 */
static void
count(const nffi_request_t *request)
{
    int rc, fields;
    unsigned long i, chunks;
    size_t least, size;
    char text[64], fail[8], number[24], *chunk;

    snprintf(text, sizeof(text), "%.*s", (int) request->size,
             (const char *) request->data);
    least = 0;
    fields = sscanf(text, "%lu %zu %7s", &chunks, &least, fail);
    chunk = malloc(least + sizeof(number));

    if (fields < 1 || chunk == NULL) {
        nffi_respond_error(request->task, "no count", 8, NULL, 0);
        free(chunk);
        return;
    }

    memset(chunk, '.', least + sizeof(number));
    atomic_fetch_add(&counting, 1);
    rc = NFFI_OK;

    for (i = 0; i < chunks && rc == NFFI_OK; i++) {
        size = (size_t) snprintf(number, sizeof(number), "%lu", i);
        memcpy(chunk, number, size);
        size = size < least ? least : size;

        while ((rc = nffi_stream_write(request->task, chunk, size))
               == NFFI_WOULD_BLOCK)
        {
            nffi_stream_wait(request->task, -1);
        }

        atomic_fetch_add(&counted, rc == NFFI_OK);
    }

    atomic_fetch_sub(&counting, 1);
    free(chunk);

    if (fields == 3) {
        nffi_respond_error(request->task, fail, strlen(fail), "nffi_echo", 9);

    } else {
        nffi_stream_end(request->task);
    }
}


/* "CHUNKS STREAMS": written so far, and being written */
static void
tell_counted(const nffi_request_t *request)
{
    int size;
    char text[48];

    size = snprintf(text, sizeof(text), "%lu %d", atomic_load(&counted),
                    atomic_load(&counting));
    nffi_respond(request->task, 0, text, (size_t) size);
}


/* "TIMES TEXT"; "log-late" is answered, and gone, before it logs */
static void
log_request(const nffi_request_t *request)
{
    int at;
    unsigned long i, times;
    char text[256];

    snprintf(text, sizeof(text), "%.*s", (int) request->size,
             (const char *) request->data);

    if (sscanf(text, "%lu %n", &times, &at) != 1) {
        times = at = 0;
    }

    if (is_method(request, "log-late")) {
        nffi_respond(request->task, 0, NULL, 0);
        (void) nanosleep(&(struct timespec) { 0, 100000000 }, NULL);
    }

    for (i = 0; i < times; i++) {
        (void) nffi_log(request->task, NFFI_LOG_WARN, text + at,
                        strlen(text + at));
    }

    (void) nffi_respond(request->task, 0, NULL, 0);
}


static void
handle(const nffi_request_t *request)
{
    if (is_method(request, "log") || is_method(request, "log-late")) {
        log_request(request);
        return;
    }

    if (is_method(request, "count")) {
        count(request);
        return;
    }

    if (is_method(request, "counted")) {
        tell_counted(request);
        return;
    }

    if (is_method(request, "fail")) {
        nffi_respond_error(request->task, request->data, request->size,
                           "nffi_echo", sizeof("nffi_echo") - 1);
        return;
    }

    if (is_method(request, "sleep")) {
        sleep_ms(request);
    }

    nffi_respond(request->task, 0, request->data, request->size);
}


/* one thread takes what there is; several take one each, so that none waits
   behind a slow one while another thread is idle */
static void *
serve(nffi_queue_t *queue, size_t batch)
{
    int i, n;
    nffi_request_t requests[BATCH];

    while ((n = nffi_queue_poll(queue, requests, batch, -1)) >= 0) {
        for (i = 0; i < n; i++) {
            handle(&requests[i]);
        }
    }

    return NULL;
}


static void *
serve_alone(void *data)
{
    return serve(data, BATCH);
}


static void *
serve_among_others(void *data)
{
    return serve(data, 1);
}


int
nffi_runtime_start(nffi_queue_t *queue, const char *config, size_t config_size,
    char *error, size_t error_size)
{
    int rc;
    long threads, i;
    char text[16], *end;
    pthread_t thread;
    pthread_attr_t attr;

    threads = 1;

    if (config_size > 0) {
        if (config_size < sizeof(text)) {
            memcpy(text, config, config_size);
            text[config_size] = '\0';
            threads = strtol(text, &end, 10);

            if (*end != '\0') {
                threads = 0;
            }

        } else {
            threads = 0;
        }
    }

    if (threads < 1 || threads > MAX_THREADS) {
        snprintf(error, error_size,
                 "the configuration is the number of threads, 1 to %d",
                 MAX_THREADS);
        return -1;
    }

    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    rc = 0;

    for (i = 0; i < threads && rc == 0; i++) {
        rc = pthread_create(&thread, &attr,
                            threads == 1 ? serve_alone : serve_among_others,
                            queue);
    }

    pthread_attr_destroy(&attr);

    if (rc != 0) {
        snprintf(error, error_size, "pthread_create: %s", strerror(rc));
    }

    return rc;
}
