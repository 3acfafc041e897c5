/*
 * clock.c - what it costs libnffi to measure how long calls wait and run: the
 * time of a CPU for one call, with and without, both sides in one thread, so
 * that neither wake-ups nor other programs are in the figures.
 */

#define _GNU_SOURCE

#include <nffi.h>
#include <host/nffi_host.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CALLS 300000
#define ROUNDS 15
#define MAX_BATCH 64
#define SIZE 64

static nffi_host_times_t times;


static double
cpu_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);

    return (double) now.tv_sec * 1e9 + (double) now.tv_nsec;
}


static void
wake(void *data)
{
    (void) data;
}


/* One turn: a number of calls is queued, taken, answered and collected. */
static void
turn(nffi_host_t *host, nffi_queue_t *queue, int batch)
{
    int i, n;
    nffi_task_t task;
    nffi_request_t requests[MAX_BATCH];
    nffi_response_t answers[MAX_BATCH];
    nffi_host_response_t responses[MAX_BATCH];
    static int owner;
    static char data[SIZE];
    const nffi_host_request_t request = { .data = data, .size = SIZE };

    for (i = 0; i < batch; i++) {
        if (nffi_host_submit(host, &request, &owner, &task) != NFFI_OK) {
            abort();
        }
    }

    n = nffi_queue_poll(queue, requests, (size_t) batch, 0);
    memset(answers, 0, sizeof(answers[0]) * (size_t) n);

    for (i = 0; i < n; i++) {
        answers[i].task = requests[i].task;
        answers[i].data = data;
        answers[i].size = SIZE;
    }

    nffi_respond_batch(answers, (size_t) n);
    n = nffi_host_collect(host, responses, (size_t) batch);

    for (i = 0; i < n; i++) {
        nffi_host_release(host, &responses[i]);
    }
}


static double
measure(nffi_host_times_t *measured, int batch)
{
    int i;
    double begin;
    nffi_host_t *host;
    nffi_queue_t *queue;
    nffi_host_options_t options;

    memset(&options, 0, sizeof(options));
    options.wake = wake;
    options.times = measured;

    if (nffi_host_create(&host, &options) != NFFI_OK
        || nffi_host_queue(host, &queue) != NFFI_OK)
    {
        abort();
    }

    for (i = 0; i < CALLS / 10; i += batch) {
        turn(host, queue, batch);
    }

    begin = cpu_ns();

    for (i = 0; i < CALLS; i += batch) {
        turn(host, queue, batch);
    }

    begin = (cpu_ns() - begin) / CALLS;
    nffi_host_destroy(host);

    return begin;
}


int
main(void)
{
    int b, round, with;
    double ns, best[2];
    static const int batches[] = { 1, 16, 64 };

    for (b = 0; b < 3; b++) {
        best[0] = best[1] = 1e9;

        for (round = 0; round < ROUNDS; round++) {
            for (with = 0; with < 2; with++) {
                ns = measure(with ? &times : NULL, batches[b]);
                best[with] = ns < best[with] ? ns : best[with];
            }
        }

        printf("%2d at once: %6.1f ns a call, measured %6.1f ns (+%.1f)\n",
               batches[b], best[0], best[1], best[1] - best[0]);
    }

    return 0;
}
