/*
 * wait.h - the crossings from Go to libnffi that combine several steps.
 */

#ifndef NFFI_GO_WAIT_H
#define NFFI_GO_WAIT_H

#include <nffi.h>

/* How many tasks were cancelled, and how many streams have credit again. */
typedef struct nffi_go_notes {
    size_t cancelled;
    size_t writable;
} nffi_go_notes_t;

/*
 * Waits until there are requests, notes or the end. Returns the number of
 * requests (possibly 0) or NFFI_CLOSED. timeout_ms -1: no limit.
 * thread: one at a time; blocks: up to timeout_ms
 */
__attribute__((visibility("hidden")))
int nffi_go_wait(nffi_queue_t *queue, nffi_request_t *requests, size_t max,
    nffi_task_t *cancelled, nffi_task_t *writable, size_t max_notes,
    int timeout_ms, nffi_go_notes_t *noted);

/* The notes alone; blocks: no */
__attribute__((visibility("hidden")))
void nffi_go_notes(nffi_queue_t *queue, nffi_task_t *cancelled,
    nffi_task_t *writable, size_t max_notes, nffi_go_notes_t *noted);

/* CLOCK_MONOTONIC */
__attribute__((visibility("hidden")))
uint64_t nffi_go_now(void);

#endif
