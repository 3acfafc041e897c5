/*
 * nffi_spin.h - spinning for a while before sleeping: a sleep and a wake-up
 * cost several microseconds, and tens of them if another CPU has to be woken,
 * while a call in full flow takes one or two.
 *
 * Both sides of a queue do it, each with a separate spinner, which belongs to
 * one thread at a time. Between two polls the CPU is offered to others
 * (sched_yield), since the other side may need this very one. The spinner
 * learns how long the other side takes, and whether spinning pays:
 *
 * - a poll that finds something in time is a hit; it counts for more spinning.
 *   The limit is half as much again as the longest of the last waits that were
 *   hits, at least 20 us and at most the option `spin`;
 * - a wait that ends without is a miss. The next limit is longer, but a miss
 *   costs as many hits as it has lasted: four for 20 us, forty for 200 us. So a
 *   short limit needs four hits in five waits, and a long one is kept only
 *   where nearly every wait is a hit, as it is between calls that follow each
 *   other. Otherwise this side sleeps until the response;
 * - a wait that lasts far longer than its limit is late: the other side pauses,
 *   to collect garbage for instance, which sleeping would not change, or other
 *   programs took the CPU when it was offered, while a wake-up would have got
 *   it back immediately. If late waits take more than an eighth of the time,
 *   spinning pauses for a thousand waits, for twice as many if that continues,
 *   and so on;
 * - a poll that finds something after a yield in which another thread ran here
 *   is a hit only if that was one of the first yields. Otherwise the other side
 *   needed this CPU and did not get it, since Linux does not hand a CPU over
 *   between two sessions (autogroups) or control groups: the time before the
 *   yield was lost, and costs as a miss does.
 *
 * An occasional try, of the longest limit, finds out when it pays again.
 */

#ifndef NFFI_SPIN_H
#define NFFI_SPIN_H

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#define NFFI_SPIN_MAX_US 1000u
#define NFFI_SPIN_SHORT_NS 20000u     /* the first limit, and the shortest */
#define NFFI_SPIN_BEST 64
#define NFFI_SPIN_MISS 4              /* of the shortest limit */
#define NFFI_SPIN_LATE 4              /* times the limit */
#define NFFI_SPIN_MEMORY 16           /* hits */
#define NFFI_SPIN_RAN_NS 2000u        /* a yield in which another thread ran */
#define NFFI_SPIN_LOST_NS 5000u       /* before it; about a sleep's cost */
#define NFFI_SPIN_SHORT_REST 32u      /* waits */
#define NFFI_SPIN_LONG_REST 1024u
#define NFFI_SPIN_MAX_REST 65536u
#define NFFI_SPIN_SHARE 8             /* the share of the time that may be late:
                                         one in this number */

typedef struct nffi_spinner {
    uint64_t max_ns;          /* of all limits, 0: never spin */
    uint64_t limit_ns;        /* of the present wait */
    uint64_t longest_ns;      /* about the longest of the last hits */
    uint64_t until_ns;        /* of the present wait, 0: none */
    uint64_t seen_ns;         /* the last reading of the clock */
    uint64_t lost_ns;         /* of it, before another thread ran here */
    int32_t score;            /* spins while it is above 0 */
    uint32_t rest;            /* waits to skip before the next try */
    uint32_t skipped;         /* of them so far */
    uint64_t late_ns;         /* when a wait was late for the last time */
} nffi_spinner_t;

static inline uint64_t
nffi_spin_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);

    return (uint64_t) now.tv_sec * 1000000000u + (uint64_t) now.tv_nsec;
}

static inline void
nffi_spin_init(nffi_spinner_t *spinner, uint32_t max_us)
{
    if (max_us > NFFI_SPIN_MAX_US) {
        max_us = NFFI_SPIN_MAX_US;
    }

    spinner->max_ns = (uint64_t) max_us * 1000;
    spinner->limit_ns = 0;
    spinner->longest_ns = 0;
    spinner->until_ns = 0;
    spinner->seen_ns = 0;
    spinner->lost_ns = 0;
    spinner->score = NFFI_SPIN_MISS;
    spinner->rest = NFFI_SPIN_SHORT_REST;
    spinner->skipped = 0;
    spinner->late_ns = 0;
}

static inline uint64_t
nffi_spin_limit(const nffi_spinner_t *spinner)
{
    uint64_t limit = spinner->longest_ns + spinner->longest_ns / 2;

    if (limit < NFFI_SPIN_SHORT_NS) {
        limit = NFFI_SPIN_SHORT_NS;
    }

    return limit < spinner->max_ns ? limit : spinner->max_ns;
}

/*
 * There is nothing to do: may this wait begin with spinning? `briefly`: for the
 * shortest limit at most, since this thread has other things to wait for.
 */
static inline bool
nffi_spin_begin(nffi_spinner_t *spinner, bool briefly)
{
    if (spinner->max_ns == 0) {
        return false;
    }

    if (spinner->score > 0) {
        spinner->limit_ns = nffi_spin_limit(spinner);

    } else if (++spinner->skipped < spinner->rest) {
        return false;

    } else {
        spinner->limit_ns = spinner->max_ns;
    }

    if (briefly && spinner->limit_ns > NFFI_SPIN_SHORT_NS) {
        spinner->limit_ns = NFFI_SPIN_SHORT_NS;
    }

    spinner->skipped = 0;
    spinner->lost_ns = 0;
    spinner->seen_ns = nffi_spin_now();
    spinner->until_ns = spinner->seen_ns + spinner->limit_ns;

    return true;
}

/* A miss costs as many hits as it has lasted. */
static inline int32_t
nffi_spin_price(uint64_t ns)
{
    return (int32_t) (NFFI_SPIN_MISS * ns / NFFI_SPIN_SHORT_NS);
}

/* A wait did not pay. */
static inline void
nffi_spin_missed(nffi_spinner_t *spinner, int32_t price)
{
    if (spinner->score > 0) {
        spinner->score -= price;

    } else if (spinner->rest < NFFI_SPIN_LONG_REST) {
        spinner->rest *= 2;
    }
}

/* Ends the wait if it was late. */
static inline bool
nffi_spin_was_late(nffi_spinner_t *spinner, uint64_t now)
{
    uint64_t since, lost;

    if (now < spinner->until_ns + (NFFI_SPIN_LATE - 1) * spinner->limit_ns) {
        return false;
    }

    since = now - spinner->late_ns;
    lost = now - spinner->until_ns;
    spinner->late_ns = now;
    spinner->until_ns = 0;

    if (lost < since / NFFI_SPIN_SHARE) {
        spinner->score -= NFFI_SPIN_MISS;

        if (spinner->rest > NFFI_SPIN_SHORT_REST) {
            spinner->rest /= 2;
        }

        return true;
    }

    spinner->score = 0;

    if (spinner->rest < NFFI_SPIN_LONG_REST) {
        spinner->rest = NFFI_SPIN_LONG_REST;

    } else if (spinner->rest < NFFI_SPIN_MAX_REST) {
        spinner->rest *= 2;
    }

    return true;
}

static inline void
nffi_spin_found_at(nffi_spinner_t *spinner, uint64_t now)
{
    uint64_t waited;

    if (nffi_spin_was_late(spinner, now)) {
        return;
    }

    waited = now + spinner->limit_ns - spinner->until_ns;
    spinner->until_ns = 0;

    if (spinner->lost_ns > NFFI_SPIN_LOST_NS) {
        nffi_spin_missed(spinner, nffi_spin_price(spinner->lost_ns));
        return;
    }

    if (spinner->score <= 0 || waited > spinner->longest_ns) {
        spinner->longest_ns = waited;

    } else {
        spinner->longest_ns -= (spinner->longest_ns - waited)
                               / NFFI_SPIN_MEMORY;
    }

    if (spinner->score < NFFI_SPIN_BEST) {
        spinner->score = spinner->score < 0 ? 1 : spinner->score + 1;
    }
}

/* Something was found by the first look after a reading of the clock. */
static inline void
nffi_spin_found(nffi_spinner_t *spinner)
{
    nffi_spin_found_at(spinner, spinner->seen_ns);
}

static inline bool
nffi_spin_again_at(nffi_spinner_t *spinner, uint64_t now)
{
    int32_t price;

    if (now < spinner->until_ns) {
        return true;
    }

    if (nffi_spin_was_late(spinner, now)) {
        return false;
    }

    spinner->until_ns = 0;

    if (spinner->score > 0 && spinner->longest_ns < spinner->limit_ns) {
        spinner->longest_ns = spinner->limit_ns;
    }

    price = nffi_spin_price(spinner->limit_ns);
    nffi_spin_missed(spinner, price > NFFI_SPIN_MISS ? price : NFFI_SPIN_MISS);

    return false;
}

/* The CPU was offered to others from `before` to `after`. */
static inline void
nffi_spin_yielded_at(nffi_spinner_t *spinner, uint64_t before, uint64_t after)
{
    spinner->lost_ns = after - before >= NFFI_SPIN_RAN_NS
                       ? before + spinner->limit_ns - spinner->until_ns : 0;
}

/*
 * Nothing was found: offers the CPU to others and returns true while it is
 * worth looking again. False: the time is over, go to sleep. The caller has
 * done nothing but look since the last reading of the clock, which takes as
 * long as a look.
 */
static inline bool
nffi_spin_look_again(nffi_spinner_t *spinner)
{
    uint64_t before = spinner->seen_ns;

    if (!nffi_spin_again_at(spinner, before)) {
        return false;
    }

    sched_yield();
    spinner->seen_ns = nffi_spin_now();
    nffi_spin_yielded_at(spinner, before, spinner->seen_ns);

    return true;
}

/* The same for a caller that has done other things in between. */
static inline bool
nffi_spin_again(nffi_spinner_t *spinner)
{
    spinner->seen_ns = nffi_spin_now();

    return nffi_spin_look_again(spinner);
}

#endif /* NFFI_SPIN_H */
