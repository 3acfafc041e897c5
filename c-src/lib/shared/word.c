/*
 * word.c - see word.h.
 */

#define _GNU_SOURCE

#include "shared/word.h"

#include <linux/futex.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>


void
nffi__word_wait(_Atomic uint32_t *word, uint32_t value, int timeout_ms)
{
    struct timespec time = {
        .tv_sec = timeout_ms / 1000,
        .tv_nsec = (long) (timeout_ms % 1000) * 1000000L
    };

    (void) syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value,
                   timeout_ms < 0 ? NULL : &time, NULL, 0);
}


void
nffi__word_wake(_Atomic uint32_t *word)
{
    (void) syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}
