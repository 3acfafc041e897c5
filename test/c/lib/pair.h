/*
 * pair.h - both sides of a queue in one process: the case plays the event
 * loop, and the runtime too or in threads.
 *
 * pair_open() makes it the way of a library in the worker. pair_open_shared()
 * makes it the way of a process, over memfd, eventfds and socket: both sides
 * map the memory and libnffi attaches through its fixed descriptors, but one
 * ThreadSanitizer sees it all.
 */

#ifndef PAIR_H
#define PAIR_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "check.h"
#include "host/host.h"

typedef struct pair {
    nffi_host_t *host;
    nffi_queue_t *queue;
    int wake_fd;              /* readable when the host was woken */
    atomic_int wakes;         /* in one process only */
} pair_t;


static inline void
pair_wake(void *data)
{
    pair_t *pair = data;
    uint64_t one = 1;

    atomic_fetch_add(&pair->wakes, 1);
    CHECK_IS(write(pair->wake_fd, &one, sizeof(one)), sizeof(one));
}


static inline void
pair_open(pair_t *pair, const nffi_host_options_t *options)
{
    nffi_host_options_t own = *options;

    memset(pair, 0, sizeof(*pair));
    pair->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    CHECK(pair->wake_fd != -1);
    own.wake = pair_wake;
    own.wake_data = pair;
    CHECK_IS(nffi_host_create(&pair->host, &own), NFFI_OK);
    CHECK_IS(nffi_host_queue(pair->host, &pair->queue), NFFI_OK);
}


/* Once in a process, since the fixed descriptors are taken afterwards. */
static inline void
pair_open_shared(pair_t *pair, const nffi_host_options_t *options)
{
    int i, fd, sockets[2];
    nffi_host_options_t own = *options;

    /* so that no descriptor of the host has a fixed number */
    do {
        fd = open("/dev/null", O_RDONLY);
    } while (fd != -1 && fd <= NFFI__FD_CONTROL);

    memset(pair, 0, sizeof(*pair));
    own.process = 1;
    CHECK_IS(nffi_host_create(&pair->host, &own), NFFI_OK);
    CHECK_CALL(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sockets));

    CHECK_CALL(dup2(pair->host->memory_fd, NFFI__FD_MEMORY));
    CHECK_CALL(dup2(pair->host->tasks_fd, NFFI__FD_TASKS));
    CHECK_CALL(dup2(pair->host->done_fd, NFFI__FD_DONE));
    CHECK_CALL(dup2(sockets[1], NFFI__FD_CONTROL));
    close(sockets[1]);
    close(fd);

    /* the watching thread ends this process at end of file, so that the
       worker's end must stay open beyond the host: it is left open */
    pair->host->control_fd = sockets[0];
    CHECK_CALL(fcntl(sockets[0], F_DUPFD, CHECK_FIRST_FD));

    for (i = NFFI__FD_MEMORY; i <= NFFI__FD_CONTROL; i++) {
        CHECK(fcntl(i, F_GETFD) != -1);
    }

    setenv(NFFI__ATTACH_ENV, "1", 1);
    CHECK_IS(nffi_attach(&pair->queue), NFFI_OK);
    pair->wake_fd = pair->host->done_fd;
}


/* The queue behind the handle. */
static inline nffi_queue_t *
pair_inner(nffi_queue_t *handle)
{
    nffi_queue_t *queue = nffi__queue_lock(handle);

    CHECK(queue != NULL);
    pthread_mutex_unlock(&queue->mutex);

    return queue;
}


/* Only when no thread uses the queue. */
static inline void
pair_close(pair_t *pair)
{
    if (!pair->host->process) {
        close(pair->wake_fd);
    }

    nffi_host_destroy(pair->host);
    memset(pair, 0, sizeof(*pair));
}


/* Queues a task with these bytes and no method; its owner is `owner`. */
static inline nffi_task_t
pair_submit(pair_t *pair, const void *data, size_t size, void *owner)
{
    nffi_task_t task;
    nffi_host_request_t request = { .data = data, .size = size };

    CHECK_IS(nffi_host_submit(pair->host, &request, owner, &task), NFFI_OK);

    return task;
}


/* Queues a task whose answer is read as a stream. */
static inline nffi_task_t
pair_submit_stream(pair_t *pair, const void *data, size_t size,
    uint32_t window, void *owner)
{
    nffi_task_t task;
    nffi_host_request_t request = {
        .data = data, .size = size, .window = window
    };

    CHECK_IS(nffi_host_submit(pair->host, &request, owner, &task), NFFI_OK);

    return task;
}


/* Takes the one task that waits. */
static inline nffi_request_t
pair_take(pair_t *pair)
{
    nffi_request_t request;

    CHECK_IS(nffi_queue_poll(pair->queue, &request, 1, 0), 1);

    return request;
}


static inline void
pair_sleep(pair_t *pair)
{
    uint64_t count;
    struct pollfd pollfd = { .fd = pair->wake_fd, .events = POLLIN };

    if (poll(&pollfd, 1, -1) == 1) {
        CHECK_IS(read(pair->wake_fd, &count, sizeof(count)), sizeof(count));
    }
}


/* As an event loop does: collects, and sleeps when there is nothing. */
static inline int
pair_collect(pair_t *pair, nffi_host_response_t *responses, size_t max)
{
    int n;

    for ( ;; ) {
        n = nffi_host_collect(pair->host, responses, max);

        if (n != 0) {
            return n;
        }

        if (!nffi_host_park(pair->host)) {
            pair_sleep(pair);
        }
    }
}


/* The next response, which must have come already. */
static inline nffi_host_response_t
pair_response(pair_t *pair)
{
    nffi_host_response_t response;

    CHECK_IS(nffi_host_collect(pair->host, &response, 1), 1);

    return response;
}


static inline nffi_host_state_t
pair_state(pair_t *pair)
{
    nffi_host_state_t state;

    nffi_host_state(pair->host, &state);

    return state;
}


/* Nothing of any task is left on the host's side. */
static inline void
pair_check_idle(pair_t *pair)
{
    nffi_host_state_t state = pair_state(pair);

    CHECK_IS(state.queued, 0);
    CHECK_IS(state.unanswered, 0);
    CHECK_IS(state.awaited, 0);
    CHECK_IS(state.bytes, 0);
    CHECK_IS(pair->host->arena.outstanding, 0);
    CHECK_IS(pair->host->free_count, pair->host->slots);
    CHECK(!pair->host->broken);
    CHECK(pair->host->received == NULL);
}

#endif /* PAIR_H */
