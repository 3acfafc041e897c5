/*
 * loop.c - a runtime of one thread with an event loop: for calls that wait
 * (timers here; sockets work the same way), any number of them. epoll waits for
 * the queue's descriptor and for a timer. All data belong to that thread, so
 * there is no lock.
 *
 * The methods: `wait` responds after a number of milliseconds; `ticks` is a
 * stream of a number of chunks, at the pace of its reader.
 */

#include "calls.h"
#include "runtime.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define BATCH 64

struct runtime {
    nffi_queue_t *queue;
    calls_t calls;
    int epoll;
    int timer;
    pthread_t thread;
};


/* Takes what there is; 1 when the end has come. */
static int
take(runtime_t *runtime)
{
    int i, n;
    nffi_task_t tasks[BATCH];
    nffi_request_t requests[BATCH];

    while ((n = nffi_queue_poll(runtime->queue, requests, BATCH, 0)) > 0) {
        for (i = 0; i < n; i++) {
            calls_begin(&runtime->calls, &requests[i]);
        }
    }

    while ((i = nffi_queue_cancelled(runtime->queue, tasks, BATCH)) > 0) {
        while (i > 0) {
            calls_cancelled(&runtime->calls, tasks[--i]);
        }
    }

    while ((i = nffi_stream_writable(runtime->queue, tasks, BATCH)) > 0) {
        while (i > 0) {
            calls_writable(&runtime->calls, tasks[--i]);
        }
    }

    return n < 0;
}


static void
wait_for_more(runtime_t *runtime)
{
    struct epoll_event event;
    struct itimerspec when = { 0 };
    uint64_t due = calls_due(&runtime->calls);

    /* a timer of 0 is off, and one in the past fires immediately */
    when.it_value.tv_sec = (time_t) (due / 1000000000);
    when.it_value.tv_nsec = (long) (due % 1000000000);
    timerfd_settime(runtime->timer, TFD_TIMER_ABSTIME, &when, NULL);

    /* check both instead of the event; setting the timer again makes its
       descriptor unreadable */
    while (epoll_wait(runtime->epoll, &event, 1, -1) < 0 && errno == EINTR) {
        /* void */
    }
}


static void *
serve(void *data)
{
    int closed = 0;
    runtime_t *runtime = data;

    while (!closed || !calls_none(&runtime->calls)) {
        closed |= take(runtime);
        calls_fire(&runtime->calls);

        if (nffi_queue_arm(runtime->queue) == 0
            && !(closed && calls_none(&runtime->calls)))
        {
            wait_for_more(runtime);
        }
    }

    return NULL;
}


static int
watch(runtime_t *runtime, int fd)
{
    struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };

    return fd < 0 ? -1 : epoll_ctl(runtime->epoll, EPOLL_CTL_ADD, fd, &event);
}


runtime_t *
runtime_start(nffi_queue_t *queue, const char *config, size_t config_size,
    char *error, size_t error_size)
{
    runtime_t *runtime;

    if (config_size > 0) {
        (void) config;        /* may be a secret: keep it out of errors */
        snprintf(error, error_size, "this runtime takes no configuration, got "
                 "%zu bytes", config_size);
        return NULL;
    }

    runtime = calloc(1, sizeof(*runtime));
    if (runtime == NULL) {
        snprintf(error, error_size, "no memory");
        return NULL;
    }

    runtime->queue = queue;
    calls_init(&runtime->calls);
    runtime->epoll = epoll_create1(EPOLL_CLOEXEC);
    runtime->timer = timerfd_create(CLOCK_MONOTONIC,
                                    TFD_CLOEXEC | TFD_NONBLOCK);

    if (runtime->epoll < 0 || watch(runtime, runtime->timer) != 0
        || watch(runtime, nffi_queue_fd(queue)) != 0)
    {
        snprintf(error, error_size, "no descriptor (errno %d)", errno);

    } else if (pthread_create(&runtime->thread, NULL, serve, runtime) != 0) {
        snprintf(error, error_size, "no thread");

    } else {
        return runtime;
    }

    close(runtime->timer);
    close(runtime->epoll);
    nffi_queue_release_fd(queue);
    free(runtime);

    return NULL;
}


void
runtime_join(runtime_t *runtime)
{
    pthread_join(runtime->thread, NULL);
    close(runtime->timer);
    close(runtime->epoll);

    /* no thread waits on the descriptor: nginx may free the queue */
    nffi_queue_release_fd(runtime->queue);
    free(runtime);
}
