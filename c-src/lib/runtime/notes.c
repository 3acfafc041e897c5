/*
 * notes.c - the runtime's side of a queue: cancellations and credit.
 *
 * A note says only that something has changed about the task in a slot; what,
 * is read from the slot. So a note that comes late, twice or about a slot that
 * was used again does no harm.
 */

#include "runtime/notes.h"
#include "runtime/task.h"
#include "runtime/wait.h"

#define END 1


static void
list_add(nffi__slot_list_t *list, uint32_t slot)
{
    if (list->next[slot] != 0) {
        return;
    }

    list->next[slot] = END;

    if (list->first == END) {
        list->first = slot + 2;

    } else {
        list->next[list->last] = slot + 2;
    }

    list->last = slot;
}


static bool
list_take(nffi__slot_list_t *list, uint32_t *slot)
{
    if (list->first == END) {
        return false;
    }

    *slot = list->first - 2;
    list->first = list->next[*slot];
    list->next[*slot] = 0;

    return true;
}


bool
nffi__is_cancelled(nffi_queue_t *queue, uint32_t slot)
{
    return atomic_load_explicit(&queue->region.slots[slot].cancelled,
                                memory_order_acquire) != 0;
}


/* Counts what was read since the last time. */
static void
take_credit(nffi_queue_t *queue, nffi__stream_t *stream, uint32_t slot)
{
    uint32_t read;

    read = atomic_load_explicit(&queue->region.slots[slot].chunks_read,
                                memory_order_seq_cst);

    if (read - stream->read > stream->written - stream->read) {
        nffi__break(queue);
        return;
    }

    while (stream->read != read) {
        stream->unread_bytes -= stream->sizes[stream->read++ % NFFI__CHUNKS];
    }
}


bool
nffi__has_credit(nffi_queue_t *queue, nffi__stream_t *stream, uint32_t slot,
    uint32_t window)
{
    uint32_t asked;
    volatile _Atomic uint32_t *blocked = &queue->region.slots[slot].blocked;

    /* Dekker's pattern, as in region.h: request a note, then check again */

    for (asked = 0; asked < 2; asked++) {
        take_credit(queue, stream, slot);

        if (queue->broken) {
            return false;
        }

        if (stream->written == stream->read
            || (stream->written - stream->read < NFFI__CHUNKS
                && stream->unread_bytes < window))
        {
            /* another thread that waits has asked, too */
            if (asked && stream->waiters == 0) {
                atomic_store_explicit(blocked, 0, memory_order_relaxed);
            }

            return true;
        }

        if (!asked) {
            atomic_store_explicit(blocked, 1, memory_order_seq_cst);
        }
    }

    return false;
}


/* A stream that waits: may it go on, or should it learn that it need not? */
static bool
may_go_on(nffi_queue_t *queue, nffi__running_t *running, uint32_t slot)
{
    return nffi__is_cancelled(queue, slot)
           || nffi__has_credit(queue, running->stream, slot, running->window);
}


static void
take_note(nffi_queue_t *queue, uint32_t slot)
{
    nffi__running_t *running = &queue->running[slot];

    (void) atomic_exchange_explicit(&queue->region.slots[slot].noted, 0,
                                    memory_order_seq_cst);

    /* it may be about a task that has since been answered */
    if (!running->open) {
        return;
    }

    if (!running->cancel_reported && nffi__is_cancelled(queue, slot)) {
        list_add(&queue->cancelled, slot);
        queue->news = true;
    }

    if (running->stream != NULL
        && (running->stream->blocked || running->stream->waiters > 0)
        && may_go_on(queue, running, slot))
    {
        if (running->stream->waiters > 0) {
            nffi__wake_writers(queue, slot);

        } else {
            list_add(&queue->writable, slot);
            queue->news = true;
            queue->writable_news = true;
        }
    }
}


void
nffi__take_notes(nffi_queue_t *queue)
{
    uint32_t waiting, i, slot, first, capacity = queue->region.max_tasks;
    nffi__ring_t *ring = &queue->region.header->notes_ring;

    waiting = nffi__ring_waiting(ring);

    if (waiting == 0) {
        return;
    }

    if (waiting > capacity) {
        nffi__break(queue);
        return;
    }

    first = nffi__ring_first(ring, capacity);

    for (i = 0; i < waiting; i++) {
        slot = queue->region.notes[(first + i) & (capacity - 1)];

        if (slot < capacity) {
            take_note(queue, slot);
        }
    }

    nffi__ring_consume(ring, waiting);
}


/* Whether to report a task, which is then not reported again. */
typedef bool reports_t(nffi_queue_t *queue, nffi__running_t *running,
    uint32_t slot);


static bool
reports_cancelled(nffi_queue_t *queue, nffi__running_t *running, uint32_t slot)
{
    if (running->cancel_reported || !nffi__is_cancelled(queue, slot)) {
        return false;
    }

    running->cancel_reported = true;

    return true;
}


static bool
reports_writable(nffi_queue_t *queue, nffi__running_t *running, uint32_t slot)
{
    if (running->stream == NULL || !running->stream->blocked
        || !may_go_on(queue, running, slot))
    {
        return false;
    }

    running->stream->blocked = false;

    return true;
}


/* Takes up to `max` tasks of a list, with the mutex, after the notes. */
static int
take_listed(nffi_queue_t *queue, nffi__slot_list_t *list, reports_t *reports,
    nffi_task_t *tasks, size_t max)
{
    size_t count = 0;
    uint32_t slot;
    nffi__running_t *running;

    nffi__take_notes(queue);

    while (count < max && list_take(list, &slot)) {
        running = &queue->running[slot];

        if (running->open && reports(queue, running, slot)) {
            tasks[count++] = running->request.task;
        }
    }

    return (int) count;
}


int
nffi_queue_cancelled(nffi_queue_t *handle, nffi_task_t *tasks, size_t max)
{
    int count;
    nffi_queue_t *queue;

    if (handle == NULL || tasks == NULL) {
        return NFFI_INVALID;
    }

    /* one that has ended has no tasks */
    queue = nffi__queue_lock(handle);
    if (queue == NULL) {
        return 0;
    }

    count = take_listed(queue, &queue->cancelled, reports_cancelled, tasks,
                        max);
    nffi__unlock_and_wake(queue);

    return count;
}


int
nffi_stream_writable(nffi_queue_t *handle, nffi_task_t *tasks, size_t max)
{
    int count;
    nffi_queue_t *queue;

    if (handle == NULL || tasks == NULL) {
        return NFFI_INVALID;
    }

    queue = nffi__queue_lock(handle);
    if (queue == NULL) {
        return 0;
    }

    count = take_listed(queue, &queue->writable, reports_writable, tasks, max);
    queue->writable_news = queue->writable.first != END;
    nffi__unlock_and_wake(queue);

    return count;
}


int
nffi_task_cancelled(nffi_task_t task)
{
    int rc;
    nffi_queue_t *queue;

    queue = nffi__task_queue(task);
    if (queue == NULL) {
        return NFFI_STALE;
    }

    pthread_mutex_lock(&queue->mutex);

    if (nffi__task_running(queue, task) == NULL) {
        rc = NFFI_STALE;

    } else {
        rc = nffi__is_cancelled(queue, nffi__task_slot(task)) ? 1 : 0;
    }

    pthread_mutex_unlock(&queue->mutex);

    return rc;
}
