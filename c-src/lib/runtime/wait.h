/*
 * wait.h - how the threads of a runtime sleep: one of them leads and waits for
 * all, on the word of the header or in a process on the eventfd. The others
 * follow, each on a condition variable. The caller holds the queue's mutex,
 * which is free while a thread sleeps or spins.
 */

#ifndef NFFI_WAIT_H
#define NFFI_WAIT_H

#include <time.h>

#include "runtime/queue.h"

struct timespec nffi__time_after(int timeout_ms);
int nffi__ms_until(const struct timespec *until);

/*
 * Looks for tasks and notes for some microseconds. For the thread that arms;
 * without the mutex. `briefly`: at most as long as the shortest limit.
 */
void nffi__spin_to_arm(nffi_queue_t *queue, bool briefly);

/* Sleeps until there may be tasks, notes or the end; -1: no time limit. */
void nffi__wait_for_tasks(nffi_queue_t *queue, int timeout_ms);

/* Sleeps until the stream in this slot may have credit, or has ended. */
void nffi__wait_for_credit(nffi_queue_t *queue, uint32_t slot,
    int timeout_ms);

/* Makes another thread lead, if none does. Every thread that leaves
   nffi_queue_poll or nffi_stream_wait calls it: so the end reaches one poller
   after the other. */
void nffi__pass_lead(nffi_queue_t *queue);

/* Wakes the threads that wait for credit of this slot, except the leader. */
void nffi__wake_writers(nffi_queue_t *queue, uint32_t slot);

/* Makes the leader look again for something that the host does not signal. */
void nffi__nudge_leader(nffi_queue_t *queue);

/* Makes every thread look again. */
void nffi__look_again(nffi_queue_t *queue);

/* The host violated the protocol: every thread that waits returns. */
void nffi__break(nffi_queue_t *queue);

#endif /* NFFI_WAIT_H */
