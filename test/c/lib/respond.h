/*
 * respond.h - tasks that run, their responses as the worker gets them, and
 * small arenas, which are full soon.
 */

#ifndef RESPOND_H
#define RESPOND_H

#include "pair.h"

static int owners[512];

static const nffi_host_options_t small_arenas = {
    .max_tasks = 512, .request_arena = 64 << 10, .response_arena = 64 << 10
};


static inline unsigned char *
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
static inline nffi_task_t
running(pair_t *pair)
{
    pair_submit(pair, "x", 1, owners);

    return pair_take(pair).task;
}


/* The response has arrived, has the expected values, and is released. */
static inline void
delivered(pair_t *pair, int rc, const void *data, size_t size)
{
    nffi_host_response_t response = pair_response(pair);

    CHECK(response.owner == owners);
    CHECK_IS(response.flags, 0);
    CHECK_IS(response.rc, rc);
    CHECK_BYTES(response.data, response.size, data, size);
    nffi_host_release(pair->host, &response);
}


static inline void
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

#endif /* RESPOND_H */
