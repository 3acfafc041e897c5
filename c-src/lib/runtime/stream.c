/*
 * stream.c - the runtime's side of a queue: a response in chunks.
 *
 * A chunk is in the response arena, like a response, until the event loop has
 * read it; the slot's ring of chunks has its location. The worker grants credit
 * when Lua has read one, and a stream without credit writes nothing: so unread
 * data are bounded by the window and one chunk.
 *
 * For a plain call, the chunks are collected and sent at the end.
 */

#define _GNU_SOURCE

#include "shared/control.h"
#include "runtime/notes.h"
#include "runtime/done.h"
#include "runtime/wait.h"

#include <stdlib.h>
#include <string.h>

#define MAX_COLLECTED ((size_t) 64 << 20)


/* Made by the first write, so that calls pay nothing for it. */
static nffi__stream_t *
stream_of(nffi__running_t *running)
{
    if (running->stream == NULL) {
        running->stream = calloc(1, sizeof(nffi__stream_t));
    }

    return running->stream;
}


/* Makes room for `size` more bytes; false: there is no memory. */
static bool
make_room(nffi__stream_t *stream, size_t size)
{
    unsigned char *larger;
    size_t room = stream->collected_room;

    while (room < stream->collected_size + size) {
        room = room > 0 ? room * 2 : 1024;
    }

    if (room > stream->collected_room) {
        larger = realloc(stream->collected, room);
        if (larger == NULL) {
            return false;
        }

        stream->collected = larger;
        stream->collected_room = room;
    }

    return true;
}


static int
append(nffi__stream_t *stream, const void *data, size_t size)
{
    if (!make_room(stream, size)) {
        return NFFI_NO_MEMORY;
    }

    if (size > 0) {
        memcpy(stream->collected + stream->collected_size, data, size);
        stream->collected_size += size;
    }

    return NFFI_OK;
}


/* Enough to copy, or to move for more room, to free the mutex meanwhile. */
static bool
is_long_copy(const nffi__stream_t *stream, size_t size)
{
    return size >= NFFI__COPY_UNLOCKED
           || (stream->collected_size >= NFFI__COPY_UNLOCKED
               && stream->collected_room - stream->collected_size < size);
}


/* Of a stream that this thread has marked as copying: no other one uses it. */
static int
collect(nffi_queue_t *queue, nffi__stream_t *stream, const void *data,
    size_t size)
{
    int rc;

    if (size > MAX_COLLECTED - stream->collected_size) {
        return NFFI_TOO_LARGE;
    }

    if (!is_long_copy(stream, size)) {
        return append(stream, data, size);
    }

    nffi__unlock_to_copy(queue);
    rc = append(stream, data, size);
    nffi__lock_after_copy(queue);

    return rc;
}


static int
write_chunk(nffi_queue_t *queue, nffi__running_t *running, uint32_t slot,
    const void *data, size_t size)
{
    int rc;
    nffi__location_t where;
    nffi__stream_t *stream = running->stream;
    volatile nffi__chunk_t *chunk;
    struct iovec part = { (void *) data, size };

    memset(&where, 0, sizeof(where));

    if (size > 0) {
        rc = nffi__store(queue, (uint64_t) running->generation << 32 | slot,
                         &part, 1, &where);
        if (rc != NFFI_OK) {
            return rc;
        }

        if (where.kind == NFFI__IN_ARENA) {
            nffi__arena_lend(&queue->arena, (uint32_t) where.offset);
        }
    }

    chunk = &queue->region.chunks[slot * NFFI__CHUNKS
                                  + stream->written % NFFI__CHUNKS];
    chunk->offset = where.offset;
    chunk->size = (uint32_t) size;
    chunk->storage = where.kind;

    stream->sizes[stream->written % NFFI__CHUNKS] = (uint32_t) size;
    stream->unread_bytes += size;
    stream->written++;
    atomic_store_explicit(&queue->region.slots[slot].chunks_written,
                          stream->written, memory_order_release);
    nffi__announce(queue, running, slot, NFFI__MORE_CHUNKS);
    queue->wake_due = true;

    return NFFI_OK;
}


/* Whether a chunk may be written now: 0 or why not. */
static int
may_write(nffi_queue_t *queue, nffi__running_t *running, uint32_t slot)
{
    nffi__stream_t *stream;

    if (nffi__is_cancelled(queue, slot)) {
        return NFFI_CANCELLED;
    }

    stream = stream_of(running);
    if (stream == NULL) {
        return NFFI_NO_MEMORY;
    }

    stream->blocked = running->window > 0
                      && !nffi__has_credit(queue, stream, slot,
                                           running->window);

    if (queue->broken) {
        return NFFI_CLOSED;
    }

    return stream->blocked ? NFFI_WOULD_BLOCK : NFFI_OK;
}


int
nffi_stream_write(nffi_task_t task, const void *data, size_t size)
{
    int rc;
    uint32_t slot = nffi__task_slot(task);
    nffi_queue_t *queue;
    nffi__running_t *running;

    if (size > 0 && data == NULL) {
        return NFFI_INVALID;
    }

    if (size > NFFI__MAX_PAYLOAD) {
        return NFFI_TOO_LARGE;
    }

    running = nffi__lock_running(task, &queue);
    if (running == NULL) {
        return NFFI_STALE;
    }

    rc = may_write(queue, running, slot);

    if (rc == NFFI_OK) {
        running->stream->copying = true;
        rc = running->window > 0
             ? write_chunk(queue, running, slot, data, size)
             : collect(queue, running->stream, data, size);
        running->stream->copying = false;

        /* few wait: two threads seldom write one stream */
        pthread_cond_broadcast(&queue->copied);
    }

    nffi__unlock_and_wake(queue);

    return rc;
}


int
nffi_stream_wait(nffi_task_t task, int timeout_ms)
{
    int rc, left;
    uint32_t slot = nffi__task_slot(task);
    nffi_queue_t *queue;
    nffi__running_t *running;
    struct timespec until;

    queue = nffi__task_queue(task);
    if (queue == NULL) {
        return NFFI_STALE;
    }

    left = timeout_ms;
    if (timeout_ms > 0) {
        until = nffi__time_after(timeout_ms);
    }

    pthread_mutex_lock(&queue->mutex);

    /* stale: the queue may have ended, too */
    if (nffi__task_running(queue, task) == NULL) {
        pthread_mutex_unlock(&queue->mutex);
        return NFFI_STALE;
    }

    queue->inside++;

    for ( ;; ) {
        nffi__take_notes(queue);

        /* another thread may have ended it while this one slept */
        running = nffi__task_running(queue, task);
        rc = running == NULL ? NFFI_STALE : may_write(queue, running, slot);

        if (rc != NFFI_WOULD_BLOCK || left == 0) {
            break;
        }

        if (queue->wake_due) {
            nffi__unlock_and_wake(queue);
            pthread_mutex_lock(&queue->mutex);
            continue;
        }

        running->stream->waiters++;
        nffi__wait_for_credit(queue, slot, left);
        running = nffi__task_running(queue, task);

        if (running != NULL) {
            running->stream->waiters--;
        }

        if (timeout_ms > 0) {
            left = nffi__ms_until(&until);
        }
    }

    queue->inside--;
    nffi__pass_lead(queue);
    nffi__unlock_and_wake(queue);

    return rc;
}


/* Responds with the collected chunks, which a cancelled task does not need. */
static int
respond_collected(nffi_queue_t *queue, nffi__running_t *running,
    uint32_t slot)
{
    int rc;
    nffi__location_t where;
    nffi__stream_t *stream = running->stream;
    struct iovec part;

    memset(&where, 0, sizeof(where));
    where.kind = NFFI__EMPTY;

    if (stream != NULL && stream->collected_size > 0
        && !nffi__is_cancelled(queue, slot))
    {

        if (queue->control_fd == -1) {
            where.kind = NFFI__IN_HEAP;
            where.size = stream->collected_size;
            where.offset = (uint64_t) (uintptr_t) stream->collected;
            where.release = (uint64_t) (uintptr_t) free;
            stream->collected = NULL;

        } else {
            part.iov_base = stream->collected;
            part.iov_len = stream->collected_size;
            nffi__claim(running);
            rc = nffi__store(queue,
                             (uint64_t) running->generation << 32 | slot,
                             &part, 1, &where);
            if (rc != NFFI_OK) {
                nffi__reopen(running);
                return rc;
            }
        }
    }

    nffi__publish(queue, running, slot, 0, &where, 0, NFFI__ANSWERED);

    return NFFI_OK;
}


int
nffi_stream_end(nffi_task_t task)
{
    int rc;
    uint32_t slot = nffi__task_slot(task);
    nffi_queue_t *queue;
    nffi__running_t *running;

    running = nffi__lock_running(task, &queue);
    if (running == NULL) {
        return NFFI_STALE;
    }

    if (running->window > 0) {
        nffi__finish(queue, running, slot, NFFI__ENDED);
        rc = NFFI_OK;

    } else {
        rc = respond_collected(queue, running, slot);
    }

    nffi__unlock_and_wake(queue);

    return rc;
}
