/*
 * nffi_backoff.h - when a process that ended is restarted, and whether the log
 * says so. It has no clock: times are the caller's, in milliseconds, and may
 * wrap.
 */

#ifndef NFFI_BACKOFF_H
#define NFFI_BACKOFF_H

#include <stdbool.h>
#include <stdint.h>

#define NFFI_BACKOFF_FIRST_MS 100
#define NFFI_BACKOFF_LAST_MS 30000
#define NFFI_BACKOFF_STEADY_MS 60000  /* after this time, as if for the first
                                         time */
#define NFFI_BACKOFF_LINE_MS 60000    /* between two lines of one step */

typedef struct nffi_backoff {
    uint32_t delay_ms;        /* before the next start */
    uint32_t reported_delay;  /* the last one in the log */
    uint64_t reported_ms;     /* when that was */
} nffi_backoff_t;

static inline void
nffi_backoff_init(nffi_backoff_t *backoff)
{
    backoff->delay_ms = NFFI_BACKOFF_FIRST_MS;
    backoff->reported_delay = 0;
    backoff->reported_ms = 0;
}

/* A process that was started at `started_ms` has ended, or could not be
   started. */
static inline void
nffi_backoff_died(nffi_backoff_t *backoff, uint64_t started_ms, uint64_t now_ms)
{
    if (now_ms - started_ms >= NFFI_BACKOFF_STEADY_MS) {
        nffi_backoff_init(backoff);
    }
}

/* Whether this death is worth a line: each step of the back-off has one, the
   last one has more. Asked once for each death. */
static inline bool
nffi_backoff_is_reported(nffi_backoff_t *backoff, uint64_t now_ms)
{
    if (backoff->delay_ms == backoff->reported_delay
        && now_ms - backoff->reported_ms < NFFI_BACKOFF_LINE_MS)
    {
        return false;
    }

    backoff->reported_delay = backoff->delay_ms;
    backoff->reported_ms = now_ms;

    return true;
}

/* Returns the time until the start, and doubles the next one. */
static inline uint32_t
nffi_backoff_next(nffi_backoff_t *backoff)
{
    uint32_t delay_ms = backoff->delay_ms;

    backoff->delay_ms = delay_ms >= NFFI_BACKOFF_LAST_MS / 2
                        ? NFFI_BACKOFF_LAST_MS : delay_ms * 2;

    return delay_ms;
}

#endif /* NFFI_BACKOFF_H */
