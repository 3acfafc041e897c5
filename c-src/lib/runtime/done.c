/*
 * done.c - the runtime's side of a queue: the end of a task, and of a chunk of
 * its stream, on the done ring; and handles that name no task.
 */

#define _GNU_SOURCE

#include "runtime/done.h"
#include "runtime/wait.h"
#include "shared/times.h"

#include <sys/mman.h>


/* Never full: a slot is on the ring at most once, and each has its entry. */
static void
push_done(nffi_queue_t *queue, nffi__running_t *running, uint32_t slot)
{
    uint32_t at;
    nffi__ring_t *ring = &queue->region.header->done_ring;

    at = nffi__ring_next(ring, queue->region.max_tasks);
    queue->region.done[at] = (uint64_t) running->generation << 32 | slot;
    nffi__ring_publish(ring, 1);
    queue->wake_due = true;
}


/*
 * Both sides exchange the word, so the second of them sees what the first has
 * written before. This word is the only sign of the end of a stream: a worker
 * that learned it otherwise would find the slot on the ring afterwards.
 */
void
nffi__announce(nffi_queue_t *queue, nffi__running_t *running, uint32_t slot,
    enum nffi__news news)
{
    if (atomic_exchange_explicit(&queue->region.slots[slot].announced, news,
                                 memory_order_seq_cst) == 0)
    {
        push_done(queue, running, slot);
    }
}


void
nffi__finish(nffi_queue_t *queue, nffi__running_t *running, uint32_t slot,
    enum nffi__response_kind kind)
{
    queue->region.slots[slot].response_kind = (uint16_t) kind;

    if (running->timed) {
        if (queue->response_ns == 0) {
            queue->response_ns = nffi__now();
        }

        queue->region.slots[slot].answered_ns = queue->response_ns;
    }

    running->open = false;
    queue->open--;
    nffi__discard_large(&running->large);

    /* a thread that waits for credit of it returns NFFI_STALE */
    if (running->stream != NULL) {
        if (running->stream->waiters > 0) {
            nffi__wake_writers(queue, slot);

            if (queue->leader == NFFI__WRITER) {
                nffi__nudge_leader(queue);
            }
        }

        nffi__discard_stream(running);
    }

    if (running->mapping != NULL) {
        munmap(running->mapping,
               running->request.size + running->request.method_size + 1);
        running->mapping = NULL;
    }

    if (running->window > 0) {
        nffi__announce(queue, running, slot, NFFI__FINISHED);
        queue->wake_due = true;

    } else {
        push_done(queue, running, slot);
    }
}


void
nffi__publish(nffi_queue_t *queue, nffi__running_t *running, uint32_t index,
    int rc, const nffi__location_t *location, size_t message_size,
    enum nffi__response_kind kind)
{
    volatile nffi__slot_t *slot = &queue->region.slots[index];

    if (location->kind == NFFI__IN_ARENA) {
        nffi__arena_lend(&queue->arena, (uint32_t) location->offset);
    }

    slot->response_offset = location->offset;
    slot->response_size = location->size;
    slot->response_release = location->release;
    slot->response_storage = (uint16_t) location->kind;
    slot->message_size = (uint32_t) message_size;
    slot->rc = rc;
    nffi__finish(queue, running, index, kind);
}


/*
 * A slot goes through its generations one after the other: what is not newer
 * than the last was a task. Late responses to a queue that has ended are not
 * counted: its runtime was closed, and the next one may have its slot.
 */
void
nffi__refuse(nffi_queue_t *queue, nffi_task_t task)
{
    uint32_t slot = nffi__task_slot(task);
    uint32_t generation = (uint32_t) task;
    bool is_own = queue->index == task >> 52;
    enum nffi__misuse kind = NFFI__UNKNOWN;

    if (queue->handle == 0
        || (is_own && generation - 1 < queue->first_generation - 1))
    {
        return;
    }

    if (is_own && slot < queue->region.max_tasks && generation != 0
        && (int32_t) (queue->running[slot].generation - generation) >= 0)
    {
        kind = NFFI__TWICE;
    }

    if (atomic_fetch_add_explicit(&queue->region.header->misused[kind], 1,
                                  memory_order_seq_cst) == 0)
    {
        queue->wake_due = true;
    }
}


void
nffi__refuse_foreign(nffi_task_t task)
{
    nffi_queue_t *queue = nffi__queue_lock_own();

    if (queue != NULL) {
        nffi__refuse(queue, task);
        nffi__unlock_and_wake(queue);
    }
}


nffi__running_t *
nffi__task_to_answer(nffi_queue_t *queue, nffi_task_t task)
{
    nffi__running_t *running;

    for ( ;; ) {
        running = nffi__task_running(queue, task);

        if (running == NULL || running->stream == NULL
            || !running->stream->copying)
        {
            return running;
        }

        queue->inside++;
        pthread_cond_wait(&queue->copied, &queue->mutex);
        queue->inside--;
    }
}


nffi__running_t *
nffi__lock_running(nffi_task_t task, nffi_queue_t **queue)
{
    nffi__running_t *running;

    *queue = nffi__task_queue(task);
    if (*queue == NULL) {
        nffi__refuse_foreign(task);
        return NULL;
    }

    pthread_mutex_lock(&(*queue)->mutex);
    running = nffi__task_to_answer(*queue, task);

    if (running == NULL) {
        nffi__refuse(*queue, task);
        nffi__unlock_and_wake(*queue);
    }

    return running;
}
