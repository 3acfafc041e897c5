/*
 * drain.c - the host's side of a queue: responses are taken out.
 *
 * What the host knows of a task lies in its own memory (nffi__entry_t); of the
 * shared slot it believes only what it has checked.
 */

#define _GNU_SOURCE

#include "host.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>


#define NOT_SENT (-2)


/* Looks for the memfd of a response: sent before the response was published,
   so it is in the socket, or was read from it earlier. -1: the message came
   without it, which is no lie: the kernel drops it when this process has no
   descriptor free. */
static int
find_payload(nffi_host_t *host, nffi__entry_t *entry, uint32_t number)
{
    int rc, fd;
    uint64_t task;
    nffi__message_t message;
    nffi__received_t **link;

    task = (uint64_t) entry->generation << 32 | number;

    for ( ;; ) {
        for (link = &host->received; *link != NULL; link = &(*link)->next) {
            if ((*link)->message.type == NFFI__MESSAGE_PAYLOAD
                && (*link)->message.task == task)
            {
                return nffi__host_unkeep(host, link);
            }
        }

        rc = nffi__control_receive(host->control_fd, &message, &fd);
        if (rc != 1) {
            return NOT_SENT;
        }

        if (nffi__host_keep(host, &message, fd) != NFFI_OK) {
            return NOT_SENT;
        }
    }
}


/* Checks where a response lies and finds its bytes. NFFI_NO_MEMORY: they came,
   but there is no room to look at them. */
static int
locate_response(nffi_host_t *host, nffi__entry_t *entry, uint32_t number,
    nffi_host_response_t *response)
{
    int fd, rc;
    void *mapping;
    uint64_t offset;
    volatile nffi__slot_t *slot = &host->region.slots[number];

    offset = slot->response_offset;
    response->data = NULL;
    response->size = slot->response_size;
    entry->response_place = NFFI__NOWHERE;

    switch (slot->response_place) {

    case NFFI__NOWHERE:
        return response->size == 0 ? NFFI_OK : NFFI_PROTOCOL;

    case NFFI__IN_ARENA:
        if (response->size > host->region.response_arena_size
            || offset > host->region.response_arena_size - response->size)
        {
            return NFFI_PROTOCOL;
        }

        entry->response_place = NFFI__IN_ARENA;
        entry->response_offset = (uint32_t) offset;
        response->data = host->region.response_arena + offset;
        return NFFI_OK;

    case NFFI__IN_HEAP:
        if (host->process) {
            return NFFI_PROTOCOL;
        }

        entry->response_place = NFFI__IN_HEAP;
        entry->response = (void *) (uintptr_t) offset;
        entry->release = (void (*)(void *)) (uintptr_t) slot->response_release;
        response->data = entry->response;
        return NFFI_OK;

    case NFFI__IN_MEMFD:
        if (!host->process) {
            return NFFI_PROTOCOL;
        }

        fd = find_payload(host, entry, number);
        if (fd < 0) {
            return fd == NOT_SENT ? NFFI_PROTOCOL : NFFI_NO_MEMORY;
        }

        rc = nffi__memfd_map(fd, response->size, &mapping);
        if (rc != NFFI_OK) {
            return rc;
        }

        entry->response_place = NFFI__IN_MEMFD;
        entry->response = mapping;
        entry->size = response->size;
        response->data = mapping;
        return NFFI_OK;

    default:
        return NFFI_PROTOCOL;
    }
}


/* What the owner gets for an answer that the host has no room for: the runtime
   is not to blame, and its other calls go on. */
static void
give_no_room(nffi_host_response_t *response)
{
    static const char text[] = "the worker has no descriptor, or no memory, "
                               "free for the response";

    response->data = text;
    response->size = sizeof(text) - 1;
    response->message_size = response->size;
    response->flags = NFFI_HOST_ERROR;
}


/* Reads one entry of the done ring into `response`. */
static int
read_response(nffi_host_t *host, uint64_t done, nffi_host_response_t *response)
{
    int rc;
    uint16_t outcome;
    uint32_t number = (uint32_t) done;
    volatile nffi__slot_t *slot;
    nffi__entry_t *entry;

    if (number >= host->region.max_tasks) {
        return NFFI_PROTOCOL;
    }

    entry = &host->entries[number];
    slot = &host->region.slots[number];

    if (entry->state != NFFI__ENTRY_OPEN
        || entry->generation != (uint32_t) (done >> 32))
    {
        return NFFI_PROTOCOL;
    }

    outcome = slot->outcome;
    nffi__host_free_request(host, entry);
    memset(response, 0, sizeof(*response));
    response->slot = number;
    response->owner = entry->owner;

    if (outcome == NFFI__ANSWERED || outcome == NFFI__FAILED) {
        rc = locate_response(host, entry, number, response);
        if (rc != NFFI_OK && rc != NFFI_NO_MEMORY) {
            return rc;
        }

        response->rc = slot->rc;

        if (rc == NFFI_NO_MEMORY) {
            give_no_room(response);

        } else if (outcome == NFFI__FAILED) {
            response->flags = NFFI_HOST_ERROR;
            response->message_size = slot->message_size;
            if (response->message_size > response->size) {
                response->message_size = response->size;
            }
        }

    } else if (outcome != NFFI__SKIPPED || entry->owner != NULL) {
        return NFFI_PROTOCOL;
    }

    host->unanswered--;
    host->awaited -= entry->owner != NULL;
    entry->owner = NULL;
    entry->state = NFFI__ENTRY_ANSWERED;

    return NFFI_OK;
}


int
nffi_host_drain(nffi_host_t *host, nffi_host_response_t *responses, size_t max)
{
    int rc;
    size_t filled;
    uint32_t waiting, looked, capacity;
    nffi__ring_t *ring = &host->region.header->done_ring;

    if (host->broken) {
        return NFFI_PROTOCOL;
    }

    rc = NFFI_OK;
    filled = 0;
    capacity = host->region.max_tasks;
    waiting = nffi__ring_waiting(ring);

    if (waiting > capacity) {
        host->broken = true;
        return NFFI_PROTOCOL;
    }

    for (looked = 0; looked < waiting && filled < max; looked++) {
        rc = read_response(host,
            host->region.done[(nffi__ring_first(ring, capacity) + looked)
                              & (capacity - 1)],
            &responses[filled]);

        if (rc != NFFI_OK) {
            host->broken = true;
            break;
        }

        if (responses[filled].owner == NULL) {
            nffi_host_release(host, &responses[filled]);

        } else {
            filled++;
        }
    }

    if (looked > 0) {
        nffi__ring_consume(ring, looked);
    }

    return filled > 0 ? (int) filled : rc;
}


void
nffi_host_release(nffi_host_t *host, nffi_host_response_t *response)
{
    uint32_t at;
    nffi__ring_t *ring = &host->region.header->frees_ring;
    nffi__entry_t *entry = &host->entries[response->slot];

    switch (entry->response_place) {

    case NFFI__IN_ARENA:
        /* the runtime bounds its blocks by the ring, so a full one is a lie */
        if (nffi__ring_full(ring, host->region.frees_count)) {
            host->broken = true;
            break;
        }

        at = nffi__ring_next(ring, host->region.frees_count);
        host->region.frees[at] = entry->response_offset;
        nffi__ring_publish(ring, 1);
        break;

    case NFFI__IN_HEAP:
        entry->release(entry->response);
        break;

    case NFFI__IN_MEMFD:
        munmap(entry->response, entry->size);
        entry->size = 0;
        break;
    }

    entry->response_place = NFFI__NOWHERE;
    entry->state = NFFI__ENTRY_FREE;
    host->free_slots[host->free_count++] = response->slot;
    response->data = NULL;
}


int
nffi_host_park(nffi_host_t *host)
{
    nffi__header_t *header = host->region.header;

    nffi__announce_parked(&header->host_parked);

    if (nffi__ring_waiting(&header->done_ring) == 0) {
        return 0;
    }

    nffi__revoke_parked(&header->host_parked);

    return 1;
}
