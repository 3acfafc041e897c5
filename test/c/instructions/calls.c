/*
 * calls.c - makes calls through a queue of the worker, both sides in one
 * thread, for a count of instructions: without wake-ups, sleeping and spinning
 * every run executes the same ones.
 *
 *     calls COUNT TOGETHER SIZE
 */

#define _GNU_SOURCE

#include <nffi.h>
#include <host/nffi_host.h>

#include <stdlib.h>
#include <string.h>

#define MAX_TOGETHER 64
#define MAX_SIZE 65536

static char data[MAX_SIZE];


static void
wake(void *unused)
{
    (void) unused;
}


static void
require(int is_true)
{
    if (!is_true) {
        abort();
    }
}


/* Submits `together` calls, answers them in one batch and collects them. */
static void
turn(nffi_host_t *host, nffi_queue_t *queue, int together, size_t size)
{
    int i;
    nffi_task_t task;
    nffi_request_t requests[MAX_TOGETHER];
    nffi_response_t answers[MAX_TOGETHER];
    nffi_host_response_t responses[MAX_TOGETHER];
    static int owner;
    const nffi_host_request_t request = { .data = data, .size = size };

    for (i = 0; i < together; i++) {
        require(nffi_host_submit(host, &request, &owner, &task) == NFFI_OK);
    }

    require(nffi_queue_poll(queue, requests, (size_t) together, 0) == together);
    memset(answers, 0, sizeof(answers[0]) * (size_t) together);

    for (i = 0; i < together; i++) {
        answers[i].task = requests[i].task;
        answers[i].data = data;
        answers[i].size = size;
    }

    require(nffi_respond_batch(answers, (size_t) together) == together);
    require(nffi_host_collect(host, responses, (size_t) together) == together);

    for (i = 0; i < together; i++) {
        nffi_host_release(host, &responses[i]);
    }
}


int
main(int argc, char **argv)
{
    int count, together;
    size_t size;
    nffi_host_t *host;
    nffi_queue_t *queue;
    static nffi_host_times_t times;
    const nffi_host_options_t options = { .wake = wake, .times = &times };

    require(argc == 4);
    count = atoi(argv[1]);
    together = atoi(argv[2]);
    size = (size_t) atoi(argv[3]);
    require(together >= 1 && together <= MAX_TOGETHER && size <= MAX_SIZE);
    require(nffi_host_create(&host, &options) == NFFI_OK);
    require(nffi_host_queue(host, &queue) == NFFI_OK);

    for ( ; count > 0; count -= together) {
        turn(host, queue, together, size);
    }

    nffi_host_destroy(host);

    return 0;
}
