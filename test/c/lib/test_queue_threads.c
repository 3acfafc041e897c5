/*
 * test_queue_threads.c - several threads of a runtime take tasks from one
 * queue: each task once, until the queue is closed.
 */

#include "pair.h"

#include <time.h>

#define THREADS 4

static int owners[64];


static long long
now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);

    return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}


static void *
poll_for_30_ms(void *data)
{
    long long start = now_ms();
    nffi_request_t request;

    CHECK_IS(nffi_queue_poll(data, &request, 1, 30), 0);
    CHECK(now_ms() - start >= 29);

    return NULL;
}


static void
times_out(void)
{
    int i;
    long long start;
    pair_t pair;
    pthread_t threads[THREADS];
    nffi_request_t request;

    pair_open(&pair, &(nffi_host_options_t) { 0 });
    start = now_ms();
    CHECK_IS(nffi_queue_poll(pair.queue, &request, 1, 0), 0);
    CHECK(now_ms() - start < 5000);

    /* one leads, the others follow; each keeps its own time */
    start = now_ms();

    for (i = 0; i < THREADS; i++) {
        pthread_create(&threads[i], NULL, poll_for_30_ms, pair.queue);
    }

    for (i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }

    CHECK(now_ms() - start < 5000);
    pair_close(&pair);
}


static void *
poll_for_ever(void *data)
{
    nffi_request_t request;

    CHECK_IS(nffi_queue_poll(data, &request, 1, -1), 1);
    CHECK_IS(nffi_respond(request.task, 0, NULL, 0), NFFI_OK);

    return NULL;
}


static void
follows(void)
{
    pair_t pair;
    pthread_t leader, follower;
    nffi_host_response_t response;

    pair_open(&pair, &(nffi_host_options_t) { 0 });
    pthread_create(&leader, NULL, poll_for_30_ms, pair.queue);
    usleep(10000);
    pthread_create(&follower, NULL, poll_for_ever, pair.queue);
    pthread_join(leader, NULL);
    pair_submit(&pair, "x", 1, owners);
    CHECK_IS(pair_collect(&pair, &response, 1), 1);
    pthread_join(follower, NULL);
    pair_close(&pair);
}


/* State that the threads of a runtime share with the case. */
typedef struct group {
    nffi_queue_t *queue;
    int batch;
    atomic_int taken[20000];
    atomic_int ended;
} group_t;

static group_t group;


static void *
answer_until_closed(void *data)
{
    int i, n, number;
    nffi_request_t requests[16];

    (void) data;

    while ((n = nffi_queue_poll(group.queue, requests, (size_t) group.batch,
                                -1))
           >= 0)
    {
        for (i = 0; i < n; i++) {
            CHECK_IS(requests[i].size, sizeof(number));
            memcpy(&number, requests[i].data, sizeof(number));
            atomic_fetch_add(&group.taken[number], 1);
            CHECK_IS(nffi_respond(requests[i].task, number, NULL, 0), NFFI_OK);
        }
    }

    CHECK_IS(n, NFFI_CLOSED);
    atomic_fetch_add(&group.ended, 1);

    return NULL;
}


static void
start_group(pair_t *pair, pthread_t *threads, int batch)
{
    int i;

    group.queue = pair->queue;
    group.batch = batch;

    for (i = 0; i < THREADS; i++) {
        CHECK_IS(pthread_create(&threads[i], NULL, answer_until_closed, NULL),
                 0);
    }
}


static void
serve_by_threads(pair_t *pair, int batch)
{
    int i, n, number = 0, answered = 0, total = CHECK_SCALE(20000);
    pthread_t threads[THREADS];
    nffi_host_response_t responses[8];

    start_group(pair, threads, batch);

    while (answered < total) {
        for (i = 0; i < 50 && number < total; i++, number++) {
            pair_submit(pair, &number, sizeof(number), owners);
        }

        n = pair_collect(pair, responses, 8);
        CHECK(n > 0);

        for (i = 0; i < n; i++) {
            CHECK_IS(group.taken[responses[i].rc], 1);
            nffi_host_release(pair->host, &responses[i]);
        }

        answered += n;
    }

    nffi_host_close(pair->host);

    for (i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }

    for (i = 0; i < total; i++) {
        CHECK_IS(group.taken[i], 1);
    }

    pair_check_idle(pair);
}


static void
threads_one_by_one(void)
{
    pair_t pair;

    pair_open(&pair, &(nffi_host_options_t) { 0 });
    serve_by_threads(&pair, 1);
    pair_close(&pair);
}


static void
threads_in_batches(void)
{
    pair_t pair;

    pair_open_shared(&pair, &(nffi_host_options_t) { 0 });
    serve_by_threads(&pair, 16);
    pair_close(&pair);
}


static void
closes(void)
{
    int i, n, answered = 0;
    pair_t pair;
    pthread_t threads[THREADS];
    nffi_request_t request;
    nffi_host_response_t responses[8];

    pair_open(&pair, &(nffi_host_options_t) { 0 });

    for (i = 0; i < 100; i++) {
        pair_submit(&pair, &i, sizeof(i), owners);
    }

    nffi_host_close(pair.host);
    nffi_host_close(pair.host);
    start_group(&pair, threads, 1);

    for (i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }

    /* what was queued has been answered before */
    while ((n = nffi_host_collect(pair.host, responses, 8)) > 0) {
        answered += n;
        while (n > 0) {
            nffi_host_release(pair.host, &responses[--n]);
        }
    }

    CHECK_IS(answered, 100);
    pair_check_idle(&pair);
    CHECK_IS(nffi_queue_poll(pair.queue, &request, 1, -1), NFFI_CLOSED);
    CHECK_IS(nffi_queue_poll(pair.queue, &request, 1, 0), NFFI_CLOSED);
    pair_close(&pair);
}


static void
closes_sleepers(void)
{
    int i;
    pair_t pair;
    pthread_t threads[THREADS];

    pair_open(&pair, &(nffi_host_options_t) { 0 });
    start_group(&pair, threads, 16);
    usleep(20000);
    CHECK_IS(group.ended, 0);
    nffi_host_close(pair.host);

    for (i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }

    CHECK_IS(group.ended, THREADS);
    pair_close(&pair);
}


/*
 * Tasks that are cancelled while they wait go back to the host in the middle
 * of a poll, and the host may queue their slots again before it has ended.
 */
static void
recycles_skipped(void)
{
    int i, n, round;
    pair_t pair;
    nffi_task_t tasks[4];
    pthread_t threads[THREADS];
    nffi_host_request_t request = { 0 };
    nffi_host_response_t response;

    pair_open(&pair, &(nffi_host_options_t) { .max_tasks = 4 });
    start_group(&pair, threads, 16);

    for (round = 0; round < CHECK_SCALE(400000); round++) {
        for (i = 0; i < 4; i++) {
            request.data = &i;
            request.size = sizeof(i);
            n = nffi_host_submit(pair.host, &request, owners, &tasks[i]);

            if (n != NFFI_OK) {
                CHECK_IS(n, NFFI_QUEUE_FULL);
                break;
            }

            nffi_host_cancel(pair.host, tasks[i]);
        }

        CHECK_IS(nffi_host_collect(pair.host, &response, 1), 0);
        CHECK_IS(group.ended, 0);
    }

    nffi_host_close(pair.host);

    for (i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }

    CHECK_IS(nffi_host_collect(pair.host, &response, 1), 0);
    pair_check_idle(&pair);
    pair_close(&pair);
}


int
main(int argc, char **argv)
{
    static const check_case_t cases[] = {
        { "a poll ends when its time is over", times_out },
        { "when the sleeper leaves, another sleeps in its place", follows },
        { "threads that take one by one get each task once",
          threads_one_by_one },
        { "threads that take batches get each task once", threads_in_batches },
        { "close answers what is queued, then ends every thread", closes },
        { "close ends threads that sleep", closes_sleepers },
        { "slots of cancelled tasks may be used again at once",
          recycles_skipped },
    };

    return CHECK_MAIN(argc, argv, cases);
}
