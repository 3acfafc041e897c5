/*
 * queue.c - the runtime's side of a queue: tasks are taken here. request.c
 * reads their requests, respond.c sends responses, stream.c chunks.
 *
 * The rings have one consumer and one producer a side; where a runtime has
 * several threads, the queue's mutex makes them one. The event loop never
 * takes that mutex.
 */

#define _GNU_SOURCE

#include "runtime/notes.h"
#include "runtime/queue.h"
#include "runtime/request.h"
#include "runtime/task.h"
#include "shared/eventfd.h"
#include "runtime/wait.h"

#include <time.h>


/* Takes what waits, under the mutex. */
static size_t
take(nffi_queue_t *queue, nffi_request_t *requests, size_t max)
{
    int rc;
    size_t taken;
    uint32_t waiting, index, looked;
    uint64_t now_ns = 0;
    nffi__ring_t *ring = &queue->region.header->tasks_ring;
    uint32_t capacity = queue->region.max_tasks;

    if (queue->broken) {
        return 0;
    }

    taken = 0;
    looked = 0;
    waiting = nffi__ring_waiting(ring);

    if (waiting > capacity) {
        nffi__break(queue);
        return 0;
    }

    while (looked < waiting && taken < max) {
        index = queue->region.tasks[(nffi__ring_first(ring, capacity) + looked)
                                     & (capacity - 1)];
        looked++;
        rc = nffi__open_task(queue, index, &now_ns);

        if (rc == 1) {
            requests[taken++] = queue->running[index].request;

        } else if (rc != 0) {
            nffi__break(queue);
            break;
        }
    }

    if (looked > 0) {
        nffi__ring_consume(ring, looked);
    }

    return taken;
}


static bool
at_end(nffi_queue_t *queue)
{
    if (queue->broken) {
        return true;
    }

    return atomic_load_explicit(&queue->region.header->closed,
                                memory_order_seq_cst)
           && nffi__ring_waiting(&queue->region.header->tasks_ring) == 0;
}


int
nffi_queue_poll(nffi_queue_t *handle, nffi_request_t *requests, size_t max,
    int timeout_ms)
{
    int left;
    size_t taken;
    bool end;
    nffi_queue_t *queue;
    struct timespec until;

    if (handle == NULL || requests == NULL || max == 0) {
        return NFFI_INVALID;
    }

    left = timeout_ms;
    if (timeout_ms > 0) {
        until = nffi__time_after(timeout_ms);
    }

    queue = nffi__queue_lock(handle);
    if (queue == NULL) {
        return NFFI_CLOSED;
    }

    nffi__polled = handle;
    queue->inside++;

    for ( ;; ) {
        nffi__take_notes(queue);
        taken = take(queue, requests, max);
        end = taken == 0 && at_end(queue);

        if (taken > 0 || end || left == 0 || queue->writable_news) {
            break;
        }

        if (queue->wake_due) {
            nffi__unlock_and_wake(queue);
            pthread_mutex_lock(&queue->mutex);
            continue;
        }

        nffi__wait_for_tasks(queue, left);

        if (timeout_ms > 0) {
            left = nffi__ms_until(&until);
        }
    }

    if (taken == 0) {
        queue->writable_news = false;
    }

    queue->end_reported |= end;
    queue->inside--;
    nffi__pass_lead(queue);
    nffi__unlock_and_wake(queue);

    return end ? NFFI_CLOSED : (int) taken;
}


const void *
nffi_queue_config(nffi_queue_t *handle, size_t *size)
{
    const void *config = NULL;
    size_t config_size = 0;
    nffi_queue_t *queue = handle == NULL ? NULL : nffi__queue_lock(handle);

    if (queue != NULL) {
        config = queue->region.config;
        config_size = queue->region.config_size;
        pthread_mutex_unlock(&queue->mutex);
    }

    if (size != NULL) {
        *size = config_size;
    }

    return config;
}


int
nffi_queue_fd(nffi_queue_t *handle)
{
    int fd;
    nffi_queue_t *queue;

    if (handle == NULL) {
        return NFFI_INVALID;
    }

    queue = nffi__queue_lock(handle);
    if (queue == NULL) {
        return NFFI_CLOSED;
    }

    queue->fd_taken = true;
    fd = queue->tasks_fd;
    nffi__unlock_and_wake(queue);

    return fd;
}


int
nffi_queue_release_fd(nffi_queue_t *handle)
{
    nffi_queue_t *queue;

    if (handle == NULL) {
        return NFFI_INVALID;
    }

    queue = nffi__queue_lock(handle);

    if (queue != NULL) {
        queue->fd_taken = false;
        nffi__unlock_and_wake(queue);
    }

    return NFFI_OK;
}


/*
 * From the first time on the thread that arms leads: two threads that wait on
 * one eventfd would take each other's signals. False: another thread still
 * leads; it was made to leave.
 */
static bool
take_descriptor(nffi_queue_t *queue)
{
    if (!queue->arms) {
        queue->arms = true;
        nffi__look_again(queue);
    }

    return queue->leader == NFFI__NOBODY;
}


/* Spinning has found tasks, so the descriptor is not needed. It was cleared
   when the loop last slept: a system call saved for each call. */
static bool
found_tasks(nffi_queue_t *queue)
{
    return queue->arms && !queue->armed && !queue->broken
           && nffi__ring_waiting(&queue->region.header->tasks_ring) != 0;
}


int
nffi_queue_arm(nffi_queue_t *handle)
{
    bool sleep, briefly;
    nffi_queue_t *queue;
    nffi__header_t *header;

    if (handle == NULL) {
        return NFFI_INVALID;
    }

    /* the next poll returns the end again */
    queue = nffi__queue_lock(handle);
    if (queue == NULL) {
        return 1;
    }

    header = queue->region.header;
    queue->inside++;
    briefly = queue->open > 0;    /* its loop may wait for their handlers */
    pthread_mutex_unlock(&queue->mutex);
    nffi__spin_to_arm(queue, briefly);
    pthread_mutex_lock(&queue->mutex);
    queue->inside--;

    if (found_tasks(queue) || !take_descriptor(queue)) {
        nffi__unlock_and_wake(queue);
        return 1;
    }

    nffi__eventfd_clear(queue->tasks_fd);
    nffi__announce_parked(&header->runtime_parked, NFFI__ON_DESCRIPTOR);
    nffi__take_notes(queue);

    /* a queue that was cut off is never signalled again */
    sleep = !queue->broken
            && nffi__ring_waiting(&header->tasks_ring) == 0
            && !queue->news
            && (queue->end_reported
                || !atomic_load_explicit(&header->closed,
                                         memory_order_seq_cst));

    /* once: a runtime that does not ask for what is new must not spin */
    queue->news = false;

    queue->armed = sleep;

    if (!sleep) {
        nffi__revoke_parked(&header->runtime_parked);
    }

    nffi__unlock_and_wake(queue);

    return sleep ? 0 : 1;
}
