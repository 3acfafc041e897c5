/*
 * bench.c - libnffi against its rivals, all in one run on one machine: what
 * counts is the ratio, the absolute figures are the machine's.
 *
 *   bench [milliseconds of each measurement, default 300] [node]
 *
 * With `node` a Node process is asked in two designs; bench/node/run.mjs says
 * where they lie.
 */

#define _GNU_SOURCE

#include "bench.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#define MAX_SAMPLES 200000
#define MAX_IN_FLIGHT 256

#define MAX_RIVALS 4

/* ours is the last one */
typedef struct field {
    size_t count;
    const rival_t *rivals[MAX_RIVALS];
} field_t;

static const field_t threads = {
    4, { &floor_rival, &mutex_rival, &socket_rival, &queue_rival }
};

static const field_t processes = { 2, { &node_poll_rival, &node_rival } };

typedef struct result {
    double calls_per_second;
    double median_us;         /* of one call, with one in flight */
} result_t;

static double samples[MAX_SAMPLES];


void
bench_die(const char *what)
{
    fprintf(stderr, "bench: %s: %s\n", what, strerror(errno));
    exit(1);
}


void
bench_pin(int cpu)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(cpu, &set);

    if (sched_setaffinity(0, sizeof(set), &set) == -1) {
        bench_die("sched_setaffinity");
    }
}


static double
now_us(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);

    return (double) ts.tv_sec * 1e6 + (double) ts.tv_nsec / 1e3;
}


static int
by_value(const void *a, const void *b)
{
    double x = *(const double *) a, y = *(const double *) b;

    return (x > y) - (x < y);
}


static result_t
measure(const rival_t *rival, size_t size, int in_flight, int cpus, int ms)
{
    int i, n, epfd, calls[MAX_IN_FLIGHT];
    long done, sampled;
    double start, sent, end;
    result_t result;
    struct epoll_event event;

    bench_pin(0);
    rival->start(size, in_flight, cpus - 1);

    epfd = epoll_create1(EPOLL_CLOEXEC);
    event.events = EPOLLIN;
    event.data.u64 = 0;
    if (epfd == -1 || epoll_ctl(epfd, EPOLL_CTL_ADD, rival->fd(), &event) == -1)
    {
        bench_die("epoll");
    }

    done = 0;
    sampled = 0;
    start = now_us();
    sent = start;
    end = start + ms * 1e3;

    for (i = 0; i < in_flight; i++) {
        rival->submit(i);
    }

    for ( ;; ) {
        n = rival->collect(calls, MAX_IN_FLIGHT);

        if (n == 0) {
            epoll_wait(epfd, &event, 1, -1);
            continue;
        }

        done += n;

        if (in_flight == 1) {
            double at = now_us();

            if (sampled < MAX_SAMPLES) {
                samples[sampled++] = at - sent;
            }

            sent = at;
            if (at >= end) {
                break;
            }

        } else if (now_us() >= end) {
            break;
        }

        for (i = 0; i < n; i++) {
            rival->submit(calls[i]);
        }
    }

    result.calls_per_second = (double) done / ((now_us() - start) / 1e6);
    result.median_us = 0;

    if (sampled > 0) {
        qsort(samples, (size_t) sampled, sizeof(double), by_value);
        result.median_us = samples[sampled / 2];
    }

    rival->stop();
    close(epfd);

    return result;
}


static void
compare(const field_t *field, size_t size, int in_flight, int cpus, int ms)
{
    size_t i;
    result_t results[MAX_RIVALS], ours;
    const rival_t *const *rivals = field->rivals;

    memset(results, 0, sizeof(results));

    for (i = 0; i < field->count; i++) {
        if (!rivals[i]->one_call_only || in_flight == 1) {
            results[i] = measure(rivals[i], size, in_flight, cpus, ms);
        }
    }

    ours = results[field->count - 1];
    printf("%7zu B  %3d in flight  %d cpu%c ", size, in_flight, cpus,
           cpus > 1 ? 's' : ' ');

    for (i = 0; i < field->count; i++) {
        if (results[i].calls_per_second == 0) {
            printf(" | %-6s %17s", rivals[i]->name, "-");

        } else if (in_flight == 1) {
            printf(" | %-6s %7.1f us (%5.2fx)", rivals[i]->name,
                   results[i].median_us,
                   results[i].median_us / ours.median_us);

        } else {
            printf(" | %-6s %7.0f k/s(%4.2fx)", rivals[i]->name,
                   results[i].calls_per_second / 1e3,
                   ours.calls_per_second / results[i].calls_per_second);
        }
    }

    printf("\n");
    fflush(stdout);
}


int
main(int argc, char **argv)
{
    int ms, cpus, max_cpus;
    size_t s, f;
    const field_t *field;
    static const size_t sizes[] = { 64, 4096, 102400 };
    static const int flights[] = { 1, 16, 256 };

    ms = argc > 1 ? atoi(argv[1]) : 300;
    if (ms < 1) {
        fprintf(stderr, "bench: milliseconds must be a positive number\n");
        return 2;
    }

    field = argc > 2 && strcmp(argv[2], "node") == 0 ? &processes : &threads;
    max_cpus = sysconf(_SC_NPROCESSORS_ONLN) > 1 ? 2 : 1;
    printf("(1.00x is ours; more is how many times ours is better)\n");

    for (cpus = 1; cpus <= max_cpus; cpus++) {
        for (s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
            for (f = 0; f < sizeof(flights) / sizeof(flights[0]); f++) {
                compare(field, sizes[s], flights[f], cpus, ms);
            }
        }
    }

    return 0;
}
