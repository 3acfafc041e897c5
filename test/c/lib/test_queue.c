/*
 * test_queue.c - the runtime's side of a queue: requests, batches, descriptors
 * and cancellation. The threads of a runtime are in test_queue_threads.c.
 */

#include "pair.h"

#include <limits.h>
#include <time.h>

static int owners[64];


static long long
now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);

    return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}


static void
fields(void)
{
    pair_t pair;
    nffi_task_t task;
    nffi_request_t got, again;
    nffi_host_request_t request = {
        .data = "a\0b", .size = 3, .method = "m\0", .method_size = 2,
        .deadline_ns = 77
    };

    pair_open(&pair, &(nffi_host_options_t) { 0 });
    CHECK_IS(nffi_host_submit(pair.host, &request, owners, &task), NFFI_OK);
    got = pair_take(&pair);
    CHECK_BYTES(got.data, got.size, "a\0b", 3);
    CHECK_BYTES(got.method, got.method_size, "m\0", 2);
    CHECK_IS(got.deadline_ns, 77);
    CHECK(got.task != 0);

    memset(&again, 0, sizeof(again));
    CHECK_IS(nffi_task_request(got.task, &again), NFFI_OK);
    CHECK(memcmp(&got, &again, sizeof(got)) == 0);
    CHECK_IS(nffi_task_request(got.task, NULL), NFFI_INVALID);
    CHECK_IS(nffi_respond(got.task, 0, NULL, 0), NFFI_OK);
    CHECK_IS(nffi_task_request(got.task, &again), NFFI_STALE);

    request = (nffi_host_request_t) { .method = "only", .method_size = 4 };
    CHECK_IS(nffi_host_submit(pair.host, &request, owners, &task), NFFI_OK);
    got = pair_take(&pair);
    CHECK(got.data == NULL);
    CHECK_IS(got.size, 0);
    CHECK_BYTES(got.method, got.method_size, "only", 4);

    pair_submit(&pair, NULL, 0, owners);
    got = pair_take(&pair);
    CHECK(got.data == NULL && got.method == NULL);
    CHECK_IS(got.size, 0);
    CHECK_IS(got.method_size, 0);
    CHECK_IS(got.deadline_ns, 0);
    pair_close(&pair);
}


static void
time_left(void)
{
    int i, left;
    pair_t pair;
    nffi_task_t task;
    nffi_request_t got;
    uint64_t now = (uint64_t) now_ms() * 1000000;
    const struct { uint64_t deadline_ns; int min, max; } cases[] = {
        { 0, -1, -1 },
        { 77, 0, 0 },
        { now + 2000000000, 1000, 2001 },
        { UINT64_MAX, INT_MAX, INT_MAX },
    };

    pair_open(&pair, &(nffi_host_options_t) { 0 });

    for (i = 0; i < 4; i++) {
        nffi_host_request_t request = { .deadline_ns = cases[i].deadline_ns };

        CHECK_IS(nffi_host_submit(pair.host, &request, owners, &task),
                 NFFI_OK);
        got = pair_take(&pair);
        left = nffi_task_time_left(got.task);
        CHECK(left >= cases[i].min && left <= cases[i].max);
        CHECK_IS(nffi_respond(got.task, 0, NULL, 0), NFFI_OK);
        CHECK_IS(nffi_task_time_left(got.task), 0);
    }

    pair_close(&pair);
}


static void
batches(void)
{
    int i;
    pair_t pair;
    nffi_request_t requests[64];

    pair_open(&pair, &(nffi_host_options_t) { .max_tasks = 64 });

    for (i = 0; i < 64; i++) {
        pair_submit(&pair, &i, sizeof(i), &owners[i]);
    }

    CHECK_IS(nffi_queue_poll(pair.queue, requests, 10, -1), 10);
    CHECK_IS(nffi_queue_poll(pair.queue, requests + 10, 1, 1000), 1);
    CHECK_IS(nffi_queue_poll(pair.queue, requests + 11, 1000, 0), 53);
    CHECK_IS(nffi_queue_poll(pair.queue, requests, 1, 0), 0);

    for (i = 0; i < 64; i++) {
        CHECK_BYTES(requests[i].data, requests[i].size, &i, sizeof(i));
    }

    pair_close(&pair);
}


static void
refuses_nonsense(void)
{
    pair_t pair;
    nffi_task_t task;
    nffi_request_t request;

    pair_open(&pair, &(nffi_host_options_t) { 0 });
    CHECK_IS(nffi_queue_poll(NULL, &request, 1, 0), NFFI_INVALID);
    CHECK_IS(nffi_queue_poll(pair.queue, NULL, 1, 0), NFFI_INVALID);
    CHECK_IS(nffi_queue_poll(pair.queue, &request, 0, 0), NFFI_INVALID);
    CHECK_IS(nffi_queue_fd(NULL), NFFI_INVALID);
    CHECK_IS(nffi_queue_arm(NULL), NFFI_INVALID);
    CHECK_IS(nffi_queue_cancelled(NULL, &task, 1), NFFI_INVALID);
    CHECK_IS(nffi_queue_cancelled(pair.queue, NULL, 1), NFFI_INVALID);
    CHECK_IS(nffi_task_cancelled(0), NFFI_STALE);
    CHECK_IS(nffi_task_cancelled(UINT64_MAX), NFFI_STALE);
    CHECK_IS(nffi_task_request(0, &request), NFFI_STALE);
    pair_close(&pair);
}


static void
reports_cancelled(void)
{
    int i;
    pair_t pair;
    nffi_task_t tasks[3], notified[4];
    nffi_request_t requests[3];

    pair_open(&pair, &(nffi_host_options_t) { .max_tasks = 4 });

    for (i = 0; i < 3; i++) {
        tasks[i] = pair_submit(&pair, "x", 1, &owners[i]);
    }

    CHECK_IS(nffi_queue_poll(pair.queue, requests, 3, 0), 3);
    CHECK_IS(nffi_queue_cancelled(pair.queue, notified, 4), 0);
    nffi_host_cancel(pair.host, tasks[0]);
    nffi_host_cancel(pair.host, tasks[2]);
    nffi_host_cancel(pair.host, tasks[2]);
    CHECK_IS(nffi_task_cancelled(requests[0].task), 1);
    CHECK_IS(nffi_task_cancelled(requests[1].task), 0);

    CHECK_IS(nffi_queue_cancelled(pair.queue, notified, 1), 1);
    CHECK(notified[0] == requests[0].task);
    CHECK_IS(nffi_queue_cancelled(pair.queue, notified, 4), 1);
    CHECK(notified[0] == requests[2].task);
    CHECK_IS(nffi_queue_cancelled(pair.queue, notified, 4), 0);

    /* a task with a response before the first check is not reported */
    nffi_host_cancel(pair.host, tasks[1]);
    CHECK_IS(nffi_respond(requests[1].task, 0, NULL, 0), NFFI_OK);
    CHECK_IS(nffi_queue_cancelled(pair.queue, notified, 4), 0);
    CHECK_IS(nffi_task_cancelled(requests[1].task), NFFI_STALE);

    /* asking is not answering */
    CHECK_IS(pair_state(&pair).refused, 0);
    pair_close(&pair);
}


/* A runtime that never asks fills the ring of notes: nothing else suffers. */
static void
ignores_cancelled(void)
{
    int i;
    pair_t pair;
    nffi_task_t task, notified;
    nffi_request_t request;
    nffi_host_response_t response;

    pair_open(&pair, &(nffi_host_options_t) { .max_tasks = 2 });

    for (i = 0; i < 100; i++) {
        task = pair_submit(&pair, "x", 1, owners);
        request = pair_take(&pair);
        nffi_host_cancel(pair.host, task);
        CHECK_IS(nffi_task_cancelled(request.task), 1);
        CHECK_IS(nffi_respond(request.task, 0, NULL, 0), NFFI_OK);
        CHECK_IS(nffi_host_collect(pair.host, &response, 1), 0);
    }

    task = pair_submit(&pair, "x", 1, owners);
    request = pair_take(&pair);
    nffi_host_cancel(pair.host, task);
    CHECK_IS(nffi_queue_cancelled(pair.queue, &notified, 1), 1);
    CHECK(notified == request.task);
    pair_close(&pair);
}


static int
readable(int fd, int timeout_ms)
{
    struct pollfd pollfd = { .fd = fd, .events = POLLIN };

    return poll(&pollfd, 1, timeout_ms);
}


static void
arms(void)
{
    int fd;
    pair_t pair;
    nffi_task_t task, notified;
    nffi_request_t requests[4];

    pair_open(&pair, &(nffi_host_options_t) { 0 });
    fd = nffi_queue_fd(pair.queue);

    CHECK_IS(nffi_queue_arm(pair.queue), 0);
    CHECK_IS(readable(fd, 0), 0);
    task = pair_submit(&pair, "x", 1, owners);
    CHECK_IS(readable(fd, 0), 1);
    CHECK_IS(nffi_queue_arm(pair.queue), 1);
    CHECK_IS(nffi_queue_poll(pair.queue, requests, 4, 0), 1);
    CHECK_IS(nffi_queue_arm(pair.queue), 0);
    CHECK_IS(readable(fd, 0), 0);

    /* a late cancellation makes it readable, and arm reports it once */
    nffi_host_cancel(pair.host, task);
    CHECK_IS(readable(fd, 0), 1);
    CHECK_IS(nffi_queue_arm(pair.queue), 1);
    CHECK_IS(nffi_queue_arm(pair.queue), 0);
    CHECK_IS(nffi_queue_cancelled(pair.queue, &notified, 1), 1);

    /* awake: not signalled */
    task = pair_submit(&pair, "x", 1, owners);
    CHECK_IS(nffi_queue_arm(pair.queue), 1);
    CHECK_IS(readable(fd, 0), 0);
    task = pair_submit(&pair, "x", 1, owners);
    CHECK_IS(readable(fd, 0), 0);
    CHECK_IS(nffi_queue_poll(pair.queue, requests, 4, 0), 2);

    CHECK_IS(nffi_queue_arm(pair.queue), 0);
    nffi_host_close(pair.host);
    CHECK_IS(readable(fd, 0), 1);
    CHECK_IS(nffi_queue_arm(pair.queue), 1);
    CHECK_IS(nffi_queue_arm(pair.queue), 1);
    CHECK_IS(nffi_queue_poll(pair.queue, requests, 4, 0), NFFI_CLOSED);
    pair_close(&pair);
}


/* While tasks follow each other, arm makes no system call: it does not read the
   descriptor. After a sleep it does, or the loop would not sleep again. */
static void
arms_without_reading(void)
{
    int fd;
    pair_t pair;
    uint64_t one = 1;
    nffi_request_t requests[4];

    pair_open(&pair, &(nffi_host_options_t) { 0 });
    fd = nffi_queue_fd(pair.queue);
    CHECK_IS(nffi_queue_arm(pair.queue), 0);
    pair_submit(&pair, "x", 1, owners);
    CHECK_IS(nffi_queue_arm(pair.queue), 1);
    CHECK_IS(readable(fd, 0), 0);

    CHECK_IS(write(fd, &one, sizeof(one)), sizeof(one));
    CHECK_IS(nffi_queue_arm(pair.queue), 1);
    CHECK_IS(readable(fd, 0), 1);

    CHECK_IS(nffi_queue_poll(pair.queue, requests, 4, 0), 1);
    CHECK_IS(nffi_queue_arm(pair.queue), 0);
    CHECK_IS(readable(fd, 0), 0);
    pair_submit(&pair, "x", 1, owners);
    CHECK_IS(readable(fd, 0), 1);
    pair_close(&pair);
}


/* The runtime learns immediately that a queue was cut off. */
static void
arms_broken(void)
{
    pair_t pair;
    nffi_task_t notified;
    nffi_request_t request;

    pair_open(&pair, &(nffi_host_options_t) { .max_tasks = 4 });
    atomic_store(&pair.host->region.header->notes_ring.tail, 100);
    CHECK_IS(nffi_queue_cancelled(pair.queue, &notified, 1), 0);
    CHECK_IS(nffi_queue_arm(pair.queue), 1);
    CHECK_IS(nffi_queue_arm(pair.queue), 1);
    CHECK_IS(nffi_queue_poll(pair.queue, &request, 1, 0), NFFI_CLOSED);
    pair_close(&pair);
}


/* A worker may try a library that fails to start for as long as it lives. */
static void
makes_many_queues(void)
{
    int i;
    pair_t pair;
    nffi_request_t request;
    nffi_host_options_t options = {
        .max_tasks = 1, .request_arena = 1, .response_arena = 1
    };

    for (i = 0; i < 5000; i++) {
        pair_open(&pair, &options);
        pair_submit(&pair, "x", 1, owners);
        request = pair_take(&pair);
        CHECK_IS(nffi_respond(request.task, 0, NULL, 0), NFFI_OK);
        CHECK_IS(nffi_respond(request.task, 0, NULL, 0), NFFI_STALE);
        pair_close(&pair);
        CHECK_IS(nffi_respond(request.task, 0, NULL, 0), NFFI_STALE);
    }
}


int
main(int argc, char **argv)
{
    static const check_case_t cases[] = {
        { "a request has its bytes, method and deadline", fields },
        { "the time left is a timeout for poll(2)", time_left },
        { "a poll takes up to as many as it asks for", batches },
        { "nonsense is refused", refuses_nonsense },
        { "a cancelled task is reported once", reports_cancelled },
        { "a runtime may ignore cancellations", ignores_cancelled },
        { "an armed descriptor becomes readable", arms },
        { "arm reads the descriptor only after a sleep", arms_without_reading },
        { "a queue that was cut off does not arm", arms_broken },
        { "queues can be made again and again", makes_many_queues },
    };

    return CHECK_MAIN(argc, argv, cases);
}
