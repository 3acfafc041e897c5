/*
 * submit.c - the host's side of a queue: tasks are put in, and given up.
 */

#define _GNU_SOURCE

#include "host/host.h"
#include "shared/times.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* bytes whose copy does not change the time that is measured */
#define JUST_NOW 4096


/* Room for one more memfd? Those whose tasks were taken are closed there. */
static bool
may_send_payload(nffi_host_t *host)
{
    uint32_t taken, *oldest;

    taken = atomic_load_explicit(&host->region.header->tasks_ring.head,
                                 memory_order_acquire);

    while (host->payloads_count > 0) {
        oldest = &host->payloads[host->payloads_first];

        if ((int32_t) (taken - *oldest) <= 0) {
            break;
        }

        host->payloads_first = (host->payloads_first + 1) % NFFI__MAX_PAYLOADS;
        host->payloads_count--;
    }

    return host->payloads_count < NFFI__MAX_PAYLOADS;
}


/* Remembers that the task about to be queued has a memfd. */
static void
count_payload(nffi_host_t *host)
{
    host->payloads[(host->payloads_first + host->payloads_count++)
                   % NFFI__MAX_PAYLOADS]
        = atomic_load_explicit(&host->region.header->tasks_ring.tail,
                               memory_order_relaxed);
}


/* The bytes of a request: method, payload, and a NUL. */
static void
copy_request(const nffi_host_request_t *request, unsigned char *bytes)
{
    if (request->method_size > 0) {
        memcpy(bytes, request->method, request->method_size);
    }

    if (request->size > 0) {
        memcpy(bytes + request->method_size, request->data, request->size);
    }

    bytes[request->method_size + request->size] = '\0';
}


/* Sends the bytes to the process, before their task is queued. */
static int
send_request(nffi_host_t *host, const nffi_host_request_t *request,
    const nffi__entry_t *entry, uint32_t index)
{
    int rc;
    nffi__memfd_t memfd;
    nffi__message_t message;
    struct iovec parts[] = {
        { (void *) request->method, request->method_size },
        { (void *) request->data, request->size },
        { "", 1 }
    };

    if (!may_send_payload(host)) {
        host->unsent = true;
        return NFFI_QUEUE_FULL;
    }

    if (nffi__memfd_write(&memfd, parts, 3) != NFFI_OK) {
        return NFFI_NO_MEMORY;
    }

    rc = nffi__memfd_seal(&memfd);

    if (rc == NFFI_OK) {
        memset(&message, 0, NFFI__MESSAGE_HEAD);
        message.type = NFFI__MESSAGE_PAYLOAD;
        message.abi = NFFI_ABI_VERSION;
        message.task = (uint64_t) entry->generation << 32 | index;
        rc = nffi__control_send(host->control_fd, &message, memfd.fd,
                                MSG_DONTWAIT);
    }

    close(memfd.fd);
    host->unsent = rc == NFFI_QUEUE_FULL;

    return rc;
}


/* A payload that the arena cannot hold. */
static int
place_large_request(nffi_host_t *host, const nffi_host_request_t *request,
    nffi__entry_t *entry, uint32_t index)
{
    if (host->process) {
        entry->request_storage = NFFI__IN_MEMFD;
        return send_request(host, request, entry, index);
    }

    entry->request = malloc(entry->size + 1);
    if (entry->request == NULL) {
        return NFFI_NO_MEMORY;
    }

    entry->request_storage = NFFI__IN_HEAP;
    copy_request(request, entry->request);

    return NFFI_OK;
}


/*
 * Copies method and payload, and puts a NUL behind them: libraries of the
 * public ABIs read a request as a C string, and the memory was used before, so
 * that they would read on into another request. It counts for no limit.
 */
static int
place_request(nffi_host_t *host, const nffi_host_request_t *request,
    nffi__entry_t *entry, uint32_t index)
{
    size_t size;
    uint32_t offset;

    size = request->size + request->method_size;
    entry->size = size;

    if (size == 0) {
        entry->request_storage = NFFI__NOWHERE;
        return NFFI_OK;
    }

    if (!nffi__arena_alloc(&host->arena, size + 1, &offset)
        && !nffi__host_alloc_more(host, size + 1, &offset))
    {
        return place_large_request(host, request, entry, index);
    }

    entry->request_storage = NFFI__IN_ARENA;
    entry->request_offset = offset;
    copy_request(request, host->region.request_arena + offset);

    return NFFI_OK;
}


void
nffi__host_free_request(nffi_host_t *host, nffi__entry_t *entry)
{
    if (entry->request_storage == NFFI__IN_ARENA) {
        nffi__arena_free(&host->arena, entry->request_offset);

    } else if (entry->request_storage == NFFI__IN_HEAP) {
        free(entry->request);
    }

    entry->request_storage = NFFI__NOWHERE;
    entry->request = NULL;
    host->bytes -= entry->size;
    entry->size = 0;
}


static int
may_submit(nffi_host_t *host, const nffi_host_request_t *request)
{
    uint32_t queued;
    uint64_t size;

    /* a runtime that has violated the protocol is ignored, so no response would
       arrive */
    if (host->closed || host->broken) {
        return NFFI_CLOSED;
    }

    if (request->method_size > 255
        || (request->size > 0 && request->data == NULL)
        || (request->method_size > 0 && request->method == NULL))
    {
        return NFFI_INVALID;
    }

    size = (uint64_t) request->size + request->method_size;

    /* would not fit into an empty queue either: trying again is of no use */
    if (size < request->size || size > host->max_bytes) {
        return NFFI_INVALID;
    }

    queued = nffi__ring_waiting(&host->region.header->tasks_ring);

    /* a waiting ping is not a call */
    if (queued >= host->max_queue + host->pinging
        || host->bytes > host->max_bytes - size)
    {
        return NFFI_QUEUE_FULL;
    }

    return host->free_count > 0 ? NFFI_OK : nffi__host_add_slots(host);
}


/* Puts the task of a filled-in entry on the ring; its request is placed. */
static void
queue_entry(nffi_host_t *host, nffi__entry_t *entry, uint32_t index,
    const nffi_host_request_t *request)
{
    uint32_t at;
    volatile nffi__slot_t *slot = &host->region.slots[index];
    nffi__ring_t *ring = &host->region.header->tasks_ring;

    nffi__host_take_slot(host);
    entry->state = NFFI__ENTRY_OPEN;
    entry->window = request->window;
    entry->taken = 0;
    entry->read = 0;
    entry->unread_bytes = 0;

    slot->request_offset = entry->request_storage == NFFI__IN_HEAP
                           ? (uint64_t) (uintptr_t) entry->request
                           : entry->request_offset;
    slot->request_size = entry->size;
    slot->deadline_ns = request->deadline_ns;
    slot->generation = entry->generation;
    slot->method_size = (uint16_t) request->method_size;
    slot->request_storage = (uint16_t) entry->request_storage;
    slot->window = request->window;
    slot->timed = entry->submitted_ns != 0;
    slot->has_data = request->data != NULL;
    atomic_store_explicit(&slot->cancelled, entry->ping, memory_order_relaxed);

    if (request->window > 0) {
        atomic_store_explicit(&slot->chunks_read, 0, memory_order_relaxed);
        atomic_store_explicit(&slot->chunks_written, 0, memory_order_relaxed);
        atomic_store_explicit(&slot->announced, 0, memory_order_relaxed);
        atomic_store_explicit(&slot->blocked, 0, memory_order_relaxed);
    }

    if (entry->request_storage == NFFI__IN_MEMFD) {
        count_payload(host);
    }

    /* never full: each slot is on the ring at most once */
    at = nffi__ring_next(ring, host->region.max_tasks);
    host->region.tasks[at] = index;
    nffi__ring_publish(ring, 1);

    nffi__host_wake_runtime(host);
}


int
nffi_host_submit(nffi_host_t *host, const nffi_host_request_t *request,
    void *owner, nffi_task_t *task)
{
    int rc;
    uint32_t index;
    nffi__entry_t *entry;

    rc = owner != NULL ? may_submit(host, request) : NFFI_INVALID;
    if (rc != NFFI_OK) {
        return rc;
    }

    index = nffi__host_next_slot(host);
    entry = &host->entries[index];
    nffi__host_next_generation(host, entry);

    rc = place_request(host, request, entry, index);
    if (rc != NFFI_OK) {
        entry->request_storage = NFFI__NOWHERE;
        entry->size = 0;
        return rc;
    }

    if (host->times != NULL) {
        /* copying a large request takes its time */
        host->now_ns = request->now_ns != 0 && request->size <= JUST_NOW
                       ? request->now_ns : nffi__now();
        entry->submitted_ns = host->now_ns;
    }

    host->bytes += entry->size;
    host->unanswered++;
    host->awaited++;
    entry->owner = owner;
    queue_entry(host, entry, index, request);
    *task = (uint64_t) entry->generation << 32 | index;

    return NFFI_OK;
}


/* A task that was cancelled before it was queued: the next poll skips it. */
int
nffi_host_ping(nffi_host_t *host)
{
    uint32_t index;
    nffi__entry_t *entry;
    static const nffi_host_request_t nothing;

    if (host->closed || host->broken) {
        return NFFI_CLOSED;
    }

    if (host->pinging
        || nffi__ring_waiting(&host->region.header->tasks_ring) > 0)
    {
        return NFFI_OK;
    }

    if (host->free_count == 0 && nffi__host_add_slots(host) != NFFI_OK) {
        return NFFI_QUEUE_FULL;
    }

    index = nffi__host_next_slot(host);
    entry = &host->entries[index];
    nffi__host_next_generation(host, entry);
    entry->request_storage = NFFI__NOWHERE;
    entry->size = 0;
    entry->submitted_ns = 0;
    entry->owner = NULL;
    entry->ping = true;
    host->pinging = true;
    queue_entry(host, entry, index, &nothing);

    return NFFI_OK;
}


const char *
nffi_host_full(nffi_host_t *host, uint64_t *used)
{
    uint32_t queued, pings = host->pinging ? 1 : 0;

    queued = nffi__ring_waiting(&host->region.header->tasks_ring);

    if (queued >= host->max_queue + pings) {
        *used = queued - pings;
        return "max_queue";
    }

    if (host->free_count == 0 && host->slots == host->region.max_tasks) {
        *used = host->region.max_tasks;
        return "max_tasks";
    }

    if (host->unsent) {
        host->unsent = false;
        *used = host->payloads_count;
        return "arena";
    }

    *used = host->bytes;

    return NULL;
}


uint32_t
nffi_host_taken(nffi_host_t *host, uint32_t *waiting)
{
    nffi__ring_t *ring = &host->region.header->tasks_ring;

    *waiting = nffi__ring_waiting(ring);

    return atomic_load_explicit(&ring->head, memory_order_acquire);
}


void
nffi__host_note(nffi_host_t *host, uint32_t slot)
{
    uint32_t at;
    nffi__ring_t *ring = &host->region.header->notes_ring;

    /* a note about this slot waits already: what has changed is found by it */
    if (atomic_exchange_explicit(&host->region.slots[slot].noted, 1,
                                 memory_order_seq_cst))
    {
        return;
    }

    /* so it is full only when the runtime lies */
    if (nffi__ring_full(ring, host->region.max_tasks)) {
        return;
    }

    at = nffi__ring_next(ring, host->region.max_tasks);
    host->region.notes[at] = slot;
    nffi__ring_publish(ring, 1);

    nffi__host_wake_runtime(host);
}


/* The entry of a task that is not yet answered and has an owner, or NULL. */
static nffi__entry_t *
awaited_entry(nffi_host_t *host, nffi_task_t task)
{
    uint32_t index = (uint32_t) task;
    nffi__entry_t *entry;

    if (index >= host->region.max_tasks) {
        return NULL;
    }

    entry = &host->entries[index];

    return entry->state == NFFI__ENTRY_OPEN && entry->owner != NULL
           && entry->generation == (uint32_t) (task >> 32) ? entry : NULL;
}


void
nffi_host_cancel(nffi_host_t *host, nffi_task_t task)
{
    nffi__entry_t *entry = awaited_entry(host, task);

    if (entry == NULL) {
        return;
    }

    entry->owner = NULL;
    host->awaited--;
    atomic_store_explicit(&host->region.slots[(uint32_t) task].cancelled, 1,
                          memory_order_seq_cst);
    nffi__host_note(host, (uint32_t) task);
}


void
nffi_host_credit(nffi_host_t *host, nffi_task_t task, size_t size)
{
    volatile nffi__slot_t *slot;
    nffi__entry_t *entry = awaited_entry(host, task);

    if (entry == NULL || entry->read == entry->taken) {
        return;
    }

    slot = &host->region.slots[(uint32_t) task];
    entry->read++;
    entry->unread_bytes -= size;
    atomic_store_explicit(&slot->chunks_read, entry->read,
                          memory_order_seq_cst);

    /* wake a waiting writer when half of its window is free: a note for each
       chunk would wake it for each */
    if (entry->taken - entry->read <= NFFI__CHUNKS / 2
        && atomic_load_explicit(&slot->blocked, memory_order_seq_cst)
        && atomic_exchange_explicit(&slot->blocked, 0, memory_order_seq_cst))
    {
        nffi__host_note(host, (uint32_t) task);
    }
}
