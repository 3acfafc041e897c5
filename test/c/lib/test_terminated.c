/*
 * test_terminated.c - the byte behind a request is NUL wherever the request
 * is, so that a library that reads it as a C string never reads on into the
 * memory of another one; and an empty payload is not NULL.
 */

#include "pair.h"

#define MAX_SIZE 40000

static const nffi_host_options_t small_arenas = {
    .max_tasks = 64, .request_arena = 64 << 10, .response_arena = 64 << 10
};

/* Around the sizes of blocks (128 bytes and up), of pages, and beyond the
   largest block of the arena (8 KiB of 64), where the heap or a memfd takes
   over. */
static const size_t sizes[] = {
    0, 1, 2, 126, 127, 128, 129, 255, 256, 257, 511, 512, 513, 1023, 1024,
    4095, 4096, 4097, 8190, 8191, 8192, 8193, 12288, 16383, 16384, 16385,
    32768, 40000
};

static unsigned char letters[MAX_SIZE];
static int owner;


static nffi_request_t
take(pair_t *pair, const void *data, size_t size, size_t method_size)
{
    nffi_task_t task;
    nffi_host_request_t request = {
        .data = data, .size = size, .method = (const char *) letters,
        .method_size = method_size
    };

    CHECK_IS(nffi_host_submit(pair->host, &request, &owner, &task), NFFI_OK);
    CHECK_IS(pair_state(pair).bytes, size + method_size);

    return pair_take(pair);
}


static void
finish(pair_t *pair, const nffi_request_t *request)
{
    nffi_host_response_t response;

    CHECK_IS(nffi_respond(request->task, 0, NULL, 0), NFFI_OK);
    response = pair_response(pair);
    nffi_host_release(pair->host, &response);
}


/* Every block of the arena is full of letters that are no NUL. */
static void
soil(pair_t *pair)
{
    int i;
    size_t n;
    nffi_request_t requests[32];

    for (n = 64; n <= 8191; n = n * 2 + 1) {
        for (i = 0; i < 32; i++) {
            requests[i] = take(pair, letters, n, 0);
            finish(pair, &requests[i]);
        }
    }

    CHECK_IS(pair->host->arena.outstanding, 0);
    memset(pair->host->region.request_arena, 'Z', small_arenas.request_arena);
}


static void
check_terminated(pair_t *pair, size_t size, size_t method_size)
{
    nffi_request_t request = take(pair, letters, size, method_size);
    const char *data = request.data;

    CHECK(data != NULL);
    CHECK_BYTES(data, request.size, letters, size);
    CHECK_IS(data[size], '\0');
    CHECK_IS(strlen(data), size);
    CHECK_BYTES(request.method, request.method_size, letters, method_size);
    finish(pair, &request);
}


static void
terminates(pair_t *pair)
{
    size_t i;

    memset(letters, 'x', sizeof(letters));
    soil(pair);

    for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        check_terminated(pair, sizes[i], 0);
        check_terminated(pair, sizes[i], 1);
        check_terminated(pair, sizes[i], 255);
    }

    /* method and payload together end where a block does */
    check_terminated(pair, 100, 28);
    check_terminated(pair, 4000, 96);
    check_terminated(pair, 8000, 192);
    pair_check_idle(pair);
}


static void
tells_empty(pair_t *pair)
{
    size_t method_size;
    nffi_request_t request;
    nffi_host_response_t response;

    memset(letters, 'x', sizeof(letters));
    soil(pair);

    for (method_size = 0; method_size <= 128; method_size += 64) {
        request = take(pair, "", 0, method_size);
        CHECK(request.data != NULL);
        CHECK_IS(request.size, 0);
        CHECK_IS(*(const char *) request.data, '\0');
        CHECK_IS(request.method_size, method_size);
        CHECK_IS(nffi_respond(request.task, 0, "", 0), NFFI_OK);
        response = pair_response(pair);
        CHECK(response.data != NULL);
        CHECK_IS(response.size, 0);
        nffi_host_release(pair->host, &response);

        request = take(pair, NULL, 0, method_size);
        CHECK(request.data == NULL);
        CHECK_IS(request.size, 0);
        CHECK_IS(request.method_size, method_size);
        CHECK_IS(nffi_respond(request.task, 7, NULL, 0), NFFI_OK);
        response = pair_response(pair);
        CHECK(response.data == NULL);
        CHECK_IS(response.size, 0);
        nffi_host_release(pair->host, &response);
    }

    pair_check_idle(pair);
}


/* Every way to respond with no bytes, but not NULL. */
static void
responds_empty(pair_t *pair)
{
    int way;
    size_t room[] = { 0, 10, 20000 };
    nffi_request_t request;
    nffi_host_response_t response;

    for (way = 0; way < 6; way++) {
        request = take(pair, NULL, 0, 0);

        if (way < 3) {
            CHECK_IS(nffi_respond_buffer(request.task, 0,
                         nffi_response_alloc(request.task, room[way]), 0),
                     NFFI_OK);

        } else if (way == 3) {
            CHECK_IS(nffi_respond_owned(request.task, 0, strdup(""), 0, free),
                     NFFI_OK);

        } else if (way == 4) {
            CHECK_IS(nffi_stream_write(request.task, NULL, 0), NFFI_OK);
            CHECK_IS(nffi_stream_end(request.task), NFFI_OK);

        } else {
            CHECK_IS(nffi_stream_end(request.task), NFFI_OK);
        }

        response = pair_response(pair);
        CHECK(response.data != NULL);
        CHECK_IS(response.size, 0);
        nffi_host_release(pair->host, &response);
    }

    pair_check_idle(pair);
}


static void
in_the_worker(void (*run)(pair_t *pair))
{
    pair_t pair;

    pair_open(&pair, &small_arenas);
    run(&pair);
    pair_close(&pair);
}


static void
over_shared_memory(void (*run)(pair_t *pair))
{
    pair_t pair;

    pair_open_shared(&pair, &small_arenas);
    run(&pair);
    pair_close(&pair);
}


static void
terminates_here(void)
{
    in_the_worker(terminates);
}


static void
terminates_shared(void)
{
    over_shared_memory(terminates);
}


static void
empty_here(void)
{
    in_the_worker(tells_empty);
}


static void
empty_shared(void)
{
    over_shared_memory(tells_empty);
}


static void
responds_empty_here(void)
{
    in_the_worker(responds_empty);
}


static void
responds_empty_shared(void)
{
    over_shared_memory(responds_empty);
}


int
main(int argc, char **argv)
{
    static const check_case_t cases[] = {
        { "a NUL ends each request, in the worker", terminates_here },
        { "a NUL ends each request, over shared memory", terminates_shared },
        { "an empty payload is not NULL, in the worker", empty_here },
        { "an empty payload is not NULL, over shared memory", empty_shared },
        { "an empty response is not NULL, in the worker",
          responds_empty_here },
        { "an empty response is not NULL, over shared memory",
          responds_empty_shared },
    };

    return CHECK_MAIN(argc, argv, cases);
}
