/*
 * receive.c - see receive.h.
 */

#define _GNU_SOURCE

#include "host/receive.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define NOT_SENT (-2)


int
nffi__host_keep(nffi_host_t *host, const nffi__message_t *message, int fd)
{
    uint64_t max = NFFI__MAX_KEPT
                   + (uint64_t) host->unanswered * (NFFI__CHUNKS + 1);
    nffi__received_t *received, **link;

    received = host->kept < max ? malloc(sizeof(*received)) : NULL;
    if (received == NULL) {
        if (fd != -1) {
            close(fd);
        }

        return NFFI_NO_MEMORY;
    }

    received->next = NULL;
    received->fd = fd;
    memcpy(&received->message, message,
           NFFI__MESSAGE_HEAD + message->text_size);

    for (link = &host->received; *link != NULL; link = &(*link)->next) {
        /* to the end */
    }

    *link = received;
    host->kept++;

    return NFFI_OK;
}


int
nffi__host_unkeep(nffi_host_t *host, nffi__received_t **link)
{
    nffi__received_t *received = *link;
    int fd = received->fd;

    *link = received->next;
    free(received);
    host->kept--;

    return fd;
}


/* The event of the control socket for this message is used up, or did not read
   as far. */
static void
report_message(nffi_host_t *host)
{
    if (host->message != NULL) {
        host->message(host->message_data);
    }
}


/* A message that was kept is no longer needed. */
static int
take_kept(nffi_host_t *host, nffi__received_t **link)
{
    int fd = nffi__host_unkeep(host, link);

    if (host->paused && host->kept < NFFI__PAUSE_KEPT) {
        host->paused = false;
        report_message(host);
    }

    return fd;
}


/* Looks for the memfd of a response: sent before the response was published,
   so it is in the socket, or was read from it earlier. -1: the message came
   without it, which is no lie: the kernel drops it when this process has no
   descriptor free. */
static int
find_payload(nffi_host_t *host, uint32_t index)
{
    int rc, fd;
    uint64_t task;
    nffi__message_t message;
    nffi__received_t **link;

    task = (uint64_t) host->entries[index].generation << 32 | index;

    for ( ;; ) {
        for (link = &host->received; *link != NULL; link = &(*link)->next) {
            if ((*link)->message.type == NFFI__MESSAGE_PAYLOAD
                && (*link)->message.task == task)
            {
                return take_kept(host, link);
            }
        }

        rc = nffi__control_receive(host->control_fd, &message, &fd);
        if (rc != 1) {
            return NOT_SENT;
        }

        if (nffi__host_keep(host, &message, fd) != NFFI_OK) {
            return NOT_SENT;
        }

        if (message.type != NFFI__MESSAGE_PAYLOAD) {
            report_message(host);
        }
    }
}


static int
receive_memfd(nffi_host_t *host, uint32_t slot, size_t size, void **mapping)
{
    int fd = find_payload(host, slot);

    if (fd < 0) {
        return fd == NOT_SENT ? NFFI_PROTOCOL : NFFI_NO_MEMORY;
    }

    return nffi__memfd_map(fd, size, mapping);
}


int
nffi__host_locate(nffi_host_t *host, uint32_t slot,
    const nffi__claim_t *where, nffi_host_response_t *response)
{
    int rc;
    void *mapping;

    response->data = NULL;
    response->size = where->size;
    response->storage = NFFI__NOWHERE;

    switch (where->storage) {

    case NFFI__NOWHERE:
        return where->size == 0 ? NFFI_OK : NFFI_PROTOCOL;

    case NFFI__EMPTY:
        response->data = "";
        return where->size == 0 ? NFFI_OK : NFFI_PROTOCOL;

    case NFFI__IN_ARENA:
        if (!nffi__host_may_read(host, where->offset, where->size)
            && nffi__host_reach(host, where->offset, where->size) != NFFI_OK)
        {
            return NFFI_PROTOCOL;
        }

        response->offset = (uint32_t) where->offset;
        response->data = host->region.response_arena + where->offset;
        break;

    case NFFI__IN_HEAP:
        if (host->process) {
            return NFFI_PROTOCOL;
        }

        response->data = (void *) (uintptr_t) where->offset;
        response->free = (void (*)(void *)) (uintptr_t) where->release;
        break;

    case NFFI__IN_MEMFD:
        if (!host->process) {
            return NFFI_PROTOCOL;
        }

        rc = receive_memfd(host, slot, where->size, &mapping);
        if (rc != NFFI_OK) {
            return rc;
        }

        response->data = mapping;
        break;

    default:
        return NFFI_PROTOCOL;
    }

    response->storage = (uint8_t) where->storage;

    return NFFI_OK;
}


void
nffi__host_free_block(nffi_host_t *host, uint32_t offset)
{
    uint32_t at;
    nffi__ring_t *ring = &host->region.header->frees_ring;

    /* the runtime bounds its blocks by the ring, so a full one is a lie */
    if (nffi__ring_full(ring, host->region.frees_count)) {
        host->broken = true;
        return;
    }

    at = nffi__ring_next(ring, host->region.frees_count);
    host->region.frees[at] = offset;
    nffi__ring_publish(ring, 1);
}


void
nffi__host_free_bytes(nffi_host_t *host, uint8_t storage, uint32_t offset,
    void *data, size_t size, void (*release)(void *data))
{
    switch (storage) {

    case NFFI__IN_ARENA:
        nffi__host_free_block(host, offset);
        break;

    case NFFI__IN_HEAP:
        release(data);
        break;

    case NFFI__IN_MEMFD:
        munmap(data, size);
        break;
    }
}


int
nffi_host_log(nffi_host_t *host, nffi_host_log_t *log)
{
    uint64_t task;
    uint32_t waiting, offset, at, index;
    nffi__entry_t *entry;
    volatile nffi__log_t *from;
    nffi__ring_t *ring = &host->region.header->logs_ring;

    waiting = host->broken ? 0 : nffi__ring_waiting(ring);

    if (waiting == 0) {
        return host->broken ? NFFI_PROTOCOL : 0;
    }

    at = nffi__ring_first(ring, NFFI__LOGS);
    from = &host->region.logs[at];
    task = from->task;
    offset = from->offset;
    log->size = from->size;
    log->level = from->level;
    index = (uint32_t) task;

    if (waiting > NFFI__LOGS || log->size > sizeof(log->text)
        || nffi__host_reach(host, offset, log->size) != NFFI_OK
        || index >= host->region.max_tasks)
    {
        host->broken = true;
        return NFFI_PROTOCOL;
    }

    memcpy(log->text, host->region.response_arena + offset, log->size);
    nffi__ring_consume(ring, 1);
    nffi__host_free_block(host, offset);

    entry = &host->entries[index];
    log->owner = entry->state == NFFI__ENTRY_OPEN
                 && entry->generation == (uint32_t) (task >> 32)
                 ? entry->owner : NULL;

    return 1;
}


uint32_t
nffi_host_logs_dropped(nffi_host_t *host)
{
    _Atomic uint32_t *dropped = &host->region.header->logs_dropped;

    return atomic_load_explicit(dropped, memory_order_relaxed) == 0
           ? 0 : atomic_exchange_explicit(dropped, 0, memory_order_relaxed);
}
