/*
 * histogram.c - see histogram.h.
 */

#include "host/histogram.h"


/* A bucket is a power of two, so that finding it is one instruction. */
void
nffi__observe(nffi_host_histogram_t *histogram, uint64_t ns)
{
    unsigned bucket = 0;

    if (ns > NFFI_HOST_FIRST_BUCKET_NS) {
        /* the least power that is not below */
        bucket = 64 - (unsigned) __builtin_clzll(ns - 1)
                 - NFFI_HOST_FIRST_BUCKET;
    }

    if (bucket >= NFFI_HOST_BUCKETS) {
        bucket = NFFI_HOST_BUCKETS - 1;
    }

    histogram->buckets[bucket]++;
    histogram->count++;
    histogram->sum_ns += ns;
}
