/*
 * test_leader.c - threads that wait for credit beside threads that poll: one
 * of them sleeps on the eventfd for all. Streams stall, with and without a
 * reader that returns, while calls arrive at random times; a host that sleeps
 * for seconds while calls are in flight has lost one. test_follow.c has the
 * same step by step.
 */

#include "random.h"
#include "readers.h"

#include <sched.h>

#define POLLERS 4
#define MAX_IN_FLIGHT 3

typedef struct load {
    uint32_t streams;         /* that stall */
    uint32_t read_every;      /* calls between two reads, 0: it is never read */
    bool timed;               /* polls and waits last 0 to 2 ms */
    uint32_t calls;
} load_t;

static atomic_uint waits;     /* for credit */


/* Up to 40 us: longer and shorter than the runtime spins. */
static void
pause_a_bit(uint32_t *state)
{
    random_pause(state, 4, 400, 40000);
}


static int
timeout_of(const load_t *load, uint32_t *state)
{
    return load->timed ? (int) random_below(state, 3) : -1;
}


/* Writes until the stream is cancelled. */
static void
write_on(const load_t *load, nffi_task_t task, uint32_t *state)
{
    int rc;

    while ((rc = nffi_stream_write(task, "0123456789", 10)) != NFFI_CANCELLED) {
        if (rc == NFFI_WOULD_BLOCK) {
            atomic_fetch_add(&waits, 1);
            rc = nffi_stream_wait(task, timeout_of(load, state));
            CHECK(rc == NFFI_OK || rc == NFFI_CANCELLED
                  || (rc == NFFI_WOULD_BLOCK && load->timed));

        } else {
            CHECK_IS(rc, NFFI_OK);
        }
    }

    CHECK_IS(nffi_stream_end(task), NFFI_OK);
}


static void *
serve(void *data)
{
    int n;
    const load_t *load = data;
    nffi_request_t request;
    static atomic_uint seed;
    uint32_t state = atomic_fetch_add(&seed, 1) + 7;

    while ((n = nffi_queue_poll(pair.queue, &request, 1,
                                timeout_of(load, &state))) >= 0)
    {
        if (n == 0) {
            continue;
        }

        if (request.flags & NFFI_REQUEST_STREAM) {
            write_on(load, request.task, &state);

        } else {
            pause_a_bit(&state);
            CHECK_IS(nffi_respond(request.task, 0, NULL, 0), NFFI_OK);
        }
    }

    CHECK_IS(n, NFFI_CLOSED);

    return NULL;
}


/* Every stream is written to until its window is full. */
static void
start_streams(const load_t *load)
{
    uint32_t i;

    for (i = 0; i < load->streams; i++) {
        readers[i].unread = 0;
        readers[i].task = pair_submit_stream(&pair, NULL, 0, WINDOW,
                                             &readers[i]);
    }

    for (i = 0; i < load->streams; i++) {
        while (readers[i].unread < NFFI__CHUNKS) {
            CHECK_IS(collect(), 0);

            if (readers[i].unread < NFFI__CHUNKS) {
                sleep_or_fail(0);
            }
        }
    }
}


static void
call(const load_t *load)
{
    uint32_t i, burst, submitted = 0, answered = 0, n, state = 1;

    while (answered < load->calls) {
        burst = 1 + random_below(&state, MAX_IN_FLIGHT);

        while (burst-- > 0 && submitted < load->calls
               && submitted - answered < MAX_IN_FLIGHT)
        {
            pair_submit(&pair, NULL, 0, callers);
            submitted++;
            pause_a_bit(&state);

            if (load->read_every > 0 && submitted % load->read_every == 0) {
                for (i = 0; i < load->streams; i++) {
                    read_all(&readers[i]);
                }
            }
        }

        n = collect();
        answered += n;

        if (n == 0 && answered < submitted) {
            sleep_or_fail(submitted);
        }
    }
}


static void
run(const load_t *load)
{
    uint32_t i;
    pthread_t ids[POLLERS];

    for (i = 0; i < POLLERS; i++) {
        CHECK_IS(pthread_create(&ids[i], NULL, serve, (void *) load), 0);
    }

    start_streams(load);
    call(load);

    for (i = 0; i < load->streams; i++) {
        nffi_host_cancel(pair.host, readers[i].task);
    }

    nffi_host_close(pair.host);

    for (i = 0; i < POLLERS; i++) {
        CHECK_IS(pthread_join(ids[i], NULL), 0);
    }

    (void) collect();
    CHECK(waits >= load->streams);
    pair_check_idle(&pair);
    pair_close(&pair);
}


#define CASE_OF(name, open, options, ...) \
    static void \
    name(void) \
    { \
        open(&pair, options); \
        run(&(load_t) { __VA_ARGS__ }); \
    }

#define CALLS CHECK_SCALE(60000)

CASE_OF(stalled, pair_open, SPINNING, .streams = 1, .calls = CALLS)
CASE_OF(stalled_asleep, pair_open, ASLEEP, .streams = 1, .calls = CALLS)
CASE_OF(stalled_shared, pair_open_shared, SPINNING, .streams = 2,
        .calls = CALLS)
CASE_OF(read_slowly, pair_open, SPINNING, .streams = 2, .read_every = 5,
        .calls = CALLS)
CASE_OF(timed, pair_open, SPINNING, .streams = 2, .read_every = 7,
        .timed = true, .calls = CALLS)


#define SHARED_CHUNKS CHECK_SCALE(40000u)

static void *
write_half(void *data)
{
    int rc;
    uint32_t i = 0;
    nffi_task_t task = *(nffi_task_t *) data;

    while (i < SHARED_CHUNKS) {
        rc = nffi_stream_write(task, "0123456789", 10);
        i += rc == NFFI_OK;

        if (rc == NFFI_WOULD_BLOCK) {
            rc = nffi_stream_wait(task, -1);
        }

        CHECK_IS(rc, NFFI_OK);
    }

    return NULL;
}


/* Two threads write to the same stream and wait for its credit. */
static void
two_writers(void)
{
    int i;
    nffi_task_t task;
    pthread_t ids[2];
    uint32_t chunks = 0;

    pair_open(&pair, SPINNING);
    readers[0].unread = 0;
    readers[0].task = pair_submit_stream(&pair, NULL, 0, WINDOW, &readers[0]);
    task = pair_take(&pair).task;

    for (i = 0; i < 2; i++) {
        CHECK_IS(pthread_create(&ids[i], NULL, write_half, &task), 0);
    }

    while (chunks < 2 * SHARED_CHUNKS) {
        CHECK_IS(collect(), 0);

        if (readers[0].unread == 0) {
            sleep_or_fail(chunks);
        }

        chunks += readers[0].unread;
        read_all(&readers[0]);
    }

    for (i = 0; i < 2; i++) {
        CHECK_IS(pthread_join(ids[i], NULL), 0);
    }

    close_with(task, 0);
}


/*
 * The leader spins; another thread takes the note that is about its stream.
 * The host has seen no thread park, so it wakes none.
 */
static void
notes_taken(void)
{
    pthread_t id;
    nffi_task_t task, notified;
    uint32_t chunks = 0;
    enum nffi__leader leader;
    nffi_queue_t *queue;

    pair_open(&pair, &(nffi_host_options_t) { .spin_us = 100 });
    queue = pair_inner(pair.queue);
    readers[0].unread = 0;
    readers[0].task = pair_submit_stream(&pair, NULL, 0, WINDOW, &readers[0]);
    task = pair_take(&pair).task;
    CHECK_IS(pthread_create(&id, NULL, write_half, &task), 0);

    while (chunks + NFFI__CHUNKS < SHARED_CHUNKS) {
        CHECK_IS(collect(), 0);

        if (readers[0].unread < NFFI__CHUNKS) {
            sleep_or_fail(chunks);
            continue;
        }

        do {
            pthread_mutex_lock(&queue->mutex);
            leader = queue->leader;
            pthread_mutex_unlock(&queue->mutex);
        } while (leader == NFFI__NOBODY);

        chunks += readers[0].unread;
        read_all(&readers[0]);
        CHECK_IS(nffi_queue_cancelled(pair.queue, &notified, 1), 0);
    }

    while (chunks < SHARED_CHUNKS) {
        CHECK_IS(collect(), 0);
        chunks += readers[0].unread;
        read_all(&readers[0]);
    }

    CHECK_IS(pthread_join(id, NULL), 0);
    close_with(task, 0);
}


static atomic_uint asked, trying, tried;
static atomic_bool enough, over;

static void *
wait_and_write(void *data)
{
    int rc;
    nffi_task_t task = *(nffi_task_t *) data;

    while ((rc = nffi_stream_write(task, "0123456789", 10)) != NFFI_CANCELLED) {
        if (rc == NFFI_WOULD_BLOCK) {
            rc = nffi_stream_wait(task, -1);
        }

        CHECK(rc == NFFI_OK || rc == NFFI_CANCELLED);
    }

    return NULL;
}


/* Tries to write one chunk each time that it is asked; it never waits. */
static void *
try_to_write(void *data)
{
    int rc;
    nffi_task_t task = *(nffi_task_t *) data;

    while (!over) {
        if (asked != tried) {
            trying = asked;

            do {
                rc = nffi_stream_write(task, "0123456789", 10);
                CHECK(rc == NFFI_OK || rc == NFFI_WOULD_BLOCK);
            } while (rc == NFFI_WOULD_BLOCK && !enough);

            tried = asked;

        } else {
            sched_yield();
        }
    }

    return NULL;
}


/* A write that finds credit leaves the thread that waits its note. */
static void
tries_beside_a_wait(void)
{
    nffi_task_t task;
    pthread_t ids[2];
    uint32_t i, rounds, state = 1;
    nffi_queue_t *queue;

    pair_open(&pair, ASLEEP);
    queue = pair_inner(pair.queue);
    readers[0].unread = 0;
    readers[0].task = pair_submit_stream(&pair, NULL, 0, WINDOW, &readers[0]);
    task = pair_take(&pair).task;
    CHECK_IS(pthread_create(&ids[0], NULL, wait_and_write, &task), 0);
    CHECK_IS(pthread_create(&ids[1], NULL, try_to_write, &task), 0);

    for (rounds = 0; rounds < CHECK_SCALE(1000u); rounds++) {
        while (readers[0].unread < NFFI__CHUNKS) {
            CHECK_IS(collect(), 0);

            if (readers[0].unread < NFFI__CHUNKS) {
                sleep_or_fail(rounds);
            }
        }

        while (!queue->region.header->runtime_parked) {
            sched_yield();
        }

        asked++;

        while (trying != asked) {
            sched_yield();
        }

        for (i = 0; i < NFFI__CHUNKS; i++) {
            nffi_host_credit(pair.host, readers[0].task, readers[0].sizes[i]);
            pause_a_bit(&state);
        }

        readers[0].unread = 0;
        enough = true;

        while (tried != asked) {
            sched_yield();
        }

        enough = false;
    }

    over = true;
    nffi_host_cancel(pair.host, readers[0].task);
    CHECK_IS(pthread_join(ids[0], NULL), 0);
    CHECK_IS(pthread_join(ids[1], NULL), 0);
    close_with(task, 0);
}


int
main(int argc, char **argv)
{
    static const check_case_t cases[] = {
        { "calls beside a stalled stream", stalled },
        { "calls beside a stalled stream, without spinning", stalled_asleep },
        { "calls beside two stalled streams, over shared memory",
          stalled_shared },
        { "calls beside streams that are read slowly", read_slowly },
        { "calls beside streams whose waits time out", timed },
        { "two threads that write one stream", two_writers },
        { "a thread that tries to write beside one that waits",
          tries_beside_a_wait },
        { "a note that another thread takes while the leader spins",
          notes_taken },
    };

    return CHECK_MAIN(argc, argv, cases);
}
