/*
 * host.h - the worker's side of a queue of libnffi, for queue.c and node.c.
 */

#ifndef NFFI_BENCH_HOST_H
#define NFFI_BENCH_HOST_H

#include <nffi.h>
#include <host/nffi_host.h>

/* Makes the queue; its arenas are as large as 256 payloads need, since the
   other rivals have all of the heap. */
nffi_host_t *bench_host_open(nffi_host_options_t options, size_t size);

void bench_host_submit(int call);

/* `fd` becomes readable when responses wait and the host has parked. */
int bench_host_collect(int fd, int *calls, int max);

void bench_host_close(void);

#endif /* NFFI_BENCH_HOST_H */
