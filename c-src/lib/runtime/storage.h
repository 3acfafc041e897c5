/*
 * storage.h - the memory of the responses of a runtime. All functions require
 * the queue's mutex.
 */

#ifndef NFFI_STORAGE_H
#define NFFI_STORAGE_H

#include "runtime/queue.h"

/* From this size on a copy takes longer than the mutex. */
#define NFFI__COPY_UNLOCKED 32768

/* Where the bytes of a response or of a chunk are. */
typedef struct nffi__location {
    uint64_t offset;
    uint64_t size;
    uint64_t release;
    enum nffi__storage kind;
} nffi__location_t;

/* A block of the response arena; false: there is none. */
bool nffi__alloc_block(nffi_queue_t *queue, size_t size, uint32_t *offset);

/* Frees pages of the arena if the worker has asked for it. */
void nffi__follow_trim(nffi_queue_t *queue);

/* Makes room for `size` bytes, in `large` when the arena has none; NULL when
   there is none at all, or `large` is in use. */
void *nffi__alloc_storage(nffi_queue_t *queue, nffi__memfd_t *large,
    size_t size, nffi__location_t *location);

/* Passes `large` on with the response, or the chunk, of a task (generation and
   slot). */
int nffi__hand_over_large(nffi_queue_t *queue, nffi__memfd_t *large,
    uint64_t task, nffi__location_t *location);

/* Around a copy that takes longer than the mutex: the queue stays in use. */
void nffi__unlock_to_copy(nffi_queue_t *queue);
void nffi__lock_after_copy(nffi_queue_t *queue);

/*
 * Copies the bytes of a response, or a chunk, of a task (as above) to where the
 * worker reads them; `parts` are used up. 0, NFFI_NO_MEMORY, or a code of the
 * control socket. Frees the mutex while it copies many bytes: the caller has
 * claimed the task, or the chunk, before.
 */
int nffi__store(nffi_queue_t *queue, uint64_t task, struct iovec *parts,
    int count, nffi__location_t *location);

#endif /* NFFI_STORAGE_H */
