/*
 * queue.c - the runtime's side of a queue: tasks are taken here. respond.c
 * answers them, stream.c in chunks.
 *
 * The rings have one consumer and one producer a side; where a runtime has
 * several threads, the queue's mutex makes them one. The event loop never
 * takes that mutex.
 */

#define _GNU_SOURCE

#include "runtime/notes.h"
#include "runtime/queue.h"
#include "runtime/done.h"
#include "shared/eventfd.h"
#include "shared/times.h"
#include "runtime/wait.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

/* the data of a request that has no bytes, but is not NULL */
static const unsigned char empty[1];


static nffi_task_t
task_handle(const nffi_queue_t *queue, uint32_t slot, uint32_t generation)
{
    return (uint64_t) queue->index << 52 | (uint64_t) slot << 32 | generation;
}


/*
 * Waits for the memfd of a task: the host sent it before it queued the task,
 * so the watching thread is about to see it, if it has not already.
 */
static int
take_payload(nffi_queue_t *queue, uint64_t task)
{
    int fd, rc;
    struct timespec until;
    nffi__payload_t **link, *payload;

    fd = -1;
    rc = 0;
    until = nffi__time_after(queue->payload_ms);
    pthread_mutex_lock(&queue->payloads_mutex);

    for ( ;; ) {
        for (link = &queue->payloads; *link != NULL; link = &(*link)->next) {
            if ((*link)->task == task) {
                break;
            }
        }

        payload = *link;

        if (payload != NULL) {
            *link = payload->next;
            fd = payload->fd;
            free(payload);
            break;
        }

        if (rc == ETIMEDOUT) {
            break;
        }

        rc = pthread_cond_timedwait(&queue->payload_came,
                                    &queue->payloads_mutex, &until);
    }

    pthread_mutex_unlock(&queue->payloads_mutex);

    return fd;
}


/* Finds the bytes of a request; false when the slot makes no sense. */
static bool
locate_request(nffi_queue_t *queue, nffi__running_t *running,
    const volatile nffi__slot_t *slot, uint32_t number,
    const unsigned char **bytes)
{
    int fd;
    void *mapping;
    uint64_t offset = slot->request_offset;
    uint64_t size = running->request.size;
    const nffi__region_t *region = &queue->region;

    switch (slot->request_storage) {

    case NFFI__NOWHERE:
        *bytes = NULL;
        return size == 0;

    case NFFI__IN_ARENA:
        /* one byte more, for the NUL */
        if (size >= region->request_arena_size
            || offset >= region->request_arena_size - size)
        {
            return false;
        }

        *bytes = region->request_arena + offset;
        return true;

    case NFFI__IN_HEAP:
        *bytes = (const unsigned char *) (uintptr_t) offset;
        return queue->control_fd == -1;

    case NFFI__IN_MEMFD:
        if (queue->control_fd == -1) {
            return false;
        }

        fd = take_payload(queue, (uint64_t) running->generation << 32 | number);
        if (fd == -1 || nffi__memfd_map(fd, size + 1, &mapping) != NFFI_OK) {
            return false;
        }

        running->mapping = mapping;
        *bytes = mapping;
        return true;

    default:
        return false;
    }
}


/* A task that is never started still has its memfd on the way. */
static void
drop_payload(nffi_queue_t *queue, const nffi__running_t *running,
    const volatile nffi__slot_t *slot, uint32_t number)
{
    int fd;

    if (slot->request_storage == NFFI__IN_MEMFD && queue->control_fd != -1) {
        fd = take_payload(queue, (uint64_t) running->generation << 32 | number);
        if (fd != -1) {
            close(fd);
        }
    }
}


/* One clock read for all tasks that are taken together. */
static void
stamp_taken(volatile nffi__slot_t *slot, nffi__running_t *running,
    uint64_t *now_ns)
{
    running->timed = slot->timed != 0;

    if (running->timed) {
        if (*now_ns == 0) {
            *now_ns = nffi__now();
        }

        slot->taken_ns = *now_ns;
    }
}


/* Opens the task of one slot. 1: taken, 0: was cancelled, or an error. */
static int
open_task(nffi_queue_t *queue, uint32_t number, uint64_t *now_ns)
{
    uint32_t method_size;
    const unsigned char *bytes;
    volatile nffi__slot_t *slot;
    nffi__running_t *running;
    nffi_request_t *request;

    if (number >= queue->region.max_tasks || queue->running[number].open) {
        return NFFI_PROTOCOL;
    }

    slot = &queue->region.slots[number];
    running = &queue->running[number];
    request = &running->request;

    memset(running, 0, sizeof(*running));
    running->large.fd = -1;
    running->generation = slot->generation;
    running->window = slot->window;
    running->open = true;
    queue->open++;

    if (nffi__is_cancelled(queue, number)) {
        drop_payload(queue, running, slot, number);
        nffi__follow_trim(queue);
        nffi__finish(queue, running, number, NFFI__SKIPPED);
        return 0;
    }

    stamp_taken(slot, running, now_ns);
    request->task = task_handle(queue, number, running->generation);
    request->size = slot->request_size;
    request->deadline_ns = slot->deadline_ns;
    request->flags = running->window > 0 ? NFFI_REQUEST_STREAM : 0;
    method_size = slot->method_size;

    if (method_size > request->size
        || !locate_request(queue, running, slot, number, &bytes))
    {
        running->open = false;
        queue->open--;
        return NFFI_PROTOCOL;
    }

    if (method_size > 0) {
        request->method = (const char *) bytes;
        request->method_size = method_size;
        request->size -= method_size;
    }

    if (request->size > 0 || slot->has_data) {
        request->data = bytes != NULL ? bytes + method_size : empty;
    }

    return 1;
}


/* Takes what waits, under the mutex. */
static size_t
take(nffi_queue_t *queue, nffi_request_t *requests, size_t max)
{
    int rc;
    size_t taken;
    uint32_t waiting, number, looked;
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
        number = queue->region.tasks[(nffi__ring_first(ring, capacity) + looked)
                                     & (capacity - 1)];
        looked++;
        rc = open_task(queue, number, &now_ns);

        if (rc == 1) {
            requests[taken++] = queue->running[number].request;

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

    if (!take_descriptor(queue)) {
        nffi__unlock_and_wake(queue);
        return 1;
    }

    nffi__eventfd_clear(queue->tasks_fd);
    nffi__announce_parked(&header->runtime_parked);
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

    if (!sleep) {
        nffi__revoke_parked(&header->runtime_parked);
    }

    nffi__unlock_and_wake(queue);

    return sleep ? 0 : 1;
}


int
nffi_task_request(nffi_task_t task, nffi_request_t *request)
{
    int rc;
    nffi_queue_t *queue;
    nffi__running_t *running;

    queue = nffi__task_queue(task);
    if (queue == NULL || request == NULL) {
        return queue == NULL ? NFFI_STALE : NFFI_INVALID;
    }

    rc = NFFI_STALE;
    pthread_mutex_lock(&queue->mutex);
    running = nffi__task_running(queue, task);

    if (running != NULL) {
        *request = running->request;
        rc = NFFI_OK;
    }

    pthread_mutex_unlock(&queue->mutex);

    return rc;
}


int
nffi_task_time_left(nffi_task_t task)
{
    uint64_t now, left;
    nffi_request_t request;

    if (nffi_task_request(task, &request) != NFFI_OK) {
        return 0;
    }

    if (request.deadline_ns == 0) {
        return -1;
    }

    now = nffi__now();

    if (request.deadline_ns <= now) {
        return 0;
    }

    left = (request.deadline_ns - now + 999999) / 1000000;

    return left < INT_MAX ? (int) left : INT_MAX;
}
