/*
 * test_commit.c - the pages of a shared queue: they are allocated before they
 * are used and freed when they are not needed. test_no_memory.c takes the
 * memory away.
 */

#include "pages.h"

#define CALLS 3000
#define LARGE ((4u << 20) + 100000)


static void
costs_little(void)
{
    pair_t pair;

    open_usual(&pair);
    check_pages(&pair);
    CHECK(pages_of(&pair) <= IDLE);
    CHECK(pair.host->region.size > 16 << 20);

    CHECK_IS(submit(&pair, 100), NFFI_OK);
    CHECK_IS(answer_all(&pair, 100), 0);
    CHECK_IS(collect_all(&pair), 1);
    CHECK(pages_of(&pair) <= IDLE);
    pair_close(&pair);
}


/* Whether the file must stay open, since pages of a mapping cannot be
   allocated; under qemu-user they never can. */
static bool
needs_file(void)
{
    char page;

    return old_kernel || emulator
           || syscall(SYS_madvise, (uintptr_t) &page & ~0xfffful, 1, -1) == 0;
}


/* Each size alone, then all of the slots. */
static void
grow_and_shrink(void)
{
    int i, n, turns;
    pair_t pair;
    static const size_t sizes[] = { 10, 700, 5000, 100000, 500000 };

    open_usual(&pair);
    CHECK_IS(pair.host->region.memfd != -1, needs_file());

    for (i = 0; i < 5; i++) {
        for (n = 0; (size_t) n < 6000000 / sizes[i] && n < CALLS; n++) {
            CHECK_IS(submit(&pair, sizes[i]), NFFI_OK);
            check_pages(&pair);
        }

        CHECK_IS(answer_all(&pair, sizes[i]), 0);
        check_pages(&pair);
        CHECK_IS(collect_all(&pair), n);
        check_pages(&pair);
        CHECK(pages_of(&pair) > IDLE);

        turns = trim_all(&pair);
        CHECK(turns > 1);
        CHECK(pages_of(&pair) <= IDLE);
        check_pages(&pair);
    }

    pair_close(&pair);
}


static void
grows_and_shrinks(void)
{
    grow_and_shrink();
}


static void
grows_on_old_kernels(void)
{
    old_kernel = true;
    grow_and_shrink();
}


static void
grows_in_emulators(void)
{
    emulator = true;
    grow_and_shrink();
}


static void
uses_every_slot(void)
{
    int i, round;
    uint64_t used;
    pair_t pair;

    open_usual(&pair);

    for (round = 0; round < 2; round++) {
        for (i = 0; i < 16384; i++) {
            CHECK_IS(submit(&pair, 1), NFFI_OK);
        }

        CHECK_IS(submit(&pair, 1), NFFI_QUEUE_FULL);
        CHECK(strcmp(nffi_host_full(pair.host, &used), "max_queue") == 0);
        check_pages(&pair);
        CHECK_IS(answer_all(&pair, 1), 0);
        CHECK(strcmp(nffi_host_full(pair.host, &used), "max_tasks") == 0);
        CHECK_IS(collect_all(&pair), 16384);
        trim_all(&pair);
        CHECK(pages_of(&pair) <= IDLE);
    }

    pair_close(&pair);
}


/* A payload just above a power of two needs a block of twice its size, at an
   aligned place. Until the arena has one, it travels in a memfd. */
static void
grows_in_small_steps(void)
{
    int i;
    uint64_t before;
    pair_t pair;
    char *large = malloc(LARGE);
    static const nffi_host_options_t wide = {
        .max_tasks = 1024, .request_arena = 64u << 20,
        .response_arena = 64u << 20
    };
    nffi_host_request_t payload = { .data = large, .size = LARGE };
    nffi_task_t task;
    nffi_request_t request;
    nffi_host_response_t response;

    CHECK(large != NULL);
    memset(large, 'l', LARGE);
    pair_open_shared(&pair, &wide);

    for (i = 0; i < 20; i++) {
        before = committed(&pair);
        CHECK_IS(nffi_host_submit(pair.host, &payload, &pair, &task), NFFI_OK);
        CHECK(committed(&pair) - before <= 1u << 20);
        before = committed(&pair);
        CHECK_IS(nffi_queue_poll(pair.queue, &request, 1, 0), 1);
        CHECK(memcmp(request.data, large, LARGE) == 0);
        CHECK_IS(nffi_respond(request.task, 0, large, LARGE), NFFI_OK);
        CHECK(committed(&pair) - before <= 1u << 20);
        CHECK_IS(nffi_host_collect(pair.host, &response, 1), 1);
        CHECK(memcmp(response.data, large, LARGE) == 0);
        CHECK_IS(response.storage == NFFI__IN_ARENA, i >= 7);
        nffi_host_release(pair.host, &response);
        check_pages(&pair);
    }

    trim_all(&pair);
    CHECK(pages_of(&pair) <= IDLE);
    pair_close(&pair);
    free(large);
}


/* A block in use at the end of an arena keeps all before it, and its bytes. */
static void
keeps_what_is_used(void)
{
    int i;
    size_t busy;
    pair_t pair;
    nffi_request_t requests[64], last;
    nffi_host_response_t responses[64], held;

    open_usual(&pair);

    for (i = 0; i < 40; i++) {
        CHECK_IS(submit(&pair, 100000), NFFI_OK);
    }

    CHECK_IS(nffi_queue_poll(pair.queue, requests, 64, 0), 40);
    last = requests[39];

    for (i = 0; i < 39; i++) {
        CHECK_IS(nffi_respond(requests[i].task, 0, bytes, 100000), NFFI_OK);
    }

    CHECK_IS(nffi_host_collect(pair.host, responses, 64), 39);
    held = responses[38];

    for (i = 0; i < 38; i++) {
        nffi_host_release(pair.host, &responses[i]);
    }

    busy = pages_of(&pair);

    for (i = 0; i < 20; i++) {
        (void) nffi_host_trim(pair.host);
        CHECK_IS(nffi_queue_poll(pair.queue, requests, 64, 0), 0);
        CHECK_IS(collect_all(&pair), 0);
    }

    /* the blocks were used in their order */
    CHECK(pages_of(&pair) > busy / 2);
    CHECK(memcmp(last.data, bytes, 100000) == 0);
    CHECK(memcmp(held.data, bytes, 100000) == 0);

    nffi_host_release(pair.host, &held);
    CHECK_IS(nffi_respond(last.task, 0, bytes, 10), NFFI_OK);
    CHECK_IS(collect_all(&pair), 1);
    trim_all(&pair);
    CHECK(pages_of(&pair) <= IDLE);
    pair_close(&pair);
}


/* A note about a slot waits after its task is released: when the runtime takes
   it, it writes to the slot, which must still have its page. */
static void
waits_for_notes(void)
{
    int i;
    size_t before;
    pair_t pair;
    nffi_task_t task = 0;
    nffi_request_t request;
    nffi_host_request_t nothing = { 0 };

    open_usual(&pair);

    for (i = 0; i < 1500; i++) {
        CHECK_IS(nffi_host_submit(pair.host, &nothing, &pair, &task), NFFI_OK);
    }

    for (i = 0; i < 1500; i++) {
        CHECK_IS(nffi_queue_poll(pair.queue, &request, 1, 0), 1);

        if (i < 1499) {
            CHECK_IS(nffi_respond(request.task, 0, NULL, 0), NFFI_OK);
        }
    }

    nffi_host_cancel(pair.host, task);
    CHECK_IS(nffi_respond(request.task, 0, NULL, 0), NFFI_OK);
    CHECK_IS(collect_all(&pair), 1499);

    for (i = 0; i < 5; i++) {
        (void) nffi_host_trim(pair.host);
    }

    check_pages(&pair);
    before = pages_of(&pair);
    CHECK_IS(nffi_queue_poll(pair.queue, &request, 1, 0), 0);
    CHECK_IS(pages_of(&pair), before);
    trim_all(&pair);
    CHECK(pages_of(&pair) < before);
    pair_close(&pair);
}


/* One call runs at all times, and at first in the last places. */
static void
shrinks_under_a_light_load(void)
{
    int i;
    pair_t pair;
    nffi_request_t before, next, none;

    open_usual(&pair);

    for (i = 0; i < CALLS; i++) {
        CHECK_IS(submit(&pair, 1000), NFFI_OK);
    }

    CHECK_IS(answer_all(&pair, 1000), 0);
    CHECK_IS(collect_all(&pair), CALLS);
    CHECK(pages_of(&pair) > 6 * IDLE);
    CHECK_IS(submit(&pair, 1000), NFFI_OK);
    CHECK_IS(nffi_queue_poll(pair.queue, &before, 1, 0), 1);

    for (i = 0; i < 100; i++) {
        CHECK_IS(submit(&pair, 1000), NFFI_OK);
        CHECK_IS(nffi_queue_poll(pair.queue, &next, 1, 0), 1);
        CHECK_IS(nffi_respond(before.task, 0, bytes, 1000), NFFI_OK);
        CHECK_IS(collect_all(&pair), 1);
        before = next;

        if (i % 3 == 0) {
            (void) nffi_host_trim(pair.host);
            CHECK_IS(nffi_queue_poll(pair.queue, &none, 1, 0), 0);
            CHECK_IS(collect_all(&pair), 0);
        }
    }

    check_pages(&pair);
    CHECK(pages_of(&pair) <= IDLE);
    pair_close(&pair);
}


/* The first of two steps succeeds, the second finds no room: the next block is
   in the pages of the first. */
static void
publishes_after_half_a_step(void)
{
    int i;
    pair_t pair;
    nffi_request_t request;
    static const nffi_host_options_t small = {
        .max_tasks = 1024, .request_arena = 4u << 20,
        .response_arena = 4u << 20
    };

    pair_open_shared(&pair, &small);

    for (i = 0; i < 17; i++) {
        CHECK_IS(submit(&pair, 1), NFFI_OK);
        CHECK_IS(nffi_queue_poll(pair.queue, &request, 1, 0), 1);
        CHECK_IS(nffi_respond(request.task, 0, bytes,
                              i < 15 ? 250 << 10 : i == 15 ? 400 << 10
                                                           : 200 << 10),
                 NFFI_OK);
    }

    CHECK_IS(collect_all(&pair), 17);
    check_pages(&pair);
    pair_close(&pair);
}


int
main(int argc, char **argv)
{
    static const check_case_t cases[] = {
        { "an idle queue has less than 1 MiB of pages", costs_little },
        { "pages are allocated before use and freed afterwards",
          grows_and_shrinks },
        { "the same without MADV_POPULATE_WRITE", grows_on_old_kernels },
        { "the same where any advice is ignored", grows_in_emulators },
        { "a large payload allocates at most 1 MiB at a time",
          grows_in_small_steps },
        { "every slot is used, and all are given up", uses_every_slot },
        { "what is in use keeps its pages", keeps_what_is_used },
        { "a slot keeps its page while a note about it waits",
          waits_for_notes },
        { "memory shrinks while calls come and go",
          shrinks_under_a_light_load },
        { "pages of a step that did not suffice are used as well",
          publishes_after_half_a_step },
    };

    return CHECK_MAIN(argc, argv, cases);
}
