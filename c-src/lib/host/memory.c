/*
 * memory.c - the host's side of a queue: the pages of the slots, of its arena
 * and of what it reads, see shared/commit.h.
 */

#include "host/host.h"

#define MAX_LOOKED 16384u     /* slots that one trim looks at */


static void
report_growth(nffi_host_t *host)
{
    if (host->grown != NULL) {
        host->grown(host->grown_data);
    }
}


bool
nffi__host_alloc_more(nffi_host_t *host, size_t size, uint32_t *offset)
{
    uint32_t before = host->arena.committed;
    bool done;

    done = nffi__commit_alloc(&host->arena, &host->region, size, offset);

    /* also after a failure of the second of two steps */
    if (done || host->arena.committed != before) {
        report_growth(host);
    }

    return done;
}


/* Offsets in the region, from our own addresses: the header is shared. */
static uint64_t
offset_of(const nffi_host_t *host, const volatile void *address)
{
    return (uint64_t) ((const volatile unsigned char *) address
                       - (const unsigned char *) host->region.header);
}


static uint64_t
slots_at(const nffi_host_t *host, uint32_t index)
{
    return offset_of(host, &host->region.slots[index]);
}


static uint64_t
chunks_at(const nffi_host_t *host, uint32_t index)
{
    return offset_of(host, &host->region.chunks[(size_t) index
                                                * NFFI__CHUNKS]);
}


/* Allocates the pages of more slots, of all or of none. */
static bool
commit_slots(nffi_host_t *host, uint32_t slots)
{
    uint64_t first = slots_at(host, host->slots);
    uint64_t chunks = chunks_at(host, host->slots);
    size_t size = slots_at(host, slots) - first;
    size_t chunks_size = chunks_at(host, slots) - chunks;

    if (nffi__region_commit(&host->region, first, size) == 0
        && nffi__region_commit(&host->region, chunks, chunks_size) == 0)
    {
        return true;
    }

    nffi__region_release(&host->region, first, size);
    nffi__region_release(&host->region, chunks, chunks_size);

    return false;
}


int
nffi__host_add_slots(nffi_host_t *host)
{
    uint32_t slots = host->slots + NFFI__FIRST_TASKS;

    /* both are multiples of it, or there is one step */
    if (host->slots == host->region.max_tasks) {
        return NFFI_QUEUE_FULL;
    }

    if (slots > host->committed_slots) {
        if (!commit_slots(host, slots)) {
            return NFFI_NO_MEMORY;
        }

        host->committed_slots = slots;
    }

    host->free_count += slots - host->slots;
    host->slots = slots;

    if (slots > host->needed_slots) {
        host->needed_slots = slots;
    }

    report_growth(host);

    return NFFI_OK;
}


/* Free slots from an index on are no longer used. */
static void
drop_free_slots(nffi_host_t *host, uint32_t slots)
{
    uint32_t i, kept = 0;

    for (i = 0; i < host->returned; i++) {
        if (host->free_slots[i] < slots) {
            host->free_slots[kept++] = host->free_slots[i];
        }
    }

    host->returned = kept;
    host->fresh = host->fresh < slots ? host->fresh : slots;
    host->slots = slots;
    host->free_count = kept + slots - host->fresh;
}


/* The lowest slots are used next, so that the last ones become free. */
static void
sort_free_slots(nffi_host_t *host)
{
    uint32_t index, height = 0;

    if (host->fresh > MAX_LOOKED) {
        return;
    }

    for (index = host->fresh; index > 0; index--) {
        if (host->entries[index - 1].state == NFFI__ENTRY_FREE) {
            host->free_slots[height++] = index - 1;
        }
    }
}


/*
 * Drops the last slots whose tasks are released. A note about one of them
 * may wait, and the runtime writes to its slot when it takes the note.
 */
static void
retract_slots(nffi_host_t *host)
{
    uint32_t index, slots = host->slots;
    uint32_t last = nffi__first_tasks(host->region.max_tasks);

    if (nffi__ring_unread(&host->region.header->notes_ring) > 0) {
        return;
    }

    if (host->free_count == slots) {
        host->returned = 0;
        host->fresh = 0;
    }

    if (host->returned > MAX_LOOKED) {
        return;
    }

    if (slots - last > MAX_LOOKED) {
        last = slots - MAX_LOOKED;
    }

    for (index = slots; index > last; index--) {
        if (host->entries[index - 1].state != NFFI__ENTRY_FREE) {
            break;
        }

        if ((index - 1) % NFFI__FIRST_TASKS == 0) {
            slots = index - 1;
        }
    }

    if (slots < host->slots) {
        drop_free_slots(host, slots);
    }

    if (host->slots > nffi__first_tasks(host->region.max_tasks)) {
        sort_free_slots(host);
    }
}


/* One step of slots that were not needed since the last trim. */
static bool
trim_slots(nffi_host_t *host)
{
    uint32_t from = host->committed_slots - NFFI__FIRST_TASKS;

    if (host->committed_slots > host->needed_slots) {
        nffi__region_release(&host->region, slots_at(host, from),
                             slots_at(host, host->committed_slots)
                             - slots_at(host, from));
        nffi__region_release(&host->region, chunks_at(host, from),
                             chunks_at(host, host->committed_slots)
                             - chunks_at(host, from));
        host->committed_slots = from;
    }

    retract_slots(host);
    host->needed_slots = host->slots;

    return host->committed_slots
           > nffi__first_tasks(host->region.max_tasks);
}


static uint32_t
response_committed(const nffi_host_t *host)
{
    uint32_t bytes;

    bytes = atomic_load_explicit(&host->region.header->response_committed,
                                 memory_order_acquire);

    return bytes < host->region.response_arena_size
           ? bytes : host->region.response_arena_size;
}


/*
 * A runtime that keeps the rules has allocated these pages, and frees none of
 * them before the worker has read them, so that allocating them again does
 * nothing. Without it, an offset that was overwritten could be a SIGBUS here.
 */
int
nffi__host_reach(nffi_host_t *host, uint64_t offset, uint64_t size)
{
    uint64_t start = offset_of(host, host->region.response_arena);
    uint32_t first, limit, committed = response_committed(host);

    if (size > committed || offset > committed - size) {
        return NFFI_PROTOCOL;
    }

    if (offset + size > host->readable) {
        limit = committed - host->readable > NFFI__TRIM_STEP
                ? host->readable + NFFI__TRIM_STEP : committed;

        if (nffi__region_commit(&host->region, start + host->readable,
                                limit - host->readable)
            == -1)
        {
            return NFFI_PROTOCOL;
        }

        host->readable = limit;
        report_growth(host);
    }

    if (offset + size > host->readable) {
        /* one far ahead; in whole units, as all that is allocated */
        first = (uint32_t) offset & ~(NFFI__ARENA_UNIT - 1);
        limit = ((uint32_t) (offset + size) + NFFI__ARENA_UNIT - 1)
                & ~(NFFI__ARENA_UNIT - 1);

        if (nffi__region_commit(&host->region, start + first, limit - first)
            == -1)
        {
            return NFFI_PROTOCOL;
        }
    }

    return NFFI_OK;
}


uint64_t
nffi_host_shared_bytes(const nffi_host_t *host)
{
    const nffi__region_t *region = &host->region;

    if (!host->process) {
        return 0;
    }

    return offset_of(host, &region->frees[region->frees_count])
           + slots_at(host, host->committed_slots) - slots_at(host, 0)
           + chunks_at(host, host->committed_slots) - chunks_at(host, 0)
           + host->arena.committed + response_committed(host)
           + region->config_size;
}


bool
nffi__host_trim(nffi_host_t *host, bool *follow)
{
    bool more;
    uint32_t committed = response_committed(host);

    more = nffi__commit_trim(&host->arena, &host->region);
    more |= trim_slots(host);

    if (host->readable > committed) {
        host->readable = committed;
    }

    *follow = committed
              > nffi__first_arena(host->region.response_arena_size);

    return more;
}
