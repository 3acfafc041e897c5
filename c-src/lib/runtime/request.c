/*
 * request.c - the runtime's side of a queue: the request of a task, made of
 * what the worker has written into its slot.
 */

#define _GNU_SOURCE

#include "runtime/request.h"
#include "runtime/done.h"
#include "runtime/notes.h"
#include "runtime/wait.h"
#include "shared/control.h"
#include "shared/times.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
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
    const volatile nffi__slot_t *slot, uint32_t index,
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

        fd = take_payload(queue, (uint64_t) running->generation << 32 | index);
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
    const volatile nffi__slot_t *slot, uint32_t index)
{
    int fd;

    if (slot->request_storage == NFFI__IN_MEMFD && queue->control_fd != -1) {
        fd = take_payload(queue, (uint64_t) running->generation << 32 | index);
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


int
nffi__open_task(nffi_queue_t *queue, uint32_t index, uint64_t *now_ns)
{
    uint32_t method_size;
    const unsigned char *bytes;
    volatile nffi__slot_t *slot;
    nffi__running_t *running;
    nffi_request_t *request;

    if (index >= queue->region.max_tasks || queue->running[index].open) {
        return NFFI_PROTOCOL;
    }

    slot = &queue->region.slots[index];
    running = &queue->running[index];
    request = &running->request;

    memset(running, 0, sizeof(*running));
    running->large.fd = -1;
    running->generation = slot->generation;
    running->window = slot->window;
    running->open = true;
    queue->open++;

    if (nffi__is_cancelled(queue, index)) {
        drop_payload(queue, running, slot, index);
        nffi__follow_trim(queue);
        nffi__finish(queue, running, index, NFFI__SKIPPED);
        return 0;
    }

    stamp_taken(slot, running, now_ns);
    request->task = task_handle(queue, index, running->generation);
    request->size = slot->request_size;
    request->deadline_ns = slot->deadline_ns;
    request->flags = running->window > 0 ? NFFI_REQUEST_STREAM : 0;
    method_size = slot->method_size;

    if (method_size > request->size
        || !locate_request(queue, running, slot, index, &bytes))
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
