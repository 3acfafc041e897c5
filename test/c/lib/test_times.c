/*
 * test_times.c - how long tasks waited and ran, as the host counts it: what a
 * runtime says of its times is believed only where it can be true.
 */

#include "pair.h"
#include "host/histogram.h"
#include "shared/times.h"

static int owner;

static nffi_host_times_t times;


static nffi_host_options_t
timed(void)
{
    nffi_host_options_t options = {
        .max_tasks = 16, .request_arena = 64 << 10, .response_arena = 64 << 10,
        .times = &times
    };

    memset(&times, 0, sizeof(times));

    return options;
}


static void
sleep_ms(long ms)
{
    struct timespec pause = { 0, ms * 1000000 };

    nanosleep(&pause, NULL);
}


static void
observes_in_powers_of_two(void)
{
    nffi_host_histogram_t histogram;

    memset(&histogram, 0, sizeof(histogram));
    nffi__observe(&histogram, 0);
    nffi__observe(&histogram, 1024);
    CHECK_IS(histogram.buckets[0], 2);
    nffi__observe(&histogram, 1025);
    nffi__observe(&histogram, 2048);
    CHECK_IS(histogram.buckets[1], 2);
    nffi__observe(&histogram, UINT64_C(1) << 36);
    CHECK_IS(histogram.buckets[NFFI_HOST_BUCKETS - 2], 1);
    nffi__observe(&histogram, (UINT64_C(1) << 36) + 1);
    nffi__observe(&histogram, UINT64_C(1) << 62);
    CHECK_IS(histogram.buckets[NFFI_HOST_BUCKETS - 1], 2);
    CHECK_IS(histogram.count, 7);
}


static void
host_counts_wait_and_run(void)
{
    pair_t pair;
    nffi_host_options_t options = timed();
    nffi_host_response_t response;
    nffi_request_t request;
    const uint64_t ms = 1000000;

    pair_open(&pair, &options);
    pair_submit(&pair, "x", 1, &owner);
    sleep_ms(20);
    request = pair_take(&pair);
    sleep_ms(5);
    CHECK_IS(nffi_respond(request.task, 0, "y", 1), NFFI_OK);
    response = pair_response(&pair);
    nffi_host_release(pair.host, &response);

    CHECK_IS(times.wait.count, 1);
    CHECK_IS(times.run.count, 1);
    CHECK(times.wait.sum_ns >= 20 * ms && times.wait.sum_ns < 5000 * ms);
    CHECK(times.run.sum_ns >= 5 * ms && times.run.sum_ns < 5000 * ms);
    pair_close(&pair);
}


static void
host_counts_cancelled_tasks(void)
{
    pair_t pair;
    nffi_host_options_t options = timed();
    nffi_host_response_t response;
    nffi_request_t request;
    nffi_task_t task;

    pair_open(&pair, &options);
    task = pair_submit(&pair, "x", 1, &owner);
    request = pair_take(&pair);
    nffi_host_cancel(pair.host, task);
    CHECK_IS(nffi_respond(request.task, 0, "y", 1), NFFI_OK);
    CHECK_IS(nffi_host_collect(pair.host, &response, 1), 0);
    CHECK_IS(times.run.count, 1);

    /* one that was never started has neither */
    task = pair_submit(&pair, "x", 1, &owner);
    nffi_host_cancel(pair.host, task);
    CHECK_IS(nffi_queue_poll(pair.queue, &request, 1, 0), 0);
    CHECK_IS(nffi_host_collect(pair.host, &response, 1), 0);
    CHECK_IS(times.wait.count, 1);
    pair_close(&pair);
}


static void
host_believes_no_impossible_times(void)
{
    size_t i;
    pair_t pair;
    uint64_t now;
    nffi_host_options_t options = timed();
    nffi_host_response_t response;
    nffi_request_t request;
    volatile nffi__slot_t *slot;
    const uint64_t hour = UINT64_C(3600) * 1000000000;
    const struct { int64_t taken, answered; } lies[] = {
        { 0, hour },              /* answered in the future */
        { hour, hour },           /* and taken there */
        { -(int64_t) hour, 0 },   /* taken before it was queued */
        { 0, -(int64_t) hour },   /* answered before it was taken */
    };

    pair_open(&pair, &options);

    for (i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
        pair_submit(&pair, "x", 1, &owner);
        request = pair_take(&pair);
        slot = &pair.host->region.slots[request.task >> 32 & 15];
        CHECK_IS(nffi_respond(request.task, 0, "y", 1), NFFI_OK);
        now = nffi__now();
        slot->taken_ns = now + (uint64_t) lies[i].taken;
        slot->answered_ns = now + (uint64_t) lies[i].answered;

        /* the answer itself is none the worse */
        response = pair_response(&pair);
        CHECK(response.owner == &owner);
        nffi_host_release(pair.host, &response);
    }

    CHECK_IS(times.wait.count, 0);
    CHECK_IS(times.run.count, 0);
    pair_close(&pair);
}


static void
clock_is_not_read_unasked(void)
{
    pair_t pair;
    nffi_host_options_t options = timed();
    nffi_request_t request;

    options.times = NULL;
    pair_open(&pair, &options);
    pair_submit(&pair, "x", 1, &owner);
    request = pair_take(&pair);
    CHECK_IS(pair.host->region.slots[request.task >> 32 & 15].taken_ns, 0);
    CHECK_IS(nffi_respond(request.task, 0, "y", 1), NFFI_OK);
    CHECK_IS(pair.host->region.slots[request.task >> 32 & 15].answered_ns, 0);
    pair_close(&pair);
}


int
main(int argc, char **argv)
{
    static const check_case_t cases[] = {
        { "buckets are powers of two", observes_in_powers_of_two },
        { "waiting and running times are separate", host_counts_wait_and_run },
        { "a call that was given up still ran",
          host_counts_cancelled_tasks },
        { "impossible times are not counted",
          host_believes_no_impossible_times },
        { "a host that does not measure has no clock read",
          clock_is_not_read_unasked },
    };

    return CHECK_MAIN(argc, argv, cases);
}
