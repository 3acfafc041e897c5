/*
 * test_host.c - the event loop's side: what it refuses, counts and frees.
 */

#include "pair.h"

#include <malloc.h>


static int owners[64];        /* each an owner by its address */
static int released;


static void
count_release(void *data)
{
    released++;
    free(data);
}


/* Pages of memory that this process uses. */
static long
resident_pages(void)
{
    long size, resident;
    FILE *file = fopen("/proc/self/statm", "r");

    CHECK(file != NULL);
    CHECK_IS(fscanf(file, "%ld %ld", &size, &resident), 2);
    fclose(file);

    return resident;
}


/* As in a worker, the heap keeps more than it needs. calloc() clears, and so
   touches, what it takes of the rest. */
static void
takes_what_it_uses(void)
{
    int i;
    long before, pages;
    pair_t pairs[8];

#if defined(__SANITIZE_ADDRESS__)
    check_skip("AddressSanitizer has a heap of its own");
#endif

    mallopt(M_MMAP_THRESHOLD, 8 << 20);
    mallopt(M_TOP_PAD, 8 << 20);
    pair_open(&pairs[0], &(nffi_host_options_t) { 0 });
    before = resident_pages();

    for (i = 1; i < 8; i++) {
        pair_open(&pairs[i], &(nffi_host_options_t) { 0 });
    }

    pages = (resident_pages() - before) / 7;
    CHECK(pages * sysconf(_SC_PAGESIZE) < 480 << 10);

    for (i = 0; i < 8; i++) {
        pair_close(&pairs[i]);
    }
}


static void
rounds_options(void)
{
    pair_t pair;

    pair_open(&pair, &(nffi_host_options_t) { 0 });
    CHECK_IS(pair.host->region.max_tasks, 65536);
    CHECK_IS(pair.host->region.request_arena_size, 8 << 20);
    CHECK_IS(pair.host->max_bytes, 1 << 30);
    pair_close(&pair);

    pair_open(&pair, &(nffi_host_options_t) {
        .max_tasks = 3, .request_arena = 1, .response_arena = 65537
    });
    CHECK_IS(pair.host->region.max_tasks, 4);
    CHECK_IS(pair.host->region.request_arena_size, 64 << 10);
    CHECK_IS(pair.host->region.response_arena_size, 128 << 10);
    pair_close(&pair);

    pair_open(&pair, &(nffi_host_options_t) { .max_tasks = UINT32_MAX });
    CHECK_IS(pair.host->region.max_tasks, 1 << 20);
    pair_close(&pair);
}


/* Submits what must be refused and sees that nothing has changed. */
static void
refused(pair_t *pair, const nffi_host_request_t *request, int code)
{
    nffi_task_t task;
    nffi_host_state_t before = pair_state(pair), after;
    uint32_t slots = pair->host->free_count;
    uint32_t blocks = pair->host->arena.outstanding;

    CHECK_IS(nffi_host_submit(pair->host, request, owners, &task), code);
    after = pair_state(pair);
    CHECK_IS(after.queued, before.queued);
    CHECK_IS(after.unanswered, before.unanswered);
    CHECK_IS(after.awaited, before.awaited);
    CHECK_IS(after.bytes, before.bytes);
    CHECK_IS(pair->host->free_count, slots);
    CHECK_IS(pair->host->arena.outstanding, blocks);
}


static void
bounds_queue(void)
{
    pair_t pair;
    nffi_request_t request;

    pair_open(&pair, &(nffi_host_options_t) { .max_queue = 2 });
    pair_submit(&pair, "a", 1, owners);
    pair_submit(&pair, "b", 1, owners);
    refused(&pair, &(nffi_host_request_t) { .data = "c", .size = 1 },
            NFFI_QUEUE_FULL);

    /* a task that runs does not wait */
    request = pair_take(&pair);
    pair_submit(&pair, "c", 1, owners);
    refused(&pair, &(nffi_host_request_t) { 0 }, NFFI_QUEUE_FULL);
    CHECK_IS(nffi_respond(request.task, 0, NULL, 0), NFFI_OK);
    pair_close(&pair);
}


static void
bounds_tasks(void)
{
    pair_t pair;
    nffi_request_t request;
    nffi_host_response_t response;

    pair_open(&pair, &(nffi_host_options_t) { .max_tasks = 1 });
    pair_submit(&pair, "a", 1, owners);
    refused(&pair, &(nffi_host_request_t) { 0 }, NFFI_QUEUE_FULL);
    request = pair_take(&pair);
    refused(&pair, &(nffi_host_request_t) { 0 }, NFFI_QUEUE_FULL);
    CHECK_IS(nffi_respond(request.task, 0, NULL, 0), NFFI_OK);
    response = pair_response(&pair);
    refused(&pair, &(nffi_host_request_t) { 0 }, NFFI_QUEUE_FULL);

    /* the slot is free when its response was released, not before */
    nffi_host_release(pair.host, &response);
    pair_check_idle(&pair);
    pair_submit(&pair, "b", 1, owners);
    pair_close(&pair);
}


static void
bounds_bytes(void)
{
    pair_t pair;
    nffi_request_t request;

    pair_open(&pair, &(nffi_host_options_t) { .max_bytes = 10 });
    refused(&pair, &(nffi_host_request_t) { .data = "01234567890", .size = 11 },
            NFFI_INVALID);
    pair_submit(&pair, "0123456", 7, owners);
    refused(&pair, &(nffi_host_request_t) {
                .data = "ab", .size = 2, .method = "xy", .method_size = 2
            }, NFFI_QUEUE_FULL);
    pair_submit(&pair, "abc", 3, owners);
    CHECK_IS(pair_state(&pair).bytes, 10);
    refused(&pair, &(nffi_host_request_t) { .data = "a", .size = 1 },
            NFFI_QUEUE_FULL);
    pair_submit(&pair, NULL, 0, owners);

    request = pair_take(&pair);
    CHECK_IS(nffi_respond(request.task, 0, NULL, 0), NFFI_OK);
    CHECK_IS(pair_state(&pair).bytes, 10);
    pair_response(&pair);
    CHECK_IS(pair_state(&pair).bytes, 3);
    pair_close(&pair);
}


static void
refuses_nonsense(void)
{
    pair_t pair;
    char method[256] = { 0 };
    nffi_task_t task;

    pair_open(&pair, &(nffi_host_options_t) { 0 });
    CHECK_IS(nffi_host_submit(pair.host, &(nffi_host_request_t) { 0 }, NULL,
                              &task), NFFI_INVALID);
    refused(&pair, &(nffi_host_request_t) { .size = 1 }, NFFI_INVALID);
    refused(&pair, &(nffi_host_request_t) { .method_size = 1 }, NFFI_INVALID);
    refused(&pair, &(nffi_host_request_t) {
                .method = method, .method_size = 256
            }, NFFI_INVALID);
    refused(&pair, &(nffi_host_request_t) {
                .data = "a", .size = SIZE_MAX, .method = method,
                .method_size = 255
            }, NFFI_INVALID);
    nffi_host_close(pair.host);
    refused(&pair, &(nffi_host_request_t) { 0 }, NFFI_CLOSED);
    pair_close(&pair);
}


static void
cancels_queued(void)
{
    pair_t pair;
    nffi_task_t task, other;
    nffi_request_t request;
    nffi_host_response_t response;

    pair_open(&pair, &(nffi_host_options_t) { 0 });
    task = pair_submit(&pair, "never", 5, &owners[0]);
    other = pair_submit(&pair, "runs", 4, &owners[1]);
    nffi_host_cancel(pair.host, task);
    nffi_host_cancel(pair.host, task);
    CHECK_IS(pair_state(&pair).awaited, 1);
    CHECK_IS(pair_state(&pair).unanswered, 2);

    CHECK_IS(nffi_queue_poll(pair.queue, &request, 1, 0), 1);
    CHECK_BYTES(request.data, request.size, "runs", 4);
    CHECK_IS(nffi_queue_poll(pair.queue, &request, 1, 0), 0);
    CHECK_IS(nffi_host_collect(pair.host, &response, 1), 0);
    CHECK_IS(pair_state(&pair).unanswered, 1);

    /* both handles are stale now or soon: none of this does anything */
    nffi_host_cancel(pair.host, task);
    nffi_host_cancel(pair.host, other + (UINT64_C(1) << 32));
    nffi_host_cancel(pair.host, UINT64_MAX);
    nffi_host_cancel(pair.host, 65536);
    CHECK_IS(pair_state(&pair).awaited, 1);

    CHECK_IS(nffi_respond(request.task, 0, "x", 1), NFFI_OK);
    response = pair_response(&pair);
    CHECK(response.owner == &owners[1]);
    nffi_host_cancel(pair.host, other);
    nffi_host_release(pair.host, &response);
    pair_check_idle(&pair);
    pair_close(&pair);
}


static void
frees_late_answers(void)
{
    int i;
    pair_t pair;
    nffi_task_t tasks[3];
    nffi_request_t requests[3];
    nffi_host_response_t response;

    pair_open(&pair, &(nffi_host_options_t) { 0 });

    for (i = 0; i < 3; i++) {
        tasks[i] = pair_submit(&pair, "x", 1, &owners[i]);
        requests[i] = pair_take(&pair);
    }

    /* cancelled while it runs, and between its answer and its delivery */
    nffi_host_cancel(pair.host, tasks[0]);
    CHECK_IS(nffi_respond_owned(requests[0].task, 0, malloc(10), 10,
                                count_release), NFFI_OK);
    CHECK_IS(nffi_respond_owned(requests[1].task, 0, malloc(10), 10,
                                count_release), NFFI_OK);
    CHECK_IS(nffi_respond(requests[2].task, 0, "abc", 3), NFFI_OK);
    nffi_host_cancel(pair.host, tasks[1]);
    nffi_host_cancel(pair.host, tasks[2]);

    CHECK_IS(released, 0);
    CHECK_IS(nffi_host_collect(pair.host, &response, 1), 0);
    CHECK_IS(released, 2);
    pair_check_idle(&pair);
    pair_close(&pair);
}


static void
takes_pending(void)
{
    int i;
    pair_t pair;
    void *owner;
    nffi_request_t request;
    nffi_host_response_t response;
    unsigned char seen[64] = { 0 };

    pair_open(&pair, &(nffi_host_options_t) { .max_tasks = 64 });
    CHECK(nffi_host_take_pending(pair.host) == NULL);

    for (i = 0; i < 64; i++) {
        pair_submit(&pair, "x", 1, &owners[i]);
    }

    /* one is answered, and its slot, the lowest, used again in between */
    request = pair_take(&pair);
    CHECK_IS(nffi_respond(request.task, 0, NULL, 0), NFFI_OK);

    for (i = 0; i < 32; i++) {
        owner = nffi_host_take_pending(pair.host);
        CHECK(owner != NULL);
        seen[(int *) owner - owners]++;
    }

    if (nffi_host_collect(pair.host, &response, 1) == 1) {
        CHECK(response.owner == &owners[0]);
        seen[0]++;
        nffi_host_release(pair.host, &response);
    }

    pair_submit(&pair, "x", 1, &owners[0]);
    seen[0]--;

    while ((owner = nffi_host_take_pending(pair.host)) != NULL) {
        seen[(int *) owner - owners]++;
    }

    for (i = 0; i < 64; i++) {
        CHECK_IS(seen[i], 1);
    }

    CHECK_IS(pair_state(&pair).awaited, 0);
    CHECK_IS(nffi_queue_poll(pair.queue, &request, 1, 0), 0);
    CHECK_IS(nffi_host_collect(pair.host, &response, 1), 0);
    pair_check_idle(&pair);
    pair_close(&pair);
}


static void
keeps_order(void)
{
    int i, n, next;
    pair_t pair;
    nffi_request_t requests[10];
    nffi_host_response_t responses[4];

    pair_open(&pair, &(nffi_host_options_t) { .max_tasks = 16 });

    for (i = 0; i < 10; i++) {
        pair_submit(&pair, "x", 1, &owners[i]);
    }

    CHECK_IS(nffi_queue_poll(pair.queue, requests, 10, 0), 10);

    for (i = 9; i >= 0; i--) {
        CHECK_IS(nffi_respond(requests[i].task, i, NULL, 0), NFFI_OK);
    }

    for (next = 9; next >= 0; ) {
        n = nffi_host_collect(pair.host, responses, 4);
        CHECK_IS(n, next >= 3 ? 4 : 2);

        for (i = 0; i < n; i++, next--) {
            CHECK(responses[i].owner == &owners[next]);
            CHECK_IS(responses[i].rc, next);
            nffi_host_release(pair.host, &responses[i]);
        }
    }

    pair_check_idle(&pair);
    pair_close(&pair);
}


static void
wakes_once(void)
{
    int i;
    pair_t pair;
    uint64_t refused = 0;
    nffi_request_t requests[8];
    nffi_host_response_t responses[8];
    nffi_response_t batch[4];

    pair_open(&pair, &(nffi_host_options_t) { 0 });

    for (i = 0; i < 8; i++) {
        pair_submit(&pair, "x", 1, &owners[i]);
    }

    CHECK_IS(nffi_queue_poll(pair.queue, requests, 8, 0), 8);

    /* a host that is awake is not woken */
    CHECK_IS(nffi_respond(requests[0].task, 0, NULL, 0), NFFI_OK);
    CHECK_IS(pair.wakes, 0);
    CHECK_IS(nffi_host_park(pair.host), 1);
    CHECK_IS(nffi_respond(requests[1].task, 0, NULL, 0), NFFI_OK);
    CHECK_IS(pair.wakes, 0);
    CHECK_IS(nffi_host_collect(pair.host, responses, 8), 2);

    /* one that sleeps is woken by the first response, or by a batch, once */
    CHECK_IS(nffi_host_park(pair.host), 0);
    CHECK_IS(nffi_respond(requests[2].task, 0, NULL, 0), NFFI_OK);
    CHECK_IS(nffi_respond(requests[3].task, 0, NULL, 0), NFFI_OK);
    CHECK_IS(pair.wakes, 1);
    CHECK_IS(nffi_host_collect(pair.host, responses, 8), 2);
    CHECK_IS(nffi_host_park(pair.host), 0);
    memset(batch, 0, sizeof(batch));

    for (i = 0; i < 4; i++) {
        batch[i].task = requests[4 + i].task;
    }

    CHECK_IS(nffi_respond_batch(batch, 4), 4);
    CHECK_IS(pair.wakes, 2);
    CHECK_IS(nffi_host_collect(pair.host, responses, 8), 4);

    /* the first answer that is refused wakes the host, which logs it */
    CHECK_IS(nffi_host_park(pair.host), 0);
    CHECK_IS(nffi_respond_batch(batch, 4), 0);
    CHECK_IS(pair.wakes, 3);
    CHECK_IS(nffi_host_park(pair.host), 1);
    CHECK_IS(nffi_host_misuse(pair.host, NFFI_HOST_TWICE, &refused), 1);
    CHECK_IS(refused, 4);
    CHECK_IS(nffi_host_park(pair.host), 0);
    CHECK_IS(nffi_respond_batch(batch, 4), 0);
    CHECK_IS(pair.wakes, 3);
    pair_close(&pair);
}


static void
wraps_generations(void)
{
    int i;
    pair_t pair;
    nffi_task_t task, last = 0;
    nffi_request_t request;
    nffi_host_response_t response;

    pair_open(&pair, &(nffi_host_options_t) { .max_tasks = 1 });
    pair.host->entries[0].generation = UINT32_MAX - 3;

    for (i = 0; i < 8; i++) {
        task = pair_submit(&pair, "x", 1, owners);
        request = pair_take(&pair);
        CHECK(request.task != 0 && request.task != last);
        CHECK_IS(nffi_respond(last, 0, NULL, 0), NFFI_STALE);
        CHECK_IS(nffi_respond(request.task, 0, NULL, 0), NFFI_OK);
        nffi_host_cancel(pair.host, task + (UINT64_C(1) << 32));
        response = pair_response(&pair);
        nffi_host_release(pair.host, &response);
        last = request.task;
    }

    pair_check_idle(&pair);
    pair_close(&pair);
}


/* LeakSanitizer looks at what the host forgets. */
static void
destroys_pending(void)
{
    int i;
    pair_t pair;
    size_t large = 1 << 20;
    char *bytes = calloc(1, large);
    nffi_request_t requests[6];

    pair_open(&pair, &(nffi_host_options_t) { .request_arena = 1,
                                              .response_arena = 1 });

    for (i = 0; i < 6; i++) {
        pair_submit(&pair, bytes, large, owners);
    }

    CHECK_IS(nffi_queue_poll(pair.queue, requests, 5, 0), 5);
    CHECK_IS(nffi_respond(requests[0].task, 0, bytes, large), NFFI_OK);
    CHECK_IS(nffi_respond_owned(requests[1].task, 0, malloc(10), 10,
                                count_release), NFFI_OK);
    CHECK(nffi_response_alloc(requests[2].task, large) != NULL);
    CHECK(nffi_response_alloc(requests[3].task, 10) != NULL);
    pair_close(&pair);
    CHECK_IS(released, 1);
    free(bytes);
}


int
main(int argc, char **argv)
{
    static const check_case_t cases[] = {
        { "options are rounded to what is possible", rounds_options },
        { "a queue takes only the memory that it uses", takes_what_it_uses },
        { "max_queue bounds the tasks that wait", bounds_queue },
        { "max_tasks bounds the tasks not yet released", bounds_tasks },
        { "max_bytes bounds the request bytes", bounds_bytes },
        { "nonsense and a closed queue are refused", refuses_nonsense },
        { "a task cancelled while queued is never started", cancels_queued },
        { "a late answer is freed, not delivered", frees_late_answers },
        { "every pending owner is taken once", takes_pending },
        { "responses come in the order they were given", keeps_order },
        { "a host that sleeps is woken once", wakes_once },
        { "generations wrap without harm", wraps_generations },
        { "destroying a host frees what was pending", destroys_pending },
    };

    return CHECK_MAIN(argc, argv, cases);
}
