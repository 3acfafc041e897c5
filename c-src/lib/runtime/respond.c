/*
 * respond.c - the runtime's side of a queue: responds to tasks. storage.c
 * stores the bytes, done.c puts the task on the done ring.
 */

#define _GNU_SOURCE

#include "runtime/done.h"

#include <string.h>


/* An error needs no memory, so that a runtime can always report one: the host
   has a text for this code. */
static int
respond_without_text(nffi_queue_t *queue, nffi__running_t *running,
    uint32_t slot)
{
    nffi__location_t nothing;

    memset(&nothing, 0, sizeof(nothing));
    nffi__publish(queue, running, slot, NFFI_NO_MEMORY, &nothing, 0,
                  NFFI__FAILED);

    return NFFI_OK;
}


/* Responds with a copy of up to two parts. */
static int
respond_copy(nffi_queue_t *queue, nffi__running_t *running, uint32_t slot,
    const nffi_response_t *response)
{
    int rc;
    size_t detail, total;
    uint32_t offset;
    unsigned char *bytes;
    struct iovec parts[2];
    nffi__location_t location;
    bool failed = (response->flags & NFFI_RESPONSE_ERROR) != 0;

    memset(&location, 0, sizeof(location));
    location.kind = response->data != NULL ? NFFI__EMPTY : NFFI__NOWHERE;
    detail = failed ? response->detail_size : 0;
    total = response->size + detail;

    if ((response->size > 0 && response->data == NULL)
        || (detail > 0 && response->detail == NULL)
        || total < detail || (failed && response->size > UINT32_MAX))
    {
        return NFFI_INVALID;
    }

    /* the bytes may be in a buffer of nffi_response_alloc, which is freed with
       the task */
    if (total > 0 && total < NFFI__COPY_UNLOCKED
        && nffi__alloc_block(queue, total, &offset))
    {
        location.kind = NFFI__IN_ARENA;
        location.offset = offset;
        location.size = total;
        bytes = queue->region.response_arena + offset;

        if (response->size > 0) {
            memcpy(bytes, response->data, response->size);
        }

        if (detail > 0) {
            memcpy(bytes + response->size, response->detail, detail);
        }

    } else if (total > 0) {
        parts[0].iov_base = response->data;
        parts[0].iov_len = response->size;
        parts[1].iov_base = (void *) response->detail;
        parts[1].iov_len = detail;
        nffi__claim(running);
        rc = nffi__store(queue, (uint64_t) running->generation << 32 | slot,
                         parts, 2, &location);

        if (rc != NFFI_OK) {
            nffi__reopen(running);
            return failed && rc == NFFI_NO_MEMORY
                   ? respond_without_text(queue, running, slot) : rc;
        }
    }

    nffi__publish(queue, running, slot, failed ? -1 : response->rc, &location,
            failed ? response->size : 0,
            failed ? NFFI__FAILED : NFFI__ANSWERED);

    return NFFI_OK;
}


/* Responds with a buffer that nffi_response_alloc() made. */
static int
respond_buffer(nffi_queue_t *queue, nffi__running_t *running, uint32_t slot,
    const nffi_response_t *response)
{
    int rc;
    uintptr_t start, data;
    nffi__location_t location;

    memset(&location, 0, sizeof(location));
    location.kind = NFFI__EMPTY;
    location.size = response->size;
    start = (uintptr_t) queue->region.response_arena;
    data = (uintptr_t) response->data;

    if (data >= start && data - start < queue->region.response_arena_size) {
        location.kind = NFFI__IN_ARENA;
        location.offset = data - start;

        if (response->size
            > nffi__arena_block_size(&queue->arena, location.offset)
            || nffi__arena_block_size(&queue->arena, location.offset) == 0)
        {
            return NFFI_INVALID;
        }

    } else if (data == 0 || response->data != running->large.data
               || response->size > running->large.size)
    {
        return NFFI_INVALID;

    } else if (response->size > 0) {
        location.kind = running->large.fd == -1 ? NFFI__IN_HEAP
                                                : NFFI__IN_MEMFD;
        rc = nffi__hand_over_large(queue, &running->large,
                 (uint64_t) running->generation << 32 | slot, &location);
        if (rc != NFFI_OK) {
            return rc;
        }
    }

    /* no bytes: there is nothing to map, and the buffer is freed with the
       task */
    nffi__publish(queue, running, slot, response->rc, &location, 0,
                  NFFI__ANSWERED);

    return NFFI_OK;
}


static int
respond(nffi_queue_t *queue, const nffi_response_t *response)
{
    uint32_t slot;
    nffi__running_t *running;

    running = nffi__task_running(queue, response->task);

    if (running != NULL && running->stream != NULL) {
        running = nffi__task_to_answer(queue, response->task);
    }

    if (running == NULL) {
        nffi__refuse(queue, response->task);
        return NFFI_STALE;
    }

    slot = nffi__task_slot(response->task);

    /* what was written in chunks ends by nffi_stream_end, or fails */
    if (running->stream != NULL
        && (response->flags & NFFI_RESPONSE_ERROR) == 0)
    {
        return NFFI_INVALID;
    }

    if (response->flags & NFFI_RESPONSE_BUFFER) {
        return respond_buffer(queue, running, slot, response);
    }

    return respond_copy(queue, running, slot, response);
}


int
nffi_respond_batch(nffi_response_t *responses, size_t count)
{
    int succeeded;
    size_t i;
    nffi_queue_t *queue, *locked;

    succeeded = 0;
    locked = NULL;

    for (i = 0; i < count; i++) {
        queue = nffi__task_queue(responses[i].task);

        if (queue == NULL) {
            if (locked != NULL) {
                nffi__unlock_and_wake(locked);
                locked = NULL;
            }

            nffi__refuse_foreign(responses[i].task);
            responses[i].result = NFFI_STALE;
            continue;
        }

        if (queue != locked) {
            if (locked != NULL) {
                nffi__unlock_and_wake(locked);
            }

            pthread_mutex_lock(&queue->mutex);
            locked = queue;
        }

        responses[i].result = respond(queue, &responses[i]);
        succeeded += responses[i].result == NFFI_OK;
    }

    if (locked != NULL) {
        nffi__unlock_and_wake(locked);
    }

    return succeeded;
}


static int
respond_one(nffi_response_t *response)
{
    nffi_respond_batch(response, 1);

    return response->result;
}


int
nffi_respond(nffi_task_t task, int rc, const void *data, size_t size)
{
    nffi_response_t response = {
        .task = task, .data = (void *) data, .size = size, .rc = rc
    };

    return respond_one(&response);
}


int
nffi_respond_buffer(nffi_task_t task, int rc, void *buffer, size_t size)
{
    nffi_response_t response = {
        .task = task, .data = buffer, .size = size, .rc = rc,
        .flags = NFFI_RESPONSE_BUFFER
    };

    return respond_one(&response);
}


int
nffi_respond_error(nffi_task_t task, const void *message, size_t message_size,
    const void *detail, size_t detail_size)
{
    nffi_response_t response = {
        .task = task, .data = (void *) message, .size = message_size,
        .detail = detail, .detail_size = detail_size,
        .flags = NFFI_RESPONSE_ERROR
    };

    return respond_one(&response);
}


int
nffi_respond_owned(nffi_task_t task, int rc, void *data, size_t size,
    void (*release)(void *data))
{
    int result;
    nffi__location_t location;
    nffi_queue_t *queue;
    nffi__running_t *running;

    if (data == NULL || release == NULL) {
        return NFFI_INVALID;
    }

    running = nffi__lock_running(task, &queue);
    if (running == NULL) {
        return NFFI_STALE;
    }

    if (queue->control_fd != -1) {
        nffi__unlock_and_wake(queue);
        result = nffi_respond(task, rc, data, size);
        if (result == NFFI_OK) {
            release(data);
        }

        return result;
    }

    if (running->stream != NULL) {
        nffi__unlock_and_wake(queue);
        return NFFI_INVALID;
    }

    location.kind = NFFI__IN_HEAP;
    location.offset = (uint64_t) (uintptr_t) data;
    location.size = size;
    location.release = (uint64_t) (uintptr_t) release;
    nffi__publish(queue, running, nffi__task_slot(task), rc, &location, 0,
            NFFI__ANSWERED);
    nffi__unlock_and_wake(queue);

    return NFFI_OK;
}


void *
nffi_response_alloc(nffi_task_t task, size_t size)
{
    void *buffer;
    nffi__location_t location;
    nffi_queue_t *queue;
    nffi__running_t *running;

    queue = nffi__task_queue(task);
    if (queue == NULL) {
        return NULL;
    }

    buffer = NULL;
    pthread_mutex_lock(&queue->mutex);
    running = nffi__task_running(queue, task);

    if (running != NULL) {
        buffer = nffi__alloc_storage(queue, &running->large,
                                     size > 0 ? size : 1, &location);
    }

    nffi__unlock_and_wake(queue);

    return buffer;
}


void
nffi_response_discard(nffi_task_t task, void *buffer)
{
    uintptr_t start;
    nffi_queue_t *queue;
    uint32_t slot = nffi__task_slot(task);

    queue = nffi__task_queue(task);
    if (queue == NULL || buffer == NULL) {
        return;
    }

    pthread_mutex_lock(&queue->mutex);
    start = (uintptr_t) queue->region.response_arena;

    if ((uintptr_t) buffer >= start
        && (uintptr_t) buffer - start < queue->region.response_arena_size)
    {
        nffi__arena_free(&queue->arena,
                         (uint32_t) ((uintptr_t) buffer - start));

    } else if (slot < queue->region.max_tasks
               && queue->running[slot].open
               && queue->running[slot].generation == (uint32_t) task
               && queue->running[slot].large.data == buffer)
    {
        nffi__discard_large(&queue->running[slot].large);
    }

    pthread_mutex_unlock(&queue->mutex);
}
