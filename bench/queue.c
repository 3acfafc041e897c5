/*
 * queue.c - libnffi, hosted in the process: the loop is woken by an eventfd,
 * as nginx is by its notify descriptor. How long calls wait and run is measured,
 * as in nginx.
 */

#define _GNU_SOURCE

#include "bench.h"

#include <nffi.h>
#include <nffi_host.h>

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define BATCH 64

static nffi_host_t *host;
static nffi_queue_t *queue;
static size_t payload_size;
static unsigned char *source;
static int event_fd, thread_cpu, calls_made[256];
static pthread_t thread;
static nffi_host_times_t times;


static void
wake(void *data)
{
    ssize_t n;
    uint64_t one = 1;

    (void) data;
    n = write(event_fd, &one, sizeof(one));
    (void) n;
}


static void *
serve(void *data)
{
    int i, n;
    nffi_request_t requests[BATCH];
    nffi_response_t responses[BATCH];

    (void) data;
    bench_pin(thread_cpu);
    memset(responses, 0, sizeof(responses));

    while ((n = nffi_queue_poll(queue, requests, BATCH, -1)) >= 0) {
        for (i = 0; i < n; i++) {
            responses[i].task = requests[i].task;
            responses[i].data = (void *) requests[i].data;
            responses[i].size = requests[i].size;
        }

        nffi_respond_batch(responses, (size_t) n);
    }

    return NULL;
}


static void
start(size_t size, int in_flight, int cpu)
{
    nffi_host_options_t options;

    (void) in_flight;
    memset(&options, 0, sizeof(options));
    options.wake = wake;
    options.times = &times;
    /* as large as 256 payloads need: the other rivals have all of the heap */
    options.request_arena = 64u << 20;
    options.response_arena = 64u << 20;

    payload_size = size;
    thread_cpu = cpu;
    source = calloc(1, size);
    event_fd = eventfd(0, EFD_NONBLOCK);

    if (nffi_host_create(&host, &options) != NFFI_OK
        || nffi_host_queue(host, &queue) != NFFI_OK)
    {
        bench_die("nffi_host_create");
    }

    pthread_create(&thread, NULL, serve, NULL);
}


static void
submit(int call)
{
    nffi_task_t task;
    nffi_host_request_t request;

    memset(&request, 0, sizeof(request));
    request.data = source;
    request.size = payload_size;
    calls_made[call] = call;

    if (nffi_host_submit(host, &request, &calls_made[call], &task) != NFFI_OK) {
        bench_die("nffi_host_submit");
    }
}


static int
collect(int *calls, int max)
{
    int i, n;
    ssize_t bytes;
    uint64_t count;
    nffi_host_response_t responses[BATCH];

    n = nffi_host_drain(host, responses, max < BATCH ? (size_t) max : BATCH);

    if (n == 0) {
        bytes = read(event_fd, &count, sizeof(count));
        (void) bytes;

        if (!nffi_host_park(host)) {
            return 0;
        }

        n = nffi_host_drain(host, responses,
                            max < BATCH ? (size_t) max : BATCH);
    }

    for (i = 0; i < n; i++) {
        memcpy(source, responses[i].data, payload_size);
        calls[i] = *(int *) responses[i].owner;
        nffi_host_release(host, &responses[i]);
    }

    return n;
}


static int
fd(void)
{
    return event_fd;
}


static void
stop(void)
{
    nffi_host_close(host);
    pthread_join(thread, NULL);
    nffi_host_destroy(host);
    close(event_fd);
    free(source);
}


const rival_t queue_rival = { "nffi", 0, start, submit, collect, fd, stop };
