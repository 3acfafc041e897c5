/*
 * readers.h - the worker's side of a few streams that stall: their chunks are
 * collected immediately, and read when the case says so.
 */

#ifndef READERS_H
#define READERS_H

#include "pair.h"

#define LOST_MS 4000
#define WINDOW 100
#define STREAMS 2

/* As long as a runtime spins by default. */
#define SPINNING &(nffi_host_options_t) { .spin_us = 20 }
#define ASLEEP &(nffi_host_options_t) { 0 }

typedef struct reader {
    nffi_task_t task;
    uint32_t unread;
    size_t sizes[NFFI__CHUNKS];
} reader_t;

static pair_t pair;
static int callers[1];
static reader_t readers[STREAMS];


static inline uint32_t
collect(void)
{
    int i, n;
    uint32_t calls = 0;
    reader_t *reader;
    nffi_host_response_t responses[16];

    n = nffi_host_collect(pair.host, responses, 16);
    CHECK(n >= 0);

    for (i = 0; i < n; i++) {
        if (responses[i].flags & NFFI_HOST_CHUNK) {
            reader = responses[i].owner;
            CHECK(reader->unread < NFFI__CHUNKS);
            reader->sizes[reader->unread++] = responses[i].size;

        } else {
            calls += responses[i].owner == callers;
        }

        nffi_host_release(pair.host, &responses[i]);
    }

    return calls;
}


static inline void
read_all(reader_t *reader)
{
    uint32_t i;

    for (i = 0; i < reader->unread; i++) {
        nffi_host_credit(pair.host, reader->task, reader->sizes[i]);
    }

    reader->unread = 0;
}


/* Sleeps as the event loop does, but fails instead of hanging. */
static inline void
sleep_or_fail(uint32_t submitted)
{
    uint64_t count;
    struct pollfd pollfd = { .fd = pair.wake_fd, .events = POLLIN };

    if (nffi_host_park(pair.host)) {
        return;
    }

    if (poll(&pollfd, 1, LOST_MS) == 0) {
        check_fail(__FILE__, __LINE__, "call %u was lost: %u queued, "
                   "%u unanswered", submitted, pair_state(&pair).queued,
                   pair_state(&pair).unanswered);
    }

    CHECK_IS(read(pair.wake_fd, &count, sizeof(count)), sizeof(count));
}


static inline void
close_with(nffi_task_t first, nffi_task_t second)
{
    CHECK_IS(nffi_stream_end(first), NFFI_OK);

    if (second != 0) {
        CHECK_IS(nffi_stream_end(second), NFFI_OK);
    }

    (void) collect();
    pair_check_idle(&pair);
    pair_close(&pair);
}

#endif /* READERS_H */
