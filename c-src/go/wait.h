/*
 * wait.h - the crossings from Go to libnffi that do several things at once.
 */

#ifndef NFFI_GO_WAIT_H
#define NFFI_GO_WAIT_H

#include <nffi.h>

/*
 * Waits until there are requests, cancellations or the end. Returns the number
 * of requests (perhaps 0) or NFFI_CLOSED; *told is the number of `cancelled`.
 * timeout_ms -1: for ever.
 * thread: one at a time; blocks: as told
 */
__attribute__((visibility("hidden")))
int nffi_go_wait(nffi_queue_t *queue, nffi_request_t *requests, size_t max,
    nffi_task_t *cancelled, size_t max_cancelled, int timeout_ms,
    size_t *told);

/* CLOCK_MONOTONIC */
__attribute__((visibility("hidden")))
uint64_t nffi_go_now(void);

#endif
