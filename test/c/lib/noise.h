/*
 * noise.h - writes at random over all words of a queue's shared memory but
 * the payloads, as a peer would that has lost its mind.
 */

#ifndef NOISE_H
#define NOISE_H

#include "process.h"
#include "random.h"
#include "shared/region.h"

#define NOISE_MS 100

static uint32_t noise_state = 99;

static inline uint32_t
noise_below(uint32_t n)
{
    return random_below(&noise_state, n);
}


static inline void
scribble(const nffi__region_t *region, int ms)
{
    int i;
    long long end = now_ms() + ms;
    size_t words = (region->request_arena
                    - (unsigned char *) region->header) / sizeof(uint32_t);
    size_t first = offsetof(nffi__header_t, tasks_ring) / sizeof(uint32_t);
    volatile uint32_t *word = (volatile uint32_t *) region->header;

    while (now_ms() < end) {
        for (i = 0; i < 100; i++) {
            word[first + noise_below((uint32_t) (words - first))]
                = noise_below(2) ? noise_below(20)
                                 : noise_below(UINT32_MAX);
        }
    }
}

#endif /* NOISE_H */
