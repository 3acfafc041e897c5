/*
 * floor.c - the least that a call to another thread costs: the payload is
 * copied there and back, a futex wakes the thread, an eventfd wakes the loop.
 *
 *   floor SIZE MS CPU|all
 *
 * Prints JSON as compare.lua does: calls, seconds, a histogram.
 */

#define _GNU_SOURCE

#include <linux/futex.h>
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define STEPS    32          /* as in compare.lua */
#define BUCKETS  (50 * STEPS)

static _Atomic uint32_t  asked;
static size_t            size;
static char             *request, *response;
static int               event_fd;
static unsigned          counts[BUCKETS];


static double
now(void)
{
    struct timespec  time;

    clock_gettime(CLOCK_MONOTONIC, &time);

    return (double) time.tv_sec * 1e9 + (double) time.tv_nsec;
}


static void
futex(int operation, uint32_t value)
{
    syscall(SYS_futex, &asked, operation | FUTEX_PRIVATE_FLAG, value, NULL,
            NULL, 0);
}


static void *
serve(void *data)
{
    uint64_t  one = 1;

    (void) data;

    for ( ;; ) {
        while (atomic_load(&asked) == 0) {
            futex(FUTEX_WAIT, 0);
        }

        atomic_store(&asked, 0);
        memcpy(response, request, size);

        if (write(event_fd, &one, sizeof(one)) < 0) {
            return NULL;
        }
    }
}


static void
call(int epoll, char *bytes)
{
    uint64_t            count;
    struct epoll_event  ready;

    memcpy(request, bytes, size);
    atomic_store(&asked, 1);
    futex(FUTEX_WAKE, 1);

    while (epoll_wait(epoll, &ready, 1, -1) != 1) {
        continue;
    }

    if (read(event_fd, &count, sizeof(count)) > 0) {
        memcpy(bytes, response, size);
    }
}


static void
print(unsigned calls, double seconds)
{
    int          i;
    const char  *comma = "";

    printf("{\"calls\":%u,\"seconds\":%.9f,\"histogram\":[", calls, seconds);

    for (i = 0; i < BUCKETS; i++) {
        if (counts[i]) {
            printf("%s[%d,%u]", comma, i, counts[i]);
            comma = ",";
        }
    }

    printf("]}\n");
}


int
main(int argc, char **argv)
{
    int                 epoll, exponent;
    char               *bytes;
    double              before, after, start, stop, fraction;
    unsigned            calls;
    cpu_set_t           set;
    pthread_t           thread;
    struct epoll_event  event;

    if (argc != 4) {
        return 2;
    }

    size = (size_t) atol(argv[1]);

    if (strcmp(argv[3], "all") != 0) {
        CPU_ZERO(&set);
        CPU_SET(atoi(argv[3]), &set);
        (void) sched_setaffinity(0, sizeof(set), &set);
    }

    bytes = calloc(1, size);
    request = calloc(1, size);
    response = calloc(1, size);
    event_fd = eventfd(0, EFD_NONBLOCK);
    epoll = epoll_create1(0);
    event.events = EPOLLIN;
    (void) epoll_ctl(epoll, EPOLL_CTL_ADD, event_fd, &event);

    if (pthread_create(&thread, NULL, serve, NULL) != 0) {
        return 1;
    }

    start = now();
    stop = start + atof(argv[2]) * 1e6;
    calls = 0;

    for (before = start; before < stop; before = after) {
        call(epoll, bytes);
        after = now();
        fraction = frexp(after - before, &exponent);
        counts[exponent * STEPS + (int) ((fraction - 0.5) * 2 * STEPS)]++;
        calls++;
    }

    print(calls, (now() - start) / 1e9);

    return 0;
}
