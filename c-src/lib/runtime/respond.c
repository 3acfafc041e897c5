/*
 * respond.c - the runtime's side of a queue: responds to tasks, and wakes the
 * worker. storage.c stores the bytes.
 */

#define _GNU_SOURCE

#include "runtime/respond.h"
#include "shared/times.h"
#include "runtime/wait.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>


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
    enum nffi__outcome outcome)
{
    queue->region.slots[slot].outcome = (uint16_t) outcome;

    if (running->timed) {
        if (queue->answer_ns == 0) {
            queue->answer_ns = nffi__now();
        }

        queue->region.slots[slot].answered_ns = queue->answer_ns;
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
nffi__publish(nffi_queue_t *queue, nffi__running_t *running, uint32_t number,
    int rc, const nffi__location_t *location, size_t message_size,
    enum nffi__outcome outcome)
{
    volatile nffi__slot_t *slot = &queue->region.slots[number];

    if (location->kind == NFFI__IN_ARENA) {
        nffi__arena_lend(&queue->arena, (uint32_t) location->offset);
    }

    slot->response_offset = location->offset;
    slot->response_size = location->size;
    slot->response_release = location->release;
    slot->response_storage = (uint16_t) location->kind;
    slot->message_size = (uint32_t) message_size;
    slot->rc = rc;
    nffi__finish(queue, running, number, outcome);
}


/* An error needs no memory, so that a runtime can always report one: the host
   has a text for this code. */
static int
answer_without_text(nffi_queue_t *queue, nffi__running_t *running,
    uint32_t slot)
{
    nffi__location_t nothing;

    memset(&nothing, 0, sizeof(nothing));
    nffi__publish(queue, running, slot, NFFI_NO_MEMORY, &nothing, 0,
                  NFFI__FAILED);

    return NFFI_OK;
}


/* Copies up to two pieces and answers. */
static int
answer_copy(nffi_queue_t *queue, nffi__running_t *running, uint32_t slot,
    const nffi_response_t *response)
{
    int rc;
    size_t detail, total;
    unsigned char *bytes;
    nffi__memfd_t unused;
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

    /* a large buffer that was allocated and is not used for the response; the
       bytes may be in it */
    unused = running->large;
    running->large.data = NULL;

    if (total > 0) {
        bytes = nffi__alloc_storage(queue, &running->large, total, &location);
        if (bytes == NULL) {
            running->large = unused;
            return failed ? answer_without_text(queue, running, slot)
                          : NFFI_NO_MEMORY;
        }

        if (response->size > 0) {
            memcpy(bytes, response->data, response->size);
        }

        if (detail > 0) {
            memcpy(bytes + response->size, response->detail, detail);
        }

        if (location.kind != NFFI__IN_ARENA) {
            rc = nffi__hand_over_large(queue, &running->large,
                 (uint64_t) running->generation << 32 | slot, &location);
            if (rc != NFFI_OK) {
                running->large = unused;
                return rc;
            }
        }
    }

    nffi__discard_large(&unused);
    nffi__publish(queue, running, slot, failed ? -1 : response->rc, &location,
            failed ? response->size : 0,
            failed ? NFFI__FAILED : NFFI__ANSWERED);

    return NFFI_OK;
}


/* Answers with a buffer that nffi_response_alloc() made. */
static int
answer_buffer(nffi_queue_t *queue, nffi__running_t *running, uint32_t slot,
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


/*
 * A slot goes through its generations one after the other: what is not newer
 * than the last was a task. Late answers to a queue that has ended are not
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


static int
answer(nffi_queue_t *queue, const nffi_response_t *response)
{
    uint32_t slot;
    nffi__running_t *running;

    running = nffi__task_running(queue, response->task);
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
        return answer_buffer(queue, running, slot, response);
    }

    return answer_copy(queue, running, slot, response);
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

        responses[i].result = answer(queue, &responses[i]);
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

    queue = nffi__task_queue(task);
    if (queue == NULL) {
        nffi__refuse_foreign(task);
        return NFFI_STALE;
    }

    pthread_mutex_lock(&queue->mutex);

    if (queue->control_fd != -1) {
        pthread_mutex_unlock(&queue->mutex);
        result = nffi_respond(task, rc, data, size);
        if (result == NFFI_OK) {
            release(data);
        }

        return result;
    }

    running = nffi__task_running(queue, task);

    if (running == NULL) {
        nffi__refuse(queue, task);
        nffi__unlock_and_wake(queue);
        return NFFI_STALE;
    }

    if (running->stream != NULL) {
        pthread_mutex_unlock(&queue->mutex);
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
