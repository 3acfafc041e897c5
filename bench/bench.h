/*
 * bench.h - a rival in the benchmark: one way to hand a request to a runtime's
 * thread and to bring its response back to an epoll loop.
 *
 * The loop (bench.c) keeps a number of calls in flight: it submits, sleeps in
 * epoll_wait on `fd()`, collects what has come and submits as many again.
 */

#ifndef NFFI_BENCH_H
#define NFFI_BENCH_H

#include <stddef.h>

typedef struct rival {
    const char *name;
    int one_call_only;        /* cannot have more in flight */

    /* Starts the runtime's thread; `cpu` is where it runs. */
    void (*start)(size_t size, int in_flight, int cpu);

    /* Queues call number `call`, 0 to in_flight - 1. */
    void (*submit)(int call);

    /* Fills in the numbers of the calls that have come back; 0: sleep now. */
    int (*collect)(int *calls, int max);

    int (*fd)(void);
    void (*stop)(void);
} rival_t;

extern const rival_t floor_rival;     /* eventfd and futex, nothing else */
extern const rival_t mutex_rival;     /* list, mutex, condition, notify each */
extern const rival_t socket_rival;    /* unix socket, a connection for a call */
extern const rival_t queue_rival;     /* libnffi */
extern const rival_t node_poll_rival; /* Node, a worker thread that polls */
extern const rival_t node_rival;      /* Node, the addon of nffi */

void bench_pin(int cpu);
void bench_die(const char *what);

#endif /* NFFI_BENCH_H */
