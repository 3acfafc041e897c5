/*
 * done.h - how respond.c and stream.c publish the response of a task. All
 * functions require the queue's mutex, unless they say otherwise.
 */

#ifndef NFFI_DONE_H
#define NFFI_DONE_H

#include "runtime/storage.h"
#include "runtime/task.h"

/* Counts a handle that names no task. The first of a kind wakes the host, which
   logs it. nffi__refuse_foreign: of a handle that names no queue; without a
   mutex. */
void nffi__refuse(nffi_queue_t *queue, nffi_task_t task);
void nffi__refuse_foreign(nffi_task_t task);

/* Finds the task of a handle and locks its queue; nffi__unlock_and_wake() ends
   that. NULL: there is none, which was counted, and nothing is locked. Without
   a mutex. */
nffi__running_t *nffi__lock_running(nffi_task_t task, nffi_queue_t **queue);

/* The task of a handle, as soon as no other thread copies a chunk of it; NULL:
   there is none. May free the mutex. */
nffi__running_t *nffi__task_to_answer(nffi_queue_t *queue, nffi_task_t task);

/*
 * Claims a task that this thread responds to: while it copies the bytes without
 * the mutex, the handle is stale for others. nffi__reopen: there was no memory.
 */
static inline void
nffi__claim(nffi__running_t *running)
{
    running->open = false;
}

static inline void
nffi__reopen(nffi__running_t *running)
{
    running->open = true;
}

/* Fills in the response part of the slot, then finishes. */
void nffi__publish(nffi_queue_t *queue, nffi__running_t *running,
    uint32_t index, int rc, const nffi__location_t *location,
    size_t message_size,
    enum nffi__response_kind kind);

/* Puts a stream on the done ring, unless it waits there already. */
void nffi__announce(nffi_queue_t *queue, nffi__running_t *running,
    uint32_t slot, enum nffi__news news);

/* Closes the task and puts it on the done ring. The response part of its slot
   is filled in already, except its kind. */
void nffi__finish(nffi_queue_t *queue, nffi__running_t *running, uint32_t slot,
    enum nffi__response_kind kind);

#endif /* NFFI_DONE_H */
