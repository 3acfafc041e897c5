/*
 * request.h - opens the tasks that queue.c takes.
 */

#ifndef NFFI_REQUEST_H
#define NFFI_REQUEST_H

#include "runtime/queue.h"

/*
 * Opens the task of one slot, with the queue's mutex. `now_ns`: one reading of
 * the clock for all tasks that are taken together, 0: none yet. Returns 1, 0 if
 * the task was cancelled, or NFFI_PROTOCOL.
 */
int nffi__open_task(nffi_queue_t *queue, uint32_t index, uint64_t *now_ns);

#endif /* NFFI_REQUEST_H */
