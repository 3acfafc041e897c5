/*
 * test_respond.c - every way to answer, in both ways of hosting; what is
 * refused, and what becomes of the memory.
 */

#include "pair.h"

#define LARGE (1u << 20)      /* does not fit a small arena */

static int owners[512];
static atomic_int released;

static const nffi_host_options_t small_arenas = {
    .max_tasks = 512, .request_arena = 64 << 10, .response_arena = 64 << 10
};


static void
count_release(void *data)
{
    atomic_fetch_add(&released, 1);
    free(data);
}


static unsigned char *
pattern(size_t size, unsigned seed)
{
    size_t i;
    unsigned char *bytes = malloc(size + 1);

    CHECK(bytes != NULL);

    for (i = 0; i < size; i++) {
        bytes[i] = (unsigned char) (i * 7 + i / 251 + seed);
    }

    return bytes;
}


/* A task that runs, for owners[0]. */
static nffi_task_t
running(pair_t *pair)
{
    pair_submit(pair, "x", 1, owners);

    return pair_take(pair).task;
}


/* The response has arrived, has the expected values, and is released. */
static void
delivered(pair_t *pair, int rc, const void *data, size_t size)
{
    nffi_host_response_t response = pair_response(pair);

    CHECK(response.owner == owners);
    CHECK_IS(response.flags, 0);
    CHECK_IS(response.rc, rc);
    CHECK_BYTES(response.data, response.size, data, size);
    nffi_host_release(pair->host, &response);
}


static void
check_done(pair_t *pair)
{
    nffi_task_t task;

    /* blocks of the arena come back with the next allocation */
    task = running(pair);
    CHECK_IS(nffi_respond(task, 0, "x", 1), NFFI_OK);
    delivered(pair, 0, "x", 1);
    CHECK_IS(pair_inner(pair->queue)->arena.outstanding, 1);
    pair_check_idle(pair);
    pair_close(pair);
}


static void
every_way(pair_t *pair)
{
    char *buffer;
    nffi_task_t task;
    nffi_host_response_t response;

    task = running(pair);
    CHECK_IS(nffi_respond(task, 0, "a\0b", 3), NFFI_OK);
    delivered(pair, 0, "a\0b", 3);

    task = running(pair);
    CHECK_IS(nffi_respond(task, -7, NULL, 0), NFFI_OK);
    delivered(pair, -7, NULL, 0);

    task = running(pair);
    buffer = nffi_response_alloc(task, 1000);
    CHECK(buffer != NULL);
    memset(buffer, 'z', 1000);
    memcpy(buffer, "buffer", 6);
    CHECK_IS(nffi_respond_buffer(task, 5, buffer, 6), NFFI_OK);
    delivered(pair, 5, "buffer", 6);

    task = running(pair);
    buffer = nffi_response_alloc(task, 0);
    CHECK(buffer != NULL);
    CHECK_IS(nffi_respond_buffer(task, 0, buffer, 0), NFFI_OK);
    delivered(pair, 0, NULL, 0);

    task = running(pair);
    CHECK_IS(nffi_respond_owned(task, 0, strdup("owned"), 5, count_release),
             NFFI_OK);
    delivered(pair, 0, "owned", 5);
    CHECK_IS(released, 1);

    task = running(pair);
    CHECK_IS(nffi_respond_owned(task, 9, strdup("owned"), 0, count_release),
             NFFI_OK);
    delivered(pair, 9, NULL, 0);
    CHECK_IS(released, 2);

    task = running(pair);
    CHECK_IS(nffi_respond_error(task, "message", 7, "detail", 6), NFFI_OK);
    response = pair_response(pair);
    CHECK_IS(response.flags, NFFI_HOST_ERROR);
    CHECK_IS(response.message_size, 7);
    CHECK_BYTES(response.data, response.size, "messagedetail", 13);
    nffi_host_release(pair->host, &response);

    task = running(pair);
    CHECK_IS(nffi_respond_error(task, NULL, 0, NULL, 0), NFFI_OK);
    response = pair_response(pair);
    CHECK_IS(response.flags, NFFI_HOST_ERROR);
    CHECK_IS(response.message_size, 0);
    CHECK_IS(response.size, 0);
    nffi_host_release(pair->host, &response);

    check_done(pair);
}


static void
every_way_here(void)
{
    pair_t pair;

    pair_open(&pair, &small_arenas);
    every_way(&pair);
}


static void
every_way_shared(void)
{
    pair_t pair;

    pair_open_shared(&pair, &small_arenas);
    every_way(&pair);
}


/* Payloads of this size both ways, the answer given in each way. */
static void
large(pair_t *pair, size_t size)
{
    char *buffer;
    unsigned char *bytes = pattern(size, 1);
    nffi_request_t request;
    nffi_host_response_t response;

    pair_submit(pair, bytes, size, owners);
    CHECK_IS(nffi_queue_poll(pair->queue, &request, 1, 1000), 1);
    CHECK_BYTES(request.data, request.size, bytes, size);
    CHECK_IS(nffi_respond(request.task, 0, request.data, size), NFFI_OK);
    delivered(pair, 0, bytes, size);

    request.task = running(pair);
    buffer = nffi_response_alloc(request.task, size + 100);
    CHECK(buffer != NULL);
    memcpy(buffer, bytes, size);
    CHECK_IS(nffi_respond_buffer(request.task, 0, buffer, size), NFFI_OK);
    delivered(pair, 0, bytes, size);

    request.task = running(pair);
    CHECK_IS(nffi_respond_owned(request.task, 0, pattern(size, 1), size,
                                count_release), NFFI_OK);
    delivered(pair, 0, bytes, size);
    CHECK_IS(released, 1);

    request.task = running(pair);
    CHECK_IS(nffi_respond_error(request.task, "message", 7, bytes, size),
             NFFI_OK);
    response = pair_response(pair);
    CHECK_IS(response.message_size, 7);
    CHECK_BYTES((const char *) response.data + 7, response.size - 7, bytes,
                size);
    nffi_host_release(pair->host, &response);

    free(bytes);
    check_done(pair);
}


static void
large_here(void)
{
    pair_t pair;

    pair_open(&pair, &small_arenas);
    large(&pair, CHECK_HUGE);
}


static void
large_shared(void)
{
    pair_t pair;

    pair_open_shared(&pair, &small_arenas);
    large(&pair, CHECK_HUGE);
}


/* A large buffer that is used for nothing, for a part, or for another way. */
static void
large_buffers(pair_t *pair)
{
    char *buffer;
    nffi_task_t task;

    task = running(pair);
    buffer = nffi_response_alloc(task, LARGE);
    CHECK(buffer != NULL);
    CHECK(nffi_response_alloc(task, LARGE) == NULL);
    CHECK_IS(nffi_respond_buffer(task, 0, buffer, LARGE + 1), NFFI_INVALID);
    CHECK_IS(nffi_respond_buffer(task, 0, buffer + 1, 1), NFFI_INVALID);
    CHECK_IS(nffi_respond_buffer(task, 3, buffer, 0), NFFI_OK);
    delivered(pair, 3, NULL, 0);

    task = running(pair);
    buffer = nffi_response_alloc(task, LARGE);
    nffi_response_discard(task, buffer + 1);
    nffi_response_discard(task, buffer);
    nffi_response_discard(task, buffer);
    CHECK_IS(nffi_respond_buffer(task, 0, buffer, 1), NFFI_INVALID);
    buffer = nffi_response_alloc(task, LARGE);
    CHECK(buffer != NULL);
    CHECK_IS(nffi_respond(task, 0, "other", 5), NFFI_OK);
    delivered(pair, 0, "other", 5);
    nffi_response_discard(task, buffer);

    /* copied out of itself: small pieces, from its start and its middle */
    task = running(pair);
    buffer = nffi_response_alloc(task, LARGE);
    memcpy(buffer, "start", 5);
    CHECK_IS(nffi_respond(task, 0, buffer, 5), NFFI_OK);
    delivered(pair, 0, "start", 5);

    task = running(pair);
    buffer = nffi_response_alloc(task, LARGE);
    memcpy(buffer + 100, "middle", 6);
    CHECK_IS(nffi_respond(task, 0, buffer + 100, 6), NFFI_OK);
    delivered(pair, 0, "middle", 6);

    task = running(pair);
    buffer = nffi_response_alloc(task, LARGE);
    memcpy(buffer + LARGE - 6, "detail", 6);
    CHECK_IS(nffi_respond_error(task, "", 0, buffer + LARGE - 6, 6), NFFI_OK);
    nffi_host_response_t response = pair_response(pair);
    CHECK_BYTES(response.data, response.size, "detail", 6);
    nffi_host_release(pair->host, &response);

    check_done(pair);
}


static void
large_buffers_here(void)
{
    pair_t pair;

    pair_open(&pair, &small_arenas);
    large_buffers(&pair);
}


static void
large_buffers_shared(void)
{
    pair_t pair;

    pair_open_shared(&pair, &small_arenas);
    large_buffers(&pair);
}


static void
refuses_handles(void)
{
    int i;
    char *late;
    pair_t pair;
    uint64_t count;
    nffi_task_t task, invented[6];

    pair_open(&pair, &small_arenas);
    task = running(&pair);
    invented[0] = 0;
    invented[1] = UINT64_MAX;
    invented[2] = task + 1;
    invented[3] = task - 1;
    invented[4] = task + (UINT64_C(1) << 32);
    invented[5] = task + (UINT64_C(511) << 32) + (UINT64_C(1) << 41);
    late = strdup("late");

    for (i = 0; i < 6; i++) {
        CHECK_IS(nffi_respond(invented[i], 0, "x", 1), NFFI_STALE);
        CHECK_IS(nffi_respond_error(invented[i], "x", 1, NULL, 0), NFFI_STALE);
        CHECK_IS(nffi_respond_buffer(invented[i], 0, late, 1), NFFI_STALE);
        CHECK_IS(nffi_respond_owned(invented[i], 0, late, 4, count_release),
                 NFFI_STALE);
        CHECK(nffi_response_alloc(invented[i], 10) == NULL);
        nffi_response_discard(invented[i], late);
    }

    /* also handles of no queue: this thread has taken its tasks from one */
    CHECK_IS(pair_state(&pair).refused, 4 * 6);

    CHECK_IS(nffi_respond(task, 0, "first", 5), NFFI_OK);
    CHECK_IS(nffi_respond(task, 0, "second", 6), NFFI_STALE);
    CHECK_IS(nffi_respond_owned(task, 0, late, 4, count_release), NFFI_STALE);
    delivered(&pair, 0, "first", 5);
    CHECK_IS(nffi_respond(task, 0, "third", 5), NFFI_STALE);
    CHECK_IS(pair_state(&pair).refused, 4 * 6 + 3);
    count = 0;
    CHECK_IS(nffi_host_misuse(pair.host, NFFI_HOST_TWICE, &count), 1);
    CHECK_IS(count, 3);
    CHECK_IS(nffi_host_misuse(pair.host, NFFI_HOST_TWICE, &count), 0);
    CHECK_IS(count, 3);
    CHECK_IS(nffi_host_misuse(pair.host, NFFI_HOST_UNKNOWN, &count), 1);
    CHECK_IS(count, 4 * 6 + 3);
    CHECK_IS(nffi_respond(0, 0, "x", 1), NFFI_STALE);
    CHECK_IS(nffi_host_misuse(pair.host, NFFI_HOST_UNKNOWN, &count), 0);
    CHECK_IS(count, 4 * 6 + 4);
    CHECK_IS(released, 0);
    free(late);
    check_done(&pair);
}


static void
refuses_arguments(void)
{
    char byte = 0;
    pair_t pair;
    nffi_task_t task;

    pair_open(&pair, &small_arenas);
    task = running(&pair);
    CHECK_IS(nffi_respond(task, 0, NULL, 1), NFFI_INVALID);
    CHECK_IS(nffi_respond_error(task, NULL, 1, NULL, 0), NFFI_INVALID);
    CHECK_IS(nffi_respond_error(task, &byte, 1, NULL, 1), NFFI_INVALID);
    CHECK_IS(nffi_respond_error(task, &byte, 1, &byte, SIZE_MAX), NFFI_INVALID);
    CHECK_IS(nffi_respond_error(task, &byte, (size_t) 1 << 32, NULL, 0),
             NFFI_INVALID);
    CHECK_IS(nffi_respond_owned(task, 0, NULL, 1, free), NFFI_INVALID);
    CHECK_IS(nffi_respond_owned(task, 0, &byte, 1, NULL), NFFI_INVALID);
    CHECK_IS(nffi_respond_buffer(task, 0, NULL, 0), NFFI_INVALID);
    CHECK_IS(nffi_respond_buffer(task, 0, &byte, 1), NFFI_INVALID);
    CHECK_IS(nffi_respond_batch(NULL, 0), 0);

    /* none of it has ended the task */
    CHECK_IS(nffi_respond(task, 0, "x", 1), NFFI_OK);
    delivered(&pair, 0, "x", 1);
    check_done(&pair);
}


/* Memory that was passed to the host cannot be passed again. */
static void
buffer_belongs_to_host(void)
{
    char *buffer, *other;
    pair_t pair;
    nffi_task_t first, second;
    nffi_host_response_t response;

    pair_open(&pair, &small_arenas);
    first = running(&pair);
    second = running(&pair);
    buffer = nffi_response_alloc(first, 100);
    memcpy(buffer, "first", 5);
    CHECK_IS(nffi_respond_buffer(first, 0, buffer, 129), NFFI_INVALID);
    CHECK_IS(nffi_respond_buffer(first, 0, buffer + 128, 1), NFFI_INVALID);
    CHECK_IS(nffi_respond_buffer(first, 0, buffer + 1, 1), NFFI_INVALID);
    CHECK_IS(nffi_respond_buffer(first, 0, buffer, 5), NFFI_OK);

    /* answered twice, then cleaned up as if it had not been answered */
    CHECK_IS(nffi_respond_buffer(first, 0, buffer, 5), NFFI_STALE);
    nffi_response_discard(first, buffer);
    CHECK_IS(nffi_respond_buffer(second, 0, buffer, 5), NFFI_INVALID);
    other = nffi_response_alloc(second, 100);
    CHECK(other != buffer);
    memcpy(other, "other", 5);

    response = pair_response(&pair);
    CHECK_BYTES(response.data, response.size, "first", 5);
    nffi_host_release(pair.host, &response);
    CHECK_IS(nffi_respond_buffer(second, 0, other, 5), NFFI_OK);
    delivered(&pair, 0, "other", 5);
    check_done(&pair);
}


static void
discards(void)
{
    int i;
    char *buffer;
    pair_t pair;
    nffi_task_t task;

    pair_open(&pair, &small_arenas);
    task = running(&pair);

    for (i = 0; i < 1000; i++) {
        buffer = nffi_response_alloc(task, 8000);
        CHECK(buffer != NULL);
        nffi_response_discard(task, buffer + 1);
        nffi_response_discard(task, buffer);
        nffi_response_discard(task, buffer);
        nffi_response_discard(task, NULL);
        CHECK_IS(pair_inner(pair.queue)->arena.outstanding, 0);
    }

    CHECK_IS(nffi_respond(task, 0, "x", 1), NFFI_OK);
    delivered(&pair, 0, "x", 1);
    check_done(&pair);
}


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
    nffi_child_message_t message;
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
        CHECK_IS(nffi_host_child_event(pair.host, &message), NFFI_CHILD_NONE);
        CHECK(open_fds() < before + 100);
        n = pair_drain(&pair, responses, 16);
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
        { "every way to answer, in the worker", every_way_here },
        { "every way to answer, over shared memory", every_way_shared },
        { "huge payloads in every way, in the worker", large_here },
        { "huge payloads in every way, over shared memory", large_shared },
        { "large buffers used otherwise, in the worker", large_buffers_here },
        { "large buffers used otherwise, over shared memory",
          large_buffers_shared },
        { "stale and invented handles are refused and counted",
          refuses_handles },
        { "arguments that make no sense are refused", refuses_arguments },
        { "a buffer that was given belongs to the host",
          buffer_belongs_to_host },
        { "discarded buffers are free again", discards },
        { "a full arena is no limit, in the worker", overflows_arena_here },
        { "a full arena is no limit, over shared memory",
          overflows_arena_shared },
        { "requests that wait hold few descriptors", bounds_descriptors },
        { "a batch tells the result of each element", batches },
        { "a batch may be larger than the socket", large_batch },
    };

    return CHECK_MAIN(argc, argv, cases);
}
