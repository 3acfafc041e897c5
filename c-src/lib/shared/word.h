/*
 * word.h - sleeping on a word of memory (futex): one system call to sleep and
 * one to wake, where an eventfd needs three. Between threads of one process
 * only. docs/decisions/0002 explains where it is used.
 */

#ifndef NFFI_WORD_H
#define NFFI_WORD_H

#include <stdatomic.h>
#include <stdint.h>

/*
 * Sleeps until nffi__word_wake(); -1: no time limit. Returns immediately if the
 * word has another value: the kernel compares it under the lock with which it
 * wakes, so a waker that changes the word first loses no sleeper. May also
 * return for no reason (a signal): look again.
 * thread: one at a time; blocks: up to timeout_ms
 */
void nffi__word_wait(_Atomic uint32_t *word, uint32_t value, int timeout_ms);

/* Wakes the thread that sleeps. The caller has changed the word.
   thread: any; blocks: no */
void nffi__word_wake(_Atomic uint32_t *word);

#endif /* NFFI_WORD_H */
