/*
 * calls.h - the running calls of the event loop. thread: the event loop;
 * blocks: no
 */

#ifndef CALLS_H
#define CALLS_H

#include <nffi.h>

#include <stdint.h>
#include <sys/queue.h>

typedef struct call call_t;

typedef struct {
    TAILQ_HEAD(call_list, call) timed;    /* by the time that each waits for */
    struct call_list blocked;             /* streams whose reader is slower */
} calls_t;

void calls_init(calls_t *calls);
int calls_none(const calls_t *calls);

/* Responds to a request, or starts the wait of its response. */
void calls_begin(calls_t *calls, const nffi_request_t *request);

/* Does what is due. */
void calls_fire(calls_t *calls);

/* When something is due, in ns of CLOCK_MONOTONIC; 0: never. */
uint64_t calls_due(const calls_t *calls);

/* The task was cancelled; its stream has credit again. */
void calls_cancelled(calls_t *calls, nffi_task_t task);
void calls_writable(calls_t *calls, nffi_task_t task);

#endif /* CALLS_H */
