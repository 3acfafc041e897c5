/*
 * test_wake.c - no wake-up is lost: both sides really sleep, many times, with
 * random tiny pauses between all steps. If the host sleeps for seconds while
 * tasks are in flight, it or its runtime has missed a wake-up.
 */

#include "pair.h"
#include "random.h"

#define MAX_THREADS 3
#define MAX_IN_FLIGHT 48
#define LOST_MS 8000

typedef enum style {
    BLOCKING,                 /* poll -1 */
    TIMED,                    /* poll 0 to 2 ms */
    ARMED                     /* arm, then poll(2) on the descriptor */
} style_t;

typedef struct worker {
    pair_t *pair;
    style_t style;
    size_t batch;
    uint32_t random_state;
    unsigned long sleeps;
} worker_t;

static int owners[1];


/* Mostly nothing, sometimes long enough for the other side to fall asleep. */
static void
pause_a_bit(uint32_t *state)
{
    random_pause(state, 8, 30, 2000);
}


static int
take(worker_t *worker, nffi_request_t *requests)
{
    int n;
    nffi_queue_t *queue = worker->pair->queue;
    struct pollfd pollfd;

    if (worker->style == BLOCKING) {
        return nffi_queue_poll(queue, requests, worker->batch, -1);
    }

    if (worker->style == TIMED) {
        return nffi_queue_poll(queue, requests, worker->batch,
                               (int) random_below(&worker->random_state, 3));
    }

    while ((n = nffi_queue_poll(queue, requests, worker->batch, 0)) == 0) {
        pause_a_bit(&worker->random_state);

        if (nffi_queue_arm(queue) == 0) {
            worker->sleeps++;
            pollfd.fd = nffi_queue_fd(queue);
            pollfd.events = POLLIN;
            (void) poll(&pollfd, 1, -1);
        }
    }

    return n;
}


static void *
serve(void *data)
{
    int i, n;
    worker_t *worker = data;
    nffi_request_t requests[16];

    while ((n = take(worker, requests)) >= 0) {
        for (i = 0; i < n; i++) {
            pause_a_bit(&worker->random_state);
            CHECK_IS(nffi_respond(requests[i].task, 0, NULL, 0), NFFI_OK);
        }
    }

    CHECK_IS(n, NFFI_CLOSED);

    return NULL;
}


/* Like pair_collect, but fails after a long sleep: a wake-up was lost. */
static int
collect_or_sleep(pair_t *pair, uint32_t *random_state, long *sleeps)
{
    int n;
    uint64_t count;
    nffi_host_response_t responses[16];
    struct pollfd pollfd = { .fd = pair->wake_fd, .events = POLLIN };

    n = nffi_host_collect(pair->host, responses, 16);
    CHECK(n >= 0);

    if (n == 0) {
        pause_a_bit(random_state);

        if (!nffi_host_park(pair->host)) {
            (*sleeps)++;

            if (poll(&pollfd, 1, LOST_MS) == 0) {
                check_fail(__FILE__, __LINE__, "a wake-up was lost: %u queued, "
                           "%u unanswered", pair_state(pair).queued,
                           pair_state(pair).unanswered);
            }

            CHECK_IS(read(pair->wake_fd, &count, sizeof(count)),
                     sizeof(count));
        }

        return 0;
    }

    for (int i = 0; i < n; i++) {
        nffi_host_release(pair->host, &responses[i]);
    }

    return n;
}


static void
exchange(pair_t *pair, int threads, style_t style, size_t batch, int total)
{
    int i, submitted = 0, answered = 0, burst, max;
    long sleeps = 0;
    uint32_t random_state = 1;
    pthread_t ids[MAX_THREADS];
    worker_t workers[MAX_THREADS];

    for (i = 0; i < threads; i++) {
        workers[i] = (worker_t) { pair, style, batch, (uint32_t) i + 2, 0 };
        CHECK_IS(pthread_create(&ids[i], NULL, serve, &workers[i]), 0);
    }

    while (answered < total) {
        max = random_below(&random_state, 16) == 0 ? MAX_IN_FLIGHT : 3;
        burst = 1 + (int) random_below(&random_state, (uint32_t) max);

        while (burst-- > 0 && submitted < total
               && submitted - answered < MAX_IN_FLIGHT)
        {
            pair_submit(pair, NULL, 0, owners);
            submitted++;
            pause_a_bit(&random_state);
        }

        answered += collect_or_sleep(pair, &random_state, &sleeps);
    }

    nffi_host_close(pair->host);

    for (i = 0; i < threads; i++) {
        CHECK_IS(pthread_join(ids[i], NULL), 0);
    }

    /* otherwise the case has tested nothing */
    CHECK(sleeps > total / 100);

    if (getenv("NFFI_TEST_VERBOSE") != NULL) {
        fprintf(stderr, "%d tasks, the host slept %ld times\n", total, sleeps);
    }

    pair_check_idle(pair);
    pair_close(pair);
}


/* Long enough that it often ends between two tasks, and often does not. */
#define SPINNING &(nffi_host_options_t) { .spin_us = 3 }


static void
one_thread(void)
{
    pair_t pair;

    pair_open(&pair, &(nffi_host_options_t) { 0 });
    exchange(&pair, 1, BLOCKING, 16, CHECK_SCALE(300000));
}


static void
three_threads(void)
{
    pair_t pair;

    pair_open(&pair, &(nffi_host_options_t) { 0 });
    exchange(&pair, 3, BLOCKING, 1, CHECK_SCALE(150000));
}


static void
timed(void)
{
    pair_t pair;

    pair_open(&pair, &(nffi_host_options_t) { 0 });
    exchange(&pair, 3, TIMED, 4, CHECK_SCALE(150000));
}


static void
armed(void)
{
    pair_t pair;

    pair_open(&pair, &(nffi_host_options_t) { 0 });
    exchange(&pair, 1, ARMED, 16, CHECK_SCALE(300000));
}


static void
shared(void)
{
    pair_t pair;

    pair_open_shared(&pair, &(nffi_host_options_t) { 0 });
    exchange(&pair, 2, BLOCKING, 4, CHECK_SCALE(150000));
}


static void
shared_armed(void)
{
    pair_t pair;

    pair_open_shared(&pair, &(nffi_host_options_t) { 0 });
    exchange(&pair, 1, ARMED, 16, CHECK_SCALE(300000));
}


static void
spinning(void)
{
    pair_t pair;

    pair_open(&pair, SPINNING);
    exchange(&pair, 3, BLOCKING, 4, CHECK_SCALE(150000));
}


static void
spinning_alone(void)
{
    pair_t pair;

    pair_open(&pair, SPINNING);
    exchange(&pair, 1, BLOCKING, 4, CHECK_SCALE(150000));
}


static void
spinning_armed(void)
{
    pair_t pair;

    pair_open_shared(&pair, SPINNING);
    exchange(&pair, 1, ARMED, 16, CHECK_SCALE(150000));
}


/*
 * One wake-up for each of many rings, as fast as possible: the producer
 * publishes and checks whether the consumer has parked; the consumer announces
 * that and checks again. At least one must see the other. Both store before
 * they load, which x86-64 also reorders if the order of an access is weaker
 * than seq_cst.
 */
#define RINGS 4096

typedef struct meeting {
    nffi__ring_t ring;
    _Alignas(NFFI__CACHE_LINE) _Atomic uint32_t parked;
    bool signalled;           /* by the producer */
    bool found;               /* by the consumer */
} meeting_t;

static meeting_t meetings[RINGS];
static atomic_uint here[2];


/* Both threads begin a round at the same moment. */
static void
meet(int who, uint32_t round)
{
    here[who] = round;

    while (here[!who] < round) {
        /* not sched_yield: it would take longer than the round */
    }
}


static void *
consume(void *data)
{
    uint32_t i, round;

    (void) data;

    for (round = 1; round <= CHECK_SCALE(160u); round++) {
        meet(0, round * 2 - 1);

        for (i = 0; i < RINGS; i++) {
            nffi__announce_parked(&meetings[i].parked, NFFI__ON_DESCRIPTOR);
            meetings[i].found = nffi__ring_waiting(&meetings[i].ring) != 0;
        }

        meet(0, round * 2);
    }

    return NULL;
}


static void
sees_the_other(void)
{
    pthread_t id;
    uint32_t i, round, both = 0;

    CHECK_IS(pthread_create(&id, NULL, consume, NULL), 0);

    for (round = 1; round <= CHECK_SCALE(160u); round++) {
        meet(1, round * 2 - 1);

        for (i = 0; i < RINGS; i++) {
            nffi__ring_publish(&meetings[i].ring, 1);
            meetings[i].signalled = nffi__must_wake(&meetings[i].parked);
        }

        meet(1, round * 2);

        for (i = 0; i < RINGS; i++) {
            CHECK(meetings[i].found || meetings[i].signalled);
            both += meetings[i].found && meetings[i].signalled;
            nffi__ring_consume(&meetings[i].ring, 1);
            meetings[i].parked = 0;
        }
    }

    CHECK_IS(pthread_join(id, NULL), 0);

    if (getenv("NFFI_TEST_VERBOSE") != NULL) {
        fprintf(stderr, "%u times each has seen the other\n", both);
    }
}


int
main(int argc, char **argv)
{
    static const check_case_t cases[] = {
        { "one of two sees the other", sees_the_other },
        { "no wake-up is lost with one thread", one_thread },
        { "no wake-up is lost with threads that follow one", three_threads },
        { "no wake-up is lost when polls time out", timed },
        { "no wake-up is lost on an armed descriptor", armed },
        { "no wake-up is lost over shared memory", shared },
        { "no wake-up is lost over shared memory, armed", shared_armed },
        { "no wake-up is lost by spinning first", spinning },
        { "no wake-up is lost by one thread that spins first",
          spinning_alone },
        { "no wake-up is lost by spinning before arming", spinning_armed },
    };

    return CHECK_MAIN(argc, argv, cases);
}
