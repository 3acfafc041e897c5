/*
 * compat.h - what libraries of the public ABIs get as their queue.
 */

#ifndef NFFI_COMPAT_H
#define NFFI_COMPAT_H

#include "runtime/queue.h"

/*
 * The queue's handle for a public library, with the length of its
 * configuration. `endless`: for a library of 2022-09, whose thread polls for
 * as long as the process lives. It is not an address.
 */
void *nffi__public_queue(const nffi_queue_t *queue, uint32_t length,
    int endless);

#endif /* NFFI_COMPAT_H */
