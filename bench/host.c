/*
 * host.c - see host.h.
 */

#include "host.h"

#include "bench.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BATCH 64
#define ARENA (64u << 20)

static nffi_host_t *host;
static size_t payload_size;
static unsigned char *source;
static int calls_made[256];


nffi_host_t *
bench_host_open(nffi_host_options_t options, size_t size)
{
    options.request_arena = ARENA;
    options.response_arena = ARENA;
    payload_size = size;
    source = calloc(1, size);

    if (source == NULL || nffi_host_create(&host, &options) != NFFI_OK) {
        bench_die("nffi_host_create");
    }

    return host;
}


void
bench_host_submit(int call)
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


int
bench_host_collect(int fd, int *calls, int max)
{
    int i, n;
    ssize_t bytes;
    uint64_t count;
    size_t limit = max < BATCH ? (size_t) max : BATCH;
    nffi_host_response_t responses[BATCH];

    n = nffi_host_collect(host, responses, limit);

    if (n == 0) {
        bytes = read(fd, &count, sizeof(count));
        (void) bytes;

        if (!nffi_host_park(host)) {
            return 0;
        }

        n = nffi_host_collect(host, responses, limit);
    }

    for (i = 0; i < n; i++) {
        if (responses[i].size != payload_size) {
            bench_die("a response of another size");
        }

        memcpy(source, responses[i].data, payload_size);
        calls[i] = *(int *) responses[i].owner;
        nffi_host_release(host, &responses[i]);
    }

    return n;
}


void
bench_host_close(void)
{
    nffi_host_destroy(host);
    free(source);
}
