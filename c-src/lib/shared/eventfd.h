/*
 * eventfd.h - the counter with which one side of a queue wakes the other. It is
 * a non-blocking eventfd.
 *
 * thread: any; blocks: no
 */

#ifndef NFFI_EVENTFD_H
#define NFFI_EVENTFD_H

/* Wakes the thread that waits for the descriptor. */
void nffi__eventfd_signal(int fd);

/* Sets the counter back to 0. */
void nffi__eventfd_clear(int fd);

#endif /* NFFI_EVENTFD_H */
