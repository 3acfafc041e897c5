/*
 * times.h - the clock of calls.
 *
 * The host stamps a task when it is queued, the runtime when it is taken and
 * when it is answered; both read CLOCK_MONOTONIC, which is the same in all
 * processes of a machine. A read costs some 20 ns, so one serves a batch.
 */

#ifndef NFFI_TIMES_H
#define NFFI_TIMES_H

#include <stdint.h>
#include <time.h>

static inline uint64_t
nffi__now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);

    return (uint64_t) now.tv_sec * 1000000000 + (uint64_t) now.tv_nsec;
}

#endif /* NFFI_TIMES_H */
