/*
 * respond.h - how queue.c and respond.c share tasks that run. All of it wants
 * the queue's mutex, but for nffi__task_queue.
 */

#ifndef NFFI_RESPOND_H
#define NFFI_RESPOND_H

#include "queue.h"

static inline uint32_t
nffi__task_slot(nffi_task_t task)
{
    return (uint32_t) (task >> 32) & (NFFI__MAX_TASKS - 1);
}

/* NULL when the handle names no queue of this process. */
nffi_queue_t *nffi__task_queue(nffi_task_t task);

/* NULL when the task is not open. */
nffi__running_t *nffi__task_running(nffi_queue_t *queue, nffi_task_t task);

/* Frees a response buffer that is not in the arena, if there is one. */
void nffi__discard_large(nffi__memfd_t *large);

/* Closes the task and puts it on the done ring. The response part of its slot
   is filled in already, but for the outcome. */
void nffi__finish(nffi_queue_t *queue, nffi__running_t *running, uint32_t slot,
    enum nffi__outcome outcome);

/* Unlocks, then wakes the host if responses were published and it sleeps. */
void nffi__unlock_and_wake(nffi_queue_t *queue);

#endif /* NFFI_RESPOND_H */
