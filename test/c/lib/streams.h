/*
 * streams.h - a stream of a pair: starts it, and checks its chunks and its end.
 */

#ifndef NFFI_STREAMS_H
#define NFFI_STREAMS_H

#include "pair.h"

#define LARGE (1u << 20)      /* does not fit a small arena */
#define WINDOW 1000

static int owners[4];

static const nffi_host_options_t small_arenas = {
    .max_tasks = 16, .request_arena = 64 << 10, .response_arena = 64 << 10
};


/* A stream that runs, for owners[0]; `task` is the host's handle. */
static nffi_task_t
streaming(pair_t *pair, uint32_t window, nffi_task_t *task)
{
    *task = pair_submit_stream(pair, "x", 1, window, owners);

    return pair_take(pair).task;
}


/* The next thing of the stream is this chunk; it is released, not read. */
static void
chunk(pair_t *pair, const void *data, size_t size)
{
    nffi_host_response_t response = pair_response(pair);

    CHECK(response.owner == owners);
    CHECK_IS(response.flags, NFFI_HOST_CHUNK);
    CHECK_BYTES(response.data, response.size, data, size);
    nffi_host_release(pair->host, &response);
}


static inline void
chunk_read(pair_t *pair, nffi_task_t task, const void *data, size_t size)
{
    chunk(pair, data, size);
    nffi_host_credit(pair->host, task, size);
}


/* The next thing is the end, or an answer with such flags and bytes. */
static void
end(pair_t *pair, uint32_t flags, const void *data, size_t size)
{
    nffi_host_response_t response = pair_response(pair);

    CHECK(response.owner == owners);
    CHECK_IS(response.flags, flags);
    CHECK_IS(response.data == NULL, data == NULL);
    CHECK_BYTES(response.data, response.size, data, size);
    nffi_host_release(pair->host, &response);
}


/* No task is left, and no block but the one that shows it. */
static void
check_done(pair_t *pair)
{
    nffi_task_t task;

    pair_submit(pair, "x", 1, owners);
    task = pair_take(pair).task;
    CHECK_IS(nffi_respond(task, 0, "x", 1), NFFI_OK);
    end(pair, 0, "x", 1);
    CHECK_IS(pair_inner(pair->queue)->arena.outstanding, 1);
    pair_check_idle(pair);
    pair_close(pair);
}


/* Runs a case as in the worker, then as in a process, with these options. */
#define BOTH_WAYS_WITH(name, options) \
    static void \
    name##_here(void) \
    { \
        pair_t pair; \
        pair_open(&pair, options); \
        name(&pair); \
    } \
    static void \
    name##_shared(void) \
    { \
        pair_t pair; \
        pair_open_shared(&pair, options); \
        name(&pair); \
    }

#define BOTH_WAYS(name) BOTH_WAYS_WITH(name, &small_arenas)

/* Both of its cases. */
#define CASE(title, name) \
    { title ", in the worker", name##_here }, \
    { title ", over shared memory", name##_shared }

#endif
