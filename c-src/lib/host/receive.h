/*
 * receive.h - the host's side of a queue: the bytes that a runtime has sent.
 */

#ifndef NFFI_RECEIVE_H
#define NFFI_RECEIVE_H

#include "host/host.h"

/* Where the runtime says that they lie; loaded once. */
typedef struct nffi__claim {
    uint32_t storage;
    uint64_t offset;
    uint64_t size;
    uint64_t release;
} nffi__claim_t;

/*
 * Checks a claim and fills in the bytes of a response of this slot, and
 * what frees them. NFFI_PROTOCOL; NFFI_NO_MEMORY: they came, but there is no
 * room to look at them.
 */
int nffi__host_locate(nffi_host_t *host, uint32_t slot,
    const nffi__claim_t *where, nffi_host_response_t *response);

void nffi__host_free_bytes(nffi_host_t *host, uint8_t storage, uint32_t offset,
    void *data, size_t size, void (*release)(void *data));

/* Keeps a message for nffi_host_process_event or for a response. */
int nffi__host_keep(nffi_host_t *host, const nffi__message_t *message, int fd);

/* Unlinks a message from where `link` points and frees it; the descriptor
   that came with it, or -1, is the caller's. */
int nffi__host_unkeep(nffi_host_t *host, nffi__received_t **link);

#endif /* NFFI_RECEIVE_H */
