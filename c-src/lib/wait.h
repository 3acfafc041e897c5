/*
 * wait.h - how the threads of a runtime sleep: one of them leads and waits on
 * the eventfd for all, the others follow on condition variables. All of it
 * wants the queue's mutex, which is free while a thread sleeps.
 */

#ifndef NFFI_WAIT_H
#define NFFI_WAIT_H

#include <time.h>

#include "queue.h"

struct timespec nffi__time_after(int timeout_ms);
int nffi__ms_until(const struct timespec *until);

/* Empties the eventfd. */
void nffi__clear_eventfd(int fd);

/*
 * Looks for a while, without the mutex, whether there are notes, or tasks
 * where they are wanted; by the one thread that would sleep on the eventfd.
 */
bool nffi__spin(nffi_queue_t *queue, bool for_tasks);

/* Sleeps until there may be tasks, notes or the end; -1: for ever. */
void nffi__wait_for_tasks(nffi_queue_t *queue, int timeout_ms);

/* Sleeps until there may be notes; tasks are left to those who poll. */
void nffi__wait_for_credit(nffi_queue_t *queue, int timeout_ms);

/* Whoever goes away makes another lead; `end`: nothing will come any more, so
   all who poll are to see it. */
void nffi__pass_lead(nffi_queue_t *queue, bool end);

#endif /* NFFI_WAIT_H */
