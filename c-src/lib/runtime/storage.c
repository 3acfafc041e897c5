/*
 * storage.c - the runtime's side of a queue: the storage of a response, or of a
 * chunk.
 *
 * A response is in the response arena, where only this side allocates; the ring
 * of freed blocks contains the blocks that the worker has read. A payload that
 * does not fit the arena is on the heap (in the worker) or in a memfd.
 */

#define _GNU_SOURCE

#include "runtime/storage.h"
#include "runtime/task.h"
#include "runtime/wait.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>


static void
take_freed_blocks(nffi_queue_t *queue)
{
    uint32_t waiting, i, capacity;
    nffi__ring_t *ring = &queue->region.header->frees_ring;

    capacity = queue->region.frees_count;
    waiting = nffi__ring_waiting(ring);

    if (waiting == 0) {
        return;
    }

    if (waiting > capacity) {
        nffi__break(queue);
        return;
    }

    for (i = 0; i < waiting; i++) {
        nffi__arena_take_back(&queue->arena,
            queue->region.frees[(nffi__ring_first(ring, capacity) + i)
                                & (capacity - 1)]);
    }

    nffi__ring_consume(ring, waiting);
}


/* The worker reads, and allocates what it reads, only where there are pages. */
static void
publish_committed(nffi_queue_t *queue, uint32_t bytes)
{
    atomic_store_explicit(&queue->region.header->response_committed, bytes,
                          memory_order_release);
}


bool
nffi__alloc_block(nffi_queue_t *queue, size_t size, uint32_t *offset)
{
    bool done;

    take_freed_blocks(queue);

    /* so that the ring of freed blocks can never be full */
    if (queue->arena.outstanding >= queue->region.frees_count) {
        return false;
    }

    if (nffi__arena_alloc(&queue->arena, size, offset)) {
        return true;
    }

    done = nffi__commit_alloc(&queue->arena, &queue->region, size, offset);

    /* also after a failure: the first of two steps may have allocated pages,
       where later blocks lie */
    publish_committed(queue, queue->arena.committed);

    return done;
}


void
nffi__follow_trim(nffi_queue_t *queue)
{
    uint32_t trims;

    trims = atomic_load_explicit(&queue->region.header->trims,
                                 memory_order_acquire);

    if (trims != queue->trims) {
        queue->trims = trims;
        take_freed_blocks(queue);

        /* before pages are freed, so that the worker does not allocate them
           again: all blocks are below the limit */
        publish_committed(queue, queue->arena.limit);
        (void) nffi__commit_trim(&queue->arena, &queue->region);
        publish_committed(queue, queue->arena.committed);
    }
}


void *
nffi__alloc_storage(nffi_queue_t *queue, nffi__memfd_t *large, size_t size,
    nffi__location_t *location)
{
    uint32_t offset;

    location->size = size;

    if (nffi__alloc_block(queue, size, &offset)) {
        location->kind = NFFI__IN_ARENA;
        location->offset = offset;
        return queue->region.response_arena + offset;
    }

    if (large->data != NULL) {
        return NULL;
    }

    if (queue->control_fd == -1) {
        large->data = malloc(size);
        large->size = size;
        large->fd = -1;
        location->kind = NFFI__IN_HEAP;

    } else {
        if (nffi__memfd_create(large, size) != NFFI_OK) {
            return NULL;
        }

        location->kind = NFFI__IN_MEMFD;
    }

    return large->data;
}


/*
 * Sends a memfd to the worker. If the socket is full, or too many descriptors
 * are in flight, it waits until the worker collects: responses that were
 * published before this one must have been announced.
 */
static int
send_payload(nffi_queue_t *queue, const nffi__message_t *message, int fd)
{
    int rc;
    static const struct timespec pause = { 0, 1000000 };

    for ( ;; ) {
        rc = nffi__control_send(queue->control_fd, message, fd, MSG_DONTWAIT);
        if (rc != NFFI_QUEUE_FULL) {
            return rc;
        }

        if (nffi__must_wake(&queue->region.header->host_parked)) {
            nffi__signal_host(queue);
        }

        (void) nanosleep(&pause, NULL);
    }
}


int
nffi__hand_over_large(nffi_queue_t *queue, nffi__memfd_t *large, uint64_t task,
    nffi__location_t *location)
{
    int rc;
    nffi__message_t message;

    if (location->kind == NFFI__IN_HEAP) {
        location->offset = (uint64_t) (uintptr_t) large->data;
        location->release = (uint64_t) (uintptr_t) free;
        large->data = NULL;
        return NFFI_OK;
    }

    rc = nffi__memfd_seal(large);

    if (rc == NFFI_OK) {
        memset(&message, 0, NFFI__MESSAGE_HEAD);
        message.type = NFFI__MESSAGE_PAYLOAD;
        message.abi = NFFI_ABI_VERSION;
        message.task = task;
        rc = send_payload(queue, &message, large->fd);
    }

    close(large->fd);
    large->fd = -1;

    return rc;
}


static void
copy_parts(unsigned char *to, const struct iovec *parts, int count)
{
    int i;

    for (i = 0; i < count; i++) {
        if (parts[i].iov_len > 0) {
            memcpy(to, parts[i].iov_base, parts[i].iov_len);
            to += parts[i].iov_len;
        }
    }
}


void
nffi__unlock_to_copy(nffi_queue_t *queue)
{
    queue->inside++;
    nffi__unlock_and_wake(queue);
}


void
nffi__lock_after_copy(nffi_queue_t *queue)
{
    pthread_mutex_lock(&queue->mutex);
    queue->inside--;
}


/* Bytes that the arena cannot hold. A memfd is sent with the mutex, so that
   those in the socket are few that the worker does not look for yet. */
static int
store_large(nffi_queue_t *queue, uint64_t task, struct iovec *parts, int count,
    nffi__location_t *location)
{
    int rc;
    void *copy;
    nffi__memfd_t memfd;

    if (queue->control_fd != -1) {
        location->kind = NFFI__IN_MEMFD;
        nffi__unlock_to_copy(queue);
        rc = nffi__memfd_write(&memfd, parts, count);
        nffi__lock_after_copy(queue);

        return rc == NFFI_OK
               ? nffi__hand_over_large(queue, &memfd, task, location)
               : NFFI_NO_MEMORY;
    }

    nffi__unlock_to_copy(queue);
    copy = malloc(location->size);

    if (copy != NULL) {
        copy_parts(copy, parts, count);
    }

    nffi__lock_after_copy(queue);

    if (copy == NULL) {
        return NFFI_NO_MEMORY;
    }

    location->kind = NFFI__IN_HEAP;
    location->offset = (uint64_t) (uintptr_t) copy;
    location->release = (uint64_t) (uintptr_t) free;

    return NFFI_OK;
}


int
nffi__store(nffi_queue_t *queue, uint64_t task, struct iovec *parts,
    int count, nffi__location_t *location)
{
    int i;
    uint32_t offset;
    unsigned char *bytes;

    location->size = 0;

    for (i = 0; i < count; i++) {
        location->size += parts[i].iov_len;
    }

    if (!nffi__alloc_block(queue, location->size, &offset)) {
        return store_large(queue, task, parts, count, location);
    }

    location->kind = NFFI__IN_ARENA;
    location->offset = offset;
    bytes = queue->region.response_arena + offset;

    if (location->size < NFFI__COPY_UNLOCKED) {
        copy_parts(bytes, parts, count);
        return NFFI_OK;
    }

    nffi__unlock_to_copy(queue);
    copy_parts(bytes, parts, count);
    nffi__lock_after_copy(queue);

    return NFFI_OK;
}
