/*
 * collect.c - the worker's side of a queue: collects responses and chunks of
 * streams. receive.c finds their bytes.
 *
 * The worker's state of a task is in private memory (nffi__entry_t); of the
 * shared slot it uses only values that it has checked.
 */

#define _GNU_SOURCE

#include "host/host.h"
#include "host/receive.h"
#include "host/histogram.h"
#include "shared/times.h"

#include <stdlib.h>
#include <string.h>

/* of a step, beside the negative codes */
#define NOTHING 0
#define FILLED 1


/* Whether a kind of misuse was counted that the glue has not logged. */
static bool
has_misuse(nffi_host_t *host)
{
    int i;

    for (i = 0; i < NFFI__MISUSES; i++) {
        if (host->misused[i] == 0 && nffi__host_misused(host, i) != 0) {
            return true;
        }
    }

    return false;
}


/* A response is released by its slot, even if it was not delivered. */
static void
keep_location(nffi__entry_t *entry, const nffi_host_response_t *response)
{
    entry->response_storage = response->storage;
    entry->response_offset = response->offset;
    entry->response = (void *) response->data;
    entry->release = response->free;
    entry->size = response->size;
}


/* An error whose message is the host's. */
static void
give_text(nffi_host_response_t *response, const char *text)
{
    response->data = text;
    response->size = strlen(text);
    response->message_size = response->size;
    response->flags = NFFI_HOST_ERROR;
}


/* The owner's result for a response that the host has no room for: the runtime
   is not to blame, and its other calls go on. */
static void
give_no_room(nffi_host_response_t *response)
{
    give_text(response, "the worker has no descriptor, or no memory, free for "
                        "the response");
}


/*
 * What the runtime says of its times counts only where it can be true: taken
 * after it was queued, answered after that and not in the future. The clock is
 * read again only for a response that is newer than the last reading.
 */
static void
measure(nffi_host_t *host, const nffi__entry_t *entry,
    const volatile nffi__slot_t *slot)
{
    uint64_t taken = slot->taken_ns, answered = slot->answered_ns;

    if (entry->submitted_ns == 0) {
        return;
    }

    if (answered > host->now_ns) {
        host->now_ns = nffi__now();
    }

    if (entry->submitted_ns <= taken && taken <= answered
        && answered <= host->now_ns)
    {
        nffi__observe(&host->times->wait, taken - entry->submitted_ns);
        nffi__observe(&host->times->run, answered - taken);
    }
}


/* The response of a task, or the end of its stream. */
static int
read_response(nffi_host_t *host, uint32_t index,
    nffi_host_response_t *response)
{
    int rc;
    uint16_t kind;
    nffi__claim_t where;
    volatile nffi__slot_t *slot = &host->region.slots[index];
    nffi__entry_t *entry = &host->entries[index];

    kind = slot->response_kind;
    nffi__host_free_request(host, entry);
    memset(response, 0, sizeof(*response));
    response->slot = index;
    response->owner = entry->owner;

    if (kind == NFFI__ANSWERED || kind == NFFI__FAILED) {
        where.storage = slot->response_storage;
        where.offset = slot->response_offset;
        where.size = slot->response_size;
        where.release = slot->response_release;

        rc = nffi__host_locate(host, index, &where, response);
        if (rc != NFFI_OK && rc != NFFI_NO_MEMORY) {
            return rc;
        }

        keep_location(entry, response);
        response->rc = slot->rc;

        if (rc == NFFI_NO_MEMORY) {
            give_no_room(response);

        } else if (kind == NFFI__FAILED && response->rc == NFFI_NO_MEMORY) {
            give_text(response, "the runtime failed, and has no memory for "
                                "its message");

        } else if (kind == NFFI__FAILED) {
            response->flags = NFFI_HOST_ERROR;
            response->message_size = slot->message_size;
            if (response->message_size > response->size) {
                response->message_size = response->size;
            }
        }

    } else if (kind == NFFI__ENDED && entry->window > 0) {
        response->flags = NFFI_HOST_END;

    } else if (kind != NFFI__SKIPPED || entry->owner != NULL) {
        return NFFI_PROTOCOL;
    }

    if (kind != NFFI__SKIPPED) {
        measure(host, entry, slot);
    }

    if (entry->ping) {
        entry->ping = false;
        host->pinging = false;

    } else {
        host->unanswered--;
    }

    host->awaited -= entry->owner != NULL;
    entry->owner = NULL;
    entry->state = NFFI__ENTRY_ANSWERED;

    return FILLED;
}


/* One more chunk of the stream at hand. */
static int
read_chunk(nffi_host_t *host, uint32_t index, nffi_host_response_t *response)
{
    int rc;
    nffi__claim_t where;
    volatile nffi__chunk_t *chunk;
    nffi__entry_t *entry = &host->entries[index];

    chunk = &host->region.chunks[index * NFFI__CHUNKS
                                 + entry->taken % NFFI__CHUNKS];
    where.storage = chunk->storage;
    where.offset = chunk->offset;
    where.size = chunk->size;
    where.release = (uint64_t) (uintptr_t) free;

    /* beyond its window the runtime owes one chunk at most */
    if (entry->taken != entry->read && entry->unread_bytes >= entry->window) {
        return NFFI_PROTOCOL;
    }

    memset(response, 0, sizeof(*response));
    response->slot = index;
    response->owner = entry->owner;

    rc = nffi__host_locate(host, index, &where, response);
    if (rc != NFFI_OK && rc != NFFI_NO_MEMORY) {
        return rc;
    }

    entry->taken++;
    entry->unread_bytes += response->size;

    if (rc == NFFI_NO_MEMORY) {
        give_no_room(response);
    }

    response->flags |= NFFI_HOST_CHUNK;

    return FILLED;
}


/* The rest of the stream that was found on the ring. */
static int
read_current(nffi_host_t *host, nffi_host_response_t *response)
{
    int rc;
    uint32_t index = host->current.slot;

    nffi__current_t *current = &host->current;

    if (host->entries[index].taken != current->written) {
        rc = read_chunk(host, index, response);
        current->active = current->finished
                          || host->entries[index].taken != current->written;
        return rc;
    }

    current->active = false;

    return current->finished ? read_response(host, index, response) : NOTHING;
}


/* Reads one entry of the done ring. */
static int
read_done(nffi_host_t *host, uint64_t done, nffi_host_response_t *response)
{
    uint32_t index = (uint32_t) done;
    volatile nffi__slot_t *slot;
    nffi__entry_t *entry;
    nffi__current_t *current = &host->current;

    if (index >= host->region.max_tasks) {
        return NFFI_PROTOCOL;
    }

    entry = &host->entries[index];
    slot = &host->region.slots[index];

    if (entry->state != NFFI__ENTRY_OPEN
        || entry->generation != (uint32_t) (done >> 32))
    {
        return NFFI_PROTOCOL;
    }

    if (entry->window == 0) {
        return read_response(host, index, response);
    }

    /* what is written after this puts the stream on the ring again */
    current->finished = atomic_exchange_explicit(&slot->announced, 0,
                                                 memory_order_seq_cst)
                        == NFFI__FINISHED;
    current->slot = index;
    current->written = atomic_load_explicit(&slot->chunks_written,
                                            memory_order_acquire);
    current->active = true;

    if (current->written - entry->read > NFFI__CHUNKS
        || current->written - entry->read < entry->taken - entry->read)
    {
        return NFFI_PROTOCOL;
    }

    return NOTHING;
}


int
nffi_host_collect(nffi_host_t *host, nffi_host_response_t *responses,
    size_t max)
{
    int rc;
    size_t filled;
    uint64_t done;
    uint32_t waiting, capacity;
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

    while (filled < max && (host->current.active || waiting > 0)) {

        if (host->current.active) {
            rc = read_current(host, &responses[filled]);

        } else {
            done = host->region.done[nffi__ring_first(ring, capacity)];
            rc = read_done(host, done, &responses[filled]);
            nffi__ring_consume(ring, 1);
            waiting--;
        }

        if (rc < 0) {
            host->broken = true;
            break;
        }

        if (rc == NOTHING) {
            continue;
        }

        if (responses[filled].owner == NULL) {
            nffi_host_release(host, &responses[filled]);

        } else {
            filled++;
        }
    }

    return filled > 0 ? (int) filled : rc < 0 ? rc : 0;
}


void
nffi_host_release(nffi_host_t *host, nffi_host_response_t *response)
{
    nffi__entry_t *entry = &host->entries[response->slot];

    if (response->flags & NFFI_HOST_CHUNK) {
        nffi__host_free_bytes(host, response->storage, response->offset,
                              (void *) response->data, response->size,
                              response->free);

    } else {
        nffi__host_free_bytes(host, entry->response_storage,
                              entry->response_offset, entry->response,
                              entry->size, entry->release);
        entry->size = 0;
        entry->response_storage = NFFI__NOWHERE;
        entry->state = NFFI__ENTRY_FREE;
        host->free_slots[host->returned++] = response->slot;
        host->free_count++;
    }

    response->data = NULL;
}


int
nffi_host_waiting(nffi_host_t *host)
{
    /* also after a protocol violation, such as one in nffi_host_log */
    return host->broken || host->current.active
           || nffi__ring_waiting(&host->region.header->done_ring) != 0;
}


uint32_t
nffi_host_mark(nffi_host_t *host)
{
    return atomic_load_explicit(&host->region.header->done_ring.tail,
                                memory_order_acquire);
}


int
nffi_host_is_past(nffi_host_t *host, uint32_t mark)
{
    uint32_t head = atomic_load_explicit(&host->region.header->done_ring.head,
                                         memory_order_relaxed);

    /* a tail that is too far ahead is invalid: nothing more is collected */

    return host->broken
           || ((int32_t) (head - mark) >= 0 && !host->current.active);
}


int
nffi_host_park(nffi_host_t *host)
{
    nffi__header_t *header = host->region.header;

    nffi__announce_parked(&header->host_parked, NFFI__ON_DESCRIPTOR);

    if (!nffi_host_waiting(host)
        && nffi__ring_waiting(&header->logs_ring) == 0
        && !has_misuse(host))
    {
        return 0;
    }

    nffi__revoke_parked(&header->host_parked);

    return 1;
}
