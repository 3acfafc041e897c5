/*
 * wait.c - one crossing from Go for a batch of tasks and notes.
 */

#include "wait.h"

#include <poll.h>
#include <time.h>


uint64_t
nffi_go_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);

    return (uint64_t) now.tv_sec * 1000000000 + (uint64_t) now.tv_nsec;
}


void
nffi_go_notes(nffi_queue_t *queue, nffi_task_t *cancelled,
    nffi_task_t *writable, size_t max_notes, nffi_go_notes_t *noted)
{
    int n;

    n = nffi_queue_cancelled(queue, cancelled, max_notes);
    noted->cancelled = n > 0 ? (size_t) n : 0;
    n = nffi_stream_writable(queue, writable, max_notes);
    noted->writable = n > 0 ? (size_t) n : 0;
}


int
nffi_go_wait(nffi_queue_t *queue, nffi_request_t *requests, size_t max,
    nffi_task_t *cancelled, nffi_task_t *writable, size_t max_notes,
    int timeout_ms, nffi_go_notes_t *noted)
{
    int n;
    struct pollfd pollfd;
    uint64_t now, until = 0;

    if (timeout_ms > 0) {
        until = nffi_go_now() + (uint64_t) timeout_ms * 1000000;
    }

    for ( ;; ) {
        n = nffi_queue_poll(queue, requests, max, 0);

        if (n == NFFI_CLOSED) {
            (void) nffi_queue_release_fd(queue);
        }

        nffi_go_notes(queue, cancelled, writable, max_notes, noted);

        if (n != 0 || noted->cancelled > 0 || noted->writable > 0
            || timeout_ms == 0)
        {
            return n;
        }

        if (nffi_queue_arm(queue) != 0) {
            continue;
        }

        pollfd.fd = nffi_queue_fd(queue);
        pollfd.events = POLLIN;
        (void) poll(&pollfd, 1, timeout_ms);

        if (timeout_ms > 0) {
            now = nffi_go_now();
            timeout_ms = now < until ? (int) ((until - now + 999999) / 1000000)
                                     : 0;
        }
    }
}
