/*
 * test_leader.c - threads that wait for credit beside threads that poll: one
 * of them sleeps on the eventfd for all. Streams stall, with and without a
 * reader that returns, while calls arrive at random times; a host that sleeps
 * for seconds while calls are in flight has lost one.
 */

#include "pair.h"

#include <time.h>

#define POLLERS 4
#define MOST_IN_FLIGHT 3
#define LOST_MS 4000
#define WINDOW 100
#define STREAMS 2

typedef struct load {
    uint32_t streams;         /* that stall */
    uint32_t read_every;      /* calls between two reads of a stream, 0: never */
    bool timed;               /* polls and waits last 0 to 2 ms */
    uint32_t calls;
} load_t;

typedef struct reader {
    nffi_task_t task;
    uint32_t unread;
    size_t sizes[NFFI__CHUNKS];
} reader_t;

static pair_t pair;
static int callers[1];
static reader_t readers[STREAMS];
static atomic_uint waits;     /* for credit */


static uint32_t
random_below(uint32_t *state, uint32_t n)
{
    *state = *state * 1664525u + 1013904223u;

    return (uint32_t) (((uint64_t) *state * n) >> 32);
}


/* Up to 40 us: longer and shorter than the runtime spins. */
static void
pause_a_bit(uint32_t *state)
{
    volatile uint32_t i, n = random_below(state, 4) == 0
                             ? random_below(state, 40000)
                             : random_below(state, 400);

    for (i = 0; i < n; i++) {
        /* spin */
    }
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


static uint32_t
drain(void)
{
    int i, n;
    uint32_t calls = 0;
    reader_t *reader;
    nffi_host_response_t responses[16];

    n = nffi_host_drain(pair.host, responses, 16);
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


static void
read_all(reader_t *reader)
{
    uint32_t i;

    for (i = 0; i < reader->unread; i++) {
        nffi_host_credit(pair.host, reader->task, reader->sizes[i]);
    }

    reader->unread = 0;
}


/* Sleeps as the event loop does, but fails instead of hanging. */
static void
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
            CHECK_IS(drain(), 0);

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
        burst = 1 + random_below(&state, MOST_IN_FLIGHT);

        while (burst-- > 0 && submitted < load->calls
               && submitted - answered < MOST_IN_FLIGHT)
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

        n = drain();
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

    (void) drain();
    CHECK(waits >= load->streams);
    pair_check_idle(&pair);
    pair_close(&pair);
}


/* As long as a runtime spins by default. */
#define SPINNING &(nffi_host_options_t) { .spin_us = 20 }
#define ASLEEP &(nffi_host_options_t) { 0 }


static void
stalled(void)
{
    pair_open(&pair, SPINNING);
    run(&(load_t) { .streams = 1, .calls = CHECK_SCALE(60000) });
}


static void
stalled_asleep(void)
{
    pair_open(&pair, ASLEEP);
    run(&(load_t) { .streams = 1, .calls = CHECK_SCALE(60000) });
}


static void
stalled_shared(void)
{
    pair_open_shared(&pair, SPINNING);
    run(&(load_t) { .streams = 2, .calls = CHECK_SCALE(60000) });
}


static void
read_slowly(void)
{
    pair_open(&pair, SPINNING);
    run(&(load_t) { .streams = 2, .read_every = 5,
                    .calls = CHECK_SCALE(60000) });
}


static void
timed(void)
{
    pair_open(&pair, SPINNING);
    run(&(load_t) { .streams = 2, .read_every = 7, .timed = true,
                    .calls = CHECK_SCALE(40000) });
}


/* One thread in nffi_stream_wait, or in nffi_queue_poll. */
typedef struct waiter {
    pthread_t id;
    nffi_task_t task;
    int timeout_ms;
    atomic_int result;        /* RUNNING: it still waits */
} waiter_t;

#define RUNNING 1000


static void *
wait_for_credit(void *data)
{
    waiter_t *waiter = data;

    waiter->result = nffi_stream_wait(waiter->task, waiter->timeout_ms);

    return NULL;
}


static void *
wait_for_tasks(void *data)
{
    int n;
    nffi_request_t request;
    waiter_t *waiter = data;

    n = nffi_queue_poll(pair.queue, &request, 1, waiter->timeout_ms);

    if (n == 1) {
        CHECK_IS(nffi_respond(request.task, 0, NULL, 0), NFFI_OK);
    }

    waiter->result = n;

    return NULL;
}


/* Threads that wait now: the leader counts when it is asleep. */
static uint32_t
waiting_threads(void)
{
    uint32_t count;
    nffi_queue_t *queue = pair_inner(pair.queue);

    pthread_mutex_lock(&queue->mutex);
    count = queue->followers.count + queue->writers.count
            + (queue->leader != NFFI__NOBODY
               && queue->region.header->runtime_parked);
    pthread_mutex_unlock(&queue->mutex);

    return count;
}


/* Starts a thread and returns when it waits; the first one leads. */
static void
start(waiter_t *waiter, void *(*run_thread)(void *data), nffi_task_t task,
    int timeout_ms)
{
    uint32_t before = waiting_threads();

    waiter->task = task;
    waiter->timeout_ms = timeout_ms;
    waiter->result = RUNNING;
    CHECK_IS(pthread_create(&waiter->id, NULL, run_thread, waiter), 0);

    while (waiting_threads() == before) {
        usleep(1000);
    }
}


static void
check_returns(waiter_t *waiter, int expected)
{
    int ms;

    for (ms = 0; waiter->result == RUNNING; ms++) {
        if (ms == LOST_MS) {
            check_fail(__FILE__, __LINE__, "a thread still waits");
        }

        usleep(1000);
    }

    CHECK_IS(waiter->result, expected);
    CHECK_IS(pthread_join(waiter->id, NULL), 0);
}


/* A stream whose window is full; its chunks are drained, but not read. */
static nffi_task_t
full_stream(reader_t *reader)
{
    nffi_task_t running;

    reader->unread = 0;
    reader->task = pair_submit_stream(&pair, NULL, 0, WINDOW, reader);
    running = pair_take(&pair).task;

    while (nffi_stream_write(running, "0123456789", 10) == NFFI_OK) {
        CHECK_IS(drain(), 0);
    }

    CHECK_IS(reader->unread, NFFI__CHUNKS);

    return running;
}


static void
close_with(nffi_task_t first, nffi_task_t second)
{
    CHECK_IS(nffi_stream_end(first), NFFI_OK);

    if (second != 0) {
        CHECK_IS(nffi_stream_end(second), NFFI_OK);
    }

    (void) drain();
    pair_check_idle(&pair);
    pair_close(&pair);
}


/* What a writer that leads owes the pollers that follow it. */
static void
writer_leads(void)
{
    int i;
    waiter_t writer, pollers[2];
    nffi_task_t first, second, told;

    pair_open(&pair, ASLEEP);
    first = full_stream(&readers[0]);
    second = full_stream(&readers[1]);
    start(&writer, wait_for_credit, first, -1);

    /* a task */
    start(&pollers[0], wait_for_tasks, 0, -1);
    pair_submit(&pair, NULL, 0, callers);
    check_returns(&pollers[0], 1);
    CHECK_IS(drain(), 1);

    /* credit for another stream, for which no thread waits */
    start(&pollers[0], wait_for_tasks, 0, -1);
    read_all(&readers[1]);
    check_returns(&pollers[0], 0);
    CHECK_IS(nffi_stream_writable(pair.queue, &told, 1), 1);
    CHECK(told == second);

    /* the end */
    for (i = 0; i < 2; i++) {
        start(&pollers[i], wait_for_tasks, 0, -1);
    }

    nffi_host_close(pair.host);
    check_returns(&pollers[0], NFFI_CLOSED);
    check_returns(&pollers[1], NFFI_CLOSED);
    CHECK_IS(writer.result, RUNNING);
    nffi_host_cancel(pair.host, readers[0].task);
    check_returns(&writer, NFFI_CANCELLED);
    close_with(first, second);
}


/* Threads that leave, for whatever reason, make another one lead. */
static void
leaders_leave(void)
{
    waiter_t writers[2], poller;
    nffi_task_t first, second;

    pair_open(&pair, ASLEEP);
    first = full_stream(&readers[0]);
    second = full_stream(&readers[1]);
    start(&writers[0], wait_for_credit, first, 100);
    start(&writers[1], wait_for_credit, second, -1);
    start(&poller, wait_for_tasks, 0, 300);
    check_returns(&writers[0], NFFI_WOULD_BLOCK);
    check_returns(&poller, 0);
    read_all(&readers[1]);
    check_returns(&writers[1], NFFI_OK);
    close_with(first, second);
}


/* A stream that another thread ends, while the leader or a follower waits. */
static void
ended_by_another(void)
{
    waiter_t writers[2];
    nffi_task_t first, second;

    pair_open(&pair, ASLEEP);
    first = full_stream(&readers[0]);
    second = full_stream(&readers[1]);
    start(&writers[0], wait_for_credit, first, -1);
    start(&writers[1], wait_for_credit, second, -1);
    CHECK_IS(nffi_stream_end(second), NFFI_OK);
    check_returns(&writers[1], NFFI_STALE);
    CHECK_IS(nffi_respond_error(first, "x", 1, NULL, 0), NFFI_OK);
    check_returns(&writers[0], NFFI_STALE);
    (void) drain();
    pair_check_idle(&pair);
    pair_close(&pair);
}


/* A thread finds that the host broke the rules: all that wait return. */
static void
cut_off(void)
{
    waiter_t writer, poller;
    nffi_task_t task, told;
    nffi__ring_t *notes;

    pair_open(&pair, ASLEEP);
    task = full_stream(&readers[0]);
    start(&writer, wait_for_credit, task, -1);
    start(&poller, wait_for_tasks, 0, -1);
    notes = &pair_inner(pair.queue)->region.header->notes_ring;
    notes->tail += pair.host->region.max_tasks + 1;
    CHECK_IS(nffi_queue_cancelled(pair.queue, &told, 1), 0);
    check_returns(&writer, NFFI_CLOSED);
    check_returns(&poller, NFFI_CLOSED);
}


/* The descriptor has one owner: threads beside it follow. */
static void
beside_a_descriptor(void)
{
    nffi_request_t request;
    waiter_t writers[2], poller;
    nffi_task_t first, second;
    struct pollfd pollfd = { .events = POLLIN };

    pair_open(&pair, SPINNING);
    first = full_stream(&readers[0]);
    second = full_stream(&readers[1]);
    start(&writers[0], wait_for_credit, first, -1);
    start(&poller, wait_for_tasks, 0, -1);

    while (nffi_queue_arm(pair.queue) != 0) {
        usleep(1000);
    }

    start(&writers[1], wait_for_credit, second, -1);
    pollfd.fd = nffi_queue_fd(pair.queue);
    read_all(&readers[0]);
    CHECK_IS(poll(&pollfd, 1, LOST_MS), 1);
    CHECK_IS(nffi_queue_poll(pair.queue, &request, 1, 0), 0);
    check_returns(&writers[0], NFFI_OK);

    /* and while its thread is in a handler */
    read_all(&readers[1]);
    pair_submit(&pair, NULL, 0, callers);
    check_returns(&writers[1], NFFI_OK);
    check_returns(&poller, 1);
    close_with(first, second);
}


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
        CHECK_IS(drain(), 0);

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
        { "a thread that waits for credit leads for pollers", writer_leads },
        { "a leader whose time is over makes another one lead",
          leaders_leave },
        { "a stream that another thread ends", ended_by_another },
        { "threads of a queue that was cut off return", cut_off },
        { "threads beside a descriptor", beside_a_descriptor },
        { "two threads that write one stream", two_writers },
    };

    return CHECK_MAIN(argc, argv, cases);
}
