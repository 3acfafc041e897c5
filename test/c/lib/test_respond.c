/*
 * test_respond.c - every way to respond, in both ways of hosting; what is
 * refused, and what becomes of the memory.
 */

#include "respond.h"

#define LARGE (1u << 20)      /* does not fit a small arena */

static atomic_int released;


static void
count_release(void *data)
{
    atomic_fetch_add(&released, 1);
    free(data);
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
    };

    return CHECK_MAIN(argc, argv, cases);
}
