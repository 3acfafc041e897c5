/*
 * histogram.h - the histograms of nffi_host_times_t.
 *
 * thread: event loop; blocks: no
 */

#ifndef NFFI_HISTOGRAM_H
#define NFFI_HISTOGRAM_H

#include "host/nffi_host.h"

/* Adds one duration to a histogram. */
void nffi__observe(nffi_host_histogram_t *histogram, uint64_t ns);

#endif /* NFFI_HISTOGRAM_H */
