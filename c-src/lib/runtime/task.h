/*
 * task.h - tasks that a runtime has taken, by handle: the lookup, the contents
 * of such a task, and the lock of its queue. All functions except
 * nffi__task_queue and nffi__signal_host require the queue's mutex.
 */

#ifndef NFFI_TASK_H
#define NFFI_TASK_H

#include "runtime/queue.h"

static inline uint32_t
nffi__task_slot(nffi_task_t task)
{
    return (uint32_t) (task >> 32) & (NFFI__MAX_TASKS - 1);
}

/* Returns NULL if the handle names no queue of this process. The queue may have
   ended since: only nffi__task_running(), with its mutex, checks that. */
nffi_queue_t *nffi__task_queue(nffi_task_t task);

/* NULL when the task is not open. */
nffi__running_t *nffi__task_running(nffi_queue_t *queue, nffi_task_t task);

/* Frees a response buffer that is not in the arena, if there is one. */
void nffi__discard_large(nffi__memfd_t *large);

/* Frees what a task has written and the host has not taken. */
void nffi__discard_stream(nffi__running_t *running);

/* Wakes the host, which has parked. */
void nffi__signal_host(nffi_queue_t *queue);

/* Unlocks, then wakes the host if responses were published and it sleeps, and
   notifies it when the last user of a closed queue has left. */
void nffi__unlock_and_wake(nffi_queue_t *queue);

#endif /* NFFI_TASK_H */
