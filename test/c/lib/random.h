/* random.h - numbers that look random, the same in each run. */

#ifndef RANDOM_H
#define RANDOM_H

#include <stdint.h>


/* A number from 0 to n - 1; each thread has its state. */
static inline uint32_t
random_below(uint32_t *state, uint32_t n)
{
    *state = *state * 1664525u + 1013904223u;

    return (uint32_t) (((uint64_t) *state * n) >> 32);
}


/* Spins up to `brief` times, and once in `odds` up to `longer` times. */
static inline void
random_pause(uint32_t *state, uint32_t odds, uint32_t brief, uint32_t longer)
{
    volatile uint32_t i, n;

    n = random_below(state, random_below(state, odds) == 0 ? longer : brief);

    for (i = 0; i < n; i++) {
        /* spin */
    }
}

#endif /* RANDOM_H */
