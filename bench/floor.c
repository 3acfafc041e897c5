/*
 * floor.c - the least a hand-over costs: one buffer, a futex to wake the
 * thread, an eventfd to wake the loop. One call in flight.
 */

#define _GNU_SOURCE

#include "bench.h"

#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { EMPTY, ASKED, STOP };

static _Atomic uint32_t state;
static _Atomic int answered;
static size_t payload_size;
static unsigned char *request, *response, *source;
static int event_fd, thread_cpu;
static pthread_t thread;


static void
futex(int operation, uint32_t value)
{
    syscall(SYS_futex, &state, operation | FUTEX_PRIVATE_FLAG, value, NULL,
            NULL, 0);
}


static void *
serve(void *data)
{
    ssize_t n;
    uint64_t one = 1;

    (void) data;
    bench_pin(thread_cpu);

    for ( ;; ) {
        while (atomic_load(&state) == EMPTY) {
            futex(FUTEX_WAIT, EMPTY);
        }

        if (atomic_load(&state) == STOP) {
            return NULL;
        }

        memcpy(response, request, payload_size);
        atomic_store(&state, EMPTY);
        atomic_store(&answered, 1);
        n = write(event_fd, &one, sizeof(one));
        (void) n;
    }
}


static void
start(size_t size, int in_flight, int cpu)
{
    (void) in_flight;
    payload_size = size;
    thread_cpu = cpu;
    source = calloc(1, size);
    request = calloc(1, size);
    response = calloc(1, size);
    event_fd = eventfd(0, EFD_NONBLOCK);
    atomic_store(&state, EMPTY);
    atomic_store(&answered, 0);
    pthread_create(&thread, NULL, serve, NULL);
}


static void
submit(int call)
{
    (void) call;
    memcpy(request, source, payload_size);
    atomic_store(&state, ASKED);
    futex(FUTEX_WAKE, 1);
}


static int
collect(int *calls, int max)
{
    ssize_t n;
    uint64_t count;

    (void) max;

    if (!atomic_exchange(&answered, 0)) {
        return 0;
    }

    n = read(event_fd, &count, sizeof(count));
    (void) n;
    memcpy(source, response, payload_size);
    calls[0] = 0;

    return 1;
}


static int
fd(void)
{
    return event_fd;
}


static void
stop(void)
{
    atomic_store(&state, STOP);
    futex(FUTEX_WAKE, 1);
    pthread_join(thread, NULL);
    close(event_fd);
    free(source);
    free(request);
    free(response);
}


const rival_t floor_rival = { "floor", 1, start, submit, collect, fd, stop };
