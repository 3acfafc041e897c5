/*
 * respond.h - how queue.c, respond.c and stream.c share tasks that run, and
 * tell the host. All of it wants the queue's mutex, but for nffi__task_queue
 * and nffi__signal_host.
 */

#ifndef NFFI_RESPOND_H
#define NFFI_RESPOND_H

#include "runtime/place.h"
#include "runtime/queue.h"

static inline uint32_t
nffi__task_slot(nffi_task_t task)
{
    return (uint32_t) (task >> 32) & (NFFI__MAX_TASKS - 1);
}

/* NULL when the handle names no queue of this process. The queue may have ended
   since: only nffi__task_running(), with its mutex, tells. */
nffi_queue_t *nffi__task_queue(nffi_task_t task);

/* The host has closed it, and no thread of the runtime uses it. */
bool nffi__queue_is_unused(nffi_queue_t *queue);

/* NULL when the task is not open. */
nffi__running_t *nffi__task_running(nffi_queue_t *queue, nffi_task_t task);

/* Frees what a task has written and nobody has got. */
void nffi__discard_stream(nffi__running_t *running);

/* Counts a handle that names no task. The first of a kind wakes the host, which
   logs it. nffi__refuse_foreign: of a handle that names no queue; without a
   mutex. */
void nffi__refuse(nffi_queue_t *queue, nffi_task_t task);
void nffi__refuse_foreign(nffi_task_t task);

/* Fills in the response part of the slot, then finishes. */
void nffi__publish(nffi_queue_t *queue, nffi__running_t *running,
    uint32_t slot, int rc, const nffi__location_t *place, size_t message_size,
    enum nffi__outcome outcome);

/* Puts a stream on the done ring, unless it waits there already. */
void nffi__announce(nffi_queue_t *queue, nffi__running_t *running,
    uint32_t slot, enum nffi__news news);

/* Closes the task and puts it on the done ring. The response part of its slot
   is filled in already, but for the outcome. */
void nffi__finish(nffi_queue_t *queue, nffi__running_t *running, uint32_t slot,
    enum nffi__outcome outcome);

/* Wakes the host, which has parked. */
void nffi__signal_host(nffi_queue_t *queue);

/* Unlocks, then wakes the host if responses were published and it sleeps, and
   notifies it when the last user of a closed queue has left. */
void nffi__unlock_and_wake(nffi_queue_t *queue);

#endif /* NFFI_RESPOND_H */
