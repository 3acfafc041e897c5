/*
 * log.c - the runtime's side of a queue: messages for the log of nginx. They
 * have a separate ring. When it is full, messages are dropped and counted: a
 * runtime that logs too much neither waits nor delays others.
 */

#include "runtime/done.h"

#include <string.h>


static bool
may_log(int level, const void *text, size_t size)
{
    return level >= NFFI_LOG_ERROR && level <= NFFI_LOG_DEBUG
           && (size == 0 || text != NULL);
}


/* With the mutex, which it frees. `of`: generation << 32 | slot of the task
   that the message belongs to. */
static int
put_message(nffi_queue_t *queue, uint64_t of, int level, const void *text,
    size_t size)
{
    int rc;
    uint32_t offset, at;
    nffi__ring_t *ring;
    volatile nffi__log_t *entry;

    if (size > NFFI__LOG_SIZE) {
        size = NFFI__LOG_SIZE;
    }

    rc = NFFI_OK;
    ring = &queue->region.header->logs_ring;

    if (size == 0) {
        goto done;
    }

    if (nffi__ring_full(ring, NFFI__LOGS)
        || !nffi__alloc_block(queue, size, &offset))
    {
        atomic_fetch_add_explicit(&queue->region.header->logs_dropped, 1,
                                  memory_order_relaxed);
        rc = NFFI_QUEUE_FULL;
        goto done;
    }

    memcpy(queue->region.response_arena + offset, text, size);
    nffi__arena_lend(&queue->arena, offset);
    at = nffi__ring_next(ring, NFFI__LOGS);
    entry = &queue->region.logs[at];
    entry->task = of;
    entry->offset = offset;
    entry->size = (uint16_t) size;
    entry->level = (uint16_t) level;
    nffi__ring_publish(ring, 1);
    queue->wake_due = true;

done:

    nffi__unlock_and_wake(queue);

    return rc;
}


int
nffi_log(nffi_task_t task, int level, const void *text, size_t size)
{
    nffi_queue_t *queue = nffi__task_queue(task);

    if (!may_log(level, text, size)) {
        return NFFI_INVALID;
    }

    if (queue == NULL) {
        return NFFI_STALE;
    }

    pthread_mutex_lock(&queue->mutex);

    /* of an earlier queue, whose log this one is not */
    if (queue->handle == 0
        || (int32_t) ((uint32_t) task - queue->first_generation) < 0)
    {
        pthread_mutex_unlock(&queue->mutex);
        return NFFI_STALE;
    }

    return put_message(queue,
                       (task & UINT32_MAX) << 32 | nffi__task_slot(task),
                       level, text, size);
}


int
nffi_queue_log(nffi_queue_t *handle, int level, const void *text, size_t size)
{
    nffi_queue_t *queue;

    if (handle == NULL || !may_log(level, text, size)) {
        return NFFI_INVALID;
    }

    queue = nffi__queue_lock(handle);

    /* no task has the generation 0: the message belongs to none */
    return queue == NULL ? NFFI_CLOSED
                         : put_message(queue, 0, level, text, size);
}
