/*
 * queue.c - libnffi, hosted in the process: the loop is woken by an eventfd,
 * as nginx is by its notify descriptor. How long calls wait and run is
 * measured, as in nginx.
 */

#define _GNU_SOURCE

#include "bench.h"
#include "host.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define BATCH 64

static nffi_host_t *host;
static nffi_queue_t *queue;
static int event_fd, thread_cpu;
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
    thread_cpu = cpu;
    event_fd = eventfd(0, EFD_NONBLOCK);
    host = bench_host_open(options, size);

    if (nffi_host_queue(host, &queue) != NFFI_OK) {
        bench_die("nffi_host_queue");
    }

    pthread_create(&thread, NULL, serve, NULL);
}


static int
collect(int *calls, int max)
{
    return bench_host_collect(event_fd, calls, max);
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
    bench_host_close();
    close(event_fd);
}


const rival_t queue_rival = {
    "nffi", 0, start, bench_host_submit, collect, fd, stop
};
