/*
 * test_respond_many.c - more responses than an arena, a socket or the
 * descriptors of a process hold, and batches of them.
 */

#include "respond.h"

#define LARGE (1u << 20)      /* does not fit a small arena */


/* More than the arena holds: the rest comes another way, in order. */
static void
overflows_arena(pair_t *pair)
{
    int i, round;
    nffi_task_t tasks[40];
    unsigned char *bytes = pattern(4000, 0);

    for (round = 0; round < 5; round++) {
        for (i = 0; i < 40; i++) {
            tasks[i] = running(pair);
        }

        for (i = 0; i < 40; i++) {
            CHECK_IS(nffi_respond(tasks[i], i, bytes, 4000 - (size_t) i),
                     NFFI_OK);
        }

        for (i = 0; i < 40; i++) {
            delivered(pair, i, bytes, 4000 - (size_t) i);
        }
    }

    free(bytes);
    check_done(pair);
}


static void
overflows_arena_here(void)
{
    pair_t pair;

    pair_open(&pair, &small_arenas);
    overflows_arena(&pair);
}


static void
overflows_arena_shared(void)
{
    pair_t pair;

    pair_open_shared(&pair, &small_arenas);
    overflows_arena(&pair);
}


static void
batches(void)
{
    int i;
    char *buffer;
    pair_t one, two;
    nffi_task_t tasks[5];
    nffi_response_t batch[7];
    nffi_host_response_t response;

    pair_open(&one, &small_arenas);
    pair_open(&two, &small_arenas);

    for (i = 0; i < 5; i++) {
        tasks[i] = running(i < 4 ? &one : &two);
    }

    buffer = nffi_response_alloc(tasks[1], 6);
    memcpy(buffer, "buffer", 6);
    memset(batch, 0, sizeof(batch));
    batch[0] = (nffi_response_t) { .task = tasks[0], .data = "copy",
                                   .size = 4, .rc = 1 };
    batch[1] = (nffi_response_t) { .task = tasks[1], .data = buffer, .size = 6,
                                   .flags = NFFI_RESPONSE_BUFFER };
    batch[2] = (nffi_response_t) { .task = tasks[4], .data = "two", .size = 3 };
    batch[3] = (nffi_response_t) { .task = tasks[0] };
    batch[4] = (nffi_response_t) { .task = 0 };
    batch[5] = (nffi_response_t) { .task = tasks[2], .size = 1 };
    batch[6] = (nffi_response_t) { .task = tasks[3], .data = "why", .size = 3,
                                   .detail = "where", .detail_size = 5,
                                   .flags = NFFI_RESPONSE_ERROR };

    CHECK_IS(nffi_respond_batch(batch, 7), 4);
    CHECK_IS(batch[0].result, NFFI_OK);
    CHECK_IS(batch[1].result, NFFI_OK);
    CHECK_IS(batch[2].result, NFFI_OK);
    CHECK_IS(batch[3].result, NFFI_STALE);
    CHECK_IS(batch[4].result, NFFI_STALE);
    CHECK_IS(batch[5].result, NFFI_INVALID);
    CHECK_IS(batch[6].result, NFFI_OK);

    delivered(&one, 1, "copy", 4);
    delivered(&one, 0, "buffer", 6);
    response = pair_response(&one);
    CHECK_IS(response.message_size, 3);
    CHECK_BYTES(response.data, response.size, "whywhere", 8);
    nffi_host_release(one.host, &response);
    delivered(&two, 0, "two", 3);
    CHECK_IS(nffi_respond(tasks[2], 0, NULL, 0), NFFI_OK);
    delivered(&one, 0, NULL, 0);
    check_done(&one);
    check_done(&two);
}


/*
 * Requests that wait in memfds are descriptors of the runtime's process, which
 * has few, so the host bounds them; one that is cancelled in time returns its
 * descriptor.
 */
static void
bounds_descriptors(void)
{
    int i, before, sent = 0, rc = NFFI_OK;
    pair_t pair;
    nffi_task_t tasks[512];
    nffi_request_t requests[512];
    unsigned char *bytes = pattern(LARGE, 0);
    nffi_host_request_t request = { .data = bytes, .size = 20000 };
    nffi_host_response_t response;

    pair_open_shared(&pair, &small_arenas);
    before = open_fds();

    while (rc == NFFI_OK && sent < 512) {
        rc = nffi_host_submit(pair.host, &request, owners, &tasks[sent]);
        sent += rc == NFFI_OK;
    }

    CHECK_IS(rc, NFFI_QUEUE_FULL);
    CHECK(sent >= 64 && sent < 400);
    CHECK(open_fds() <= before + sent);

    /* what the runtime has taken holds no descriptor */
    CHECK_IS(nffi_queue_poll(pair.queue, requests, 10, 1000), 10);

    for (i = 0; i < 10; i++) {
        CHECK_BYTES(requests[i].data, requests[i].size, bytes, 20000);
        tasks[i] = pair_submit(&pair, bytes, 20000, owners);
    }

    CHECK_IS(nffi_host_submit(pair.host, &request, owners, &tasks[511]),
             NFFI_QUEUE_FULL);

    while (nffi_host_take_pending(pair.host) != NULL) {
        /* all of them are cancelled */
    }

    CHECK_IS(nffi_queue_poll(pair.queue, requests + 10, 512, 1), 0);
    CHECK_IS(open_fds(), before);

    for (i = 0; i < 10; i++) {
        CHECK_IS(nffi_respond(requests[i].task, 0, NULL, 0), NFFI_OK);
    }

    CHECK_IS(nffi_host_collect(pair.host, &response, 1), 0);
    free(bytes);
    check_done(&pair);
}


/* More large answers in a batch than the socket holds: the worker must learn
   of the first while the runtime waits for room. */
static void *
answer_large_batch(void *data)
{
    int i, n = 0;
    pair_t *pair = data;
    nffi_request_t requests[512];
    nffi_response_t batch[512];
    static char bytes[10000];

    while (n < 512) {
        i = nffi_queue_poll(pair->queue, requests + n, 512 - (size_t) n, -1);
        CHECK(i > 0);
        n += i;
    }

    memset(batch, 0, sizeof(batch));

    for (i = 0; i < n; i++) {
        batch[i] = (nffi_response_t) {
            .task = requests[i].task, .data = bytes, .size = sizeof(bytes),
            .rc = i
        };
    }

    CHECK_IS(nffi_respond_batch(batch, 512), 512);

    return NULL;
}


static void
large_batch(void)
{
    int i, n, before, next = 0;
    pair_t pair;
    pthread_t thread;
    nffi_process_message_t message;
    nffi_host_response_t responses[16];

    pair_open_shared(&pair, &small_arenas);
    before = open_fds();

    for (i = 0; i < 512; i++) {
        pair_submit(&pair, NULL, 0, &owners[i]);
    }

    pthread_create(&thread, NULL, answer_large_batch, &pair);
    usleep(50000);

    while (next < 512) {
        /* an event loop looks at the socket as well */
        CHECK_IS(nffi_host_process_event(pair.host, &message),
                 NFFI_PROCESS_NONE);
        CHECK(open_fds() < before + 100);
        n = pair_collect(&pair, responses, 16);
        CHECK(n > 0);

        for (i = 0; i < n; i++, next++) {
            CHECK(responses[i].owner == &owners[next]);
            CHECK_IS(responses[i].rc, next);
            CHECK_IS(responses[i].size, 10000);
            nffi_host_release(pair.host, &responses[i]);
        }
    }

    pthread_join(thread, NULL);
    pair_check_idle(&pair);
    pair_close(&pair);
}


int
main(int argc, char **argv)
{
    static const check_case_t cases[] = {
        { "a full arena is no limit, in the worker", overflows_arena_here },
        { "a full arena is no limit, over shared memory",
          overflows_arena_shared },
        { "requests that wait hold few descriptors", bounds_descriptors },
        { "a batch tells the result of each element", batches },
        { "a batch may be larger than the socket", large_batch },
    };

    return CHECK_MAIN(argc, argv, cases);
}
