/*
 * host.c - the host's side of a queue: tasks go in, responses come out. All of
 * it runs in the event loop; nothing here locks or waits.
 *
 * What the host knows of a task lies in its own memory (entry_t); of the
 * shared slot it believes only what it has checked.
 */

#define _GNU_SOURCE

#include "nffi_host.h"
#include "host.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#define DEFAULT_TASKS 65536u
#define DEFAULT_BYTES (UINT64_C(1) << 30)
#define DEFAULT_ARENA (4u << 20)


static uint32_t
power_of_two(uint32_t n, uint32_t least, uint32_t most)
{
    if (n <= least) {
        return least;
    }

    if (n >= most) {
        return most;
    }

    return 1u << (32 - __builtin_clz(n - 1));
}


static void
close_fd(int *fd)
{
    if (*fd != -1) {
        close(*fd);
        *fd = -1;
    }
}


static int
make_descriptors(nffi_host_t *host, int process)
{
    host->tasks_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (host->tasks_fd == -1) {
        return NFFI_SYSTEM;
    }

    if (!process) {
        return NFFI_OK;
    }

    host->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    host->memory_fd = nffi__memfd_open("nffi-queue");

    return host->done_fd == -1 || host->memory_fd == -1 ? NFFI_SYSTEM
                                                        : NFFI_OK;
}


static int
make_entries(nffi_host_t *host)
{
    uint32_t i, n = host->region.max_tasks;

    host->entries = calloc(n, sizeof(nffi__entry_t));
    host->free_slots = malloc(n * sizeof(uint32_t));

    if (host->entries == NULL || host->free_slots == NULL) {
        return NFFI_NO_MEMORY;
    }

    /* a stack, the lowest slot on top: a light load stays in few pages */
    for (i = 0; i < n; i++) {
        host->free_slots[i] = n - 1 - i;
    }

    host->free_count = n;

    return NFFI_OK;
}


int
nffi_host_create(nffi_host_t **result, const nffi_host_options_t *options)
{
    int rc;
    uint32_t tasks, requests, responses;
    nffi_host_t *host;

    host = calloc(1, sizeof(nffi_host_t));
    if (host == NULL) {
        return NFFI_NO_MEMORY;
    }

    host->tasks_fd = -1;
    host->done_fd = -1;
    host->memory_fd = -1;
    host->control_fd = -1;
    host->process = options->process != 0;
    host->wake = options->wake;
    host->wake_data = options->wake_data;
    host->max_queue = options->max_queue ? options->max_queue : DEFAULT_TASKS;
    host->max_bytes = options->max_bytes ? options->max_bytes : DEFAULT_BYTES;

    tasks = power_of_two(options->max_tasks ? options->max_tasks
                                            : DEFAULT_TASKS,
                         1, NFFI__MAX_TASKS);
    requests = power_of_two(options->request_arena ? options->request_arena
                                                   : DEFAULT_ARENA,
                            NFFI__LEAST_ARENA, NFFI__MOST_ARENA);
    responses = power_of_two(options->response_arena ? options->response_arena
                                                     : DEFAULT_ARENA,
                             NFFI__LEAST_ARENA, NFFI__MOST_ARENA);

    rc = make_descriptors(host, host->process);
    if (rc == NFFI_OK) {
        rc = nffi__region_create(&host->region, host->memory_fd, tasks,
                                 requests, responses);
    }

    if (rc == NFFI_OK) {
        rc = nffi__arena_init(&host->arena, requests);
    }

    if (rc == NFFI_OK) {
        rc = make_entries(host);
    }

    if (rc != NFFI_OK) {
        int saved = errno;
        nffi_host_destroy(host);
        errno = saved;
        return rc;
    }

    *result = host;

    return NFFI_OK;
}


int
nffi_host_queue(nffi_host_t *host, nffi_queue_t **queue)
{
    int rc;

    if (host->process) {
        return NFFI_INVALID;
    }

    if (host->queue == NULL) {
        rc = nffi__queue_create(&host->queue, &host->region, host->tasks_fd);
        if (rc != NFFI_OK) {
            return rc;
        }

        host->queue->wake = host->wake;
        host->queue->wake_data = host->wake_data;
    }

    *queue = host->queue;

    return NFFI_OK;
}


static void
wake_runtime(nffi_host_t *host)
{
    ssize_t n;
    uint64_t one = 1;

    do {
        n = write(host->tasks_fd, &one, sizeof(one));
    } while (n == -1 && errno == EINTR);
}


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

        host->payloads_first = (host->payloads_first + 1) % NFFI__MOST_PAYLOADS;
        host->payloads_count--;
    }

    return host->payloads_count < NFFI__MOST_PAYLOADS;
}


/* Remembers that the task about to be queued has a memfd. */
static void
count_payload(nffi_host_t *host)
{
    host->payloads[(host->payloads_first + host->payloads_count++)
                   % NFFI__MOST_PAYLOADS]
        = atomic_load_explicit(&host->region.header->tasks_ring.tail,
                               memory_order_relaxed);
}


/* A payload that the arena cannot hold. */
static int
place_large_request(nffi_host_t *host, nffi__entry_t *entry, size_t size,
    unsigned char **bytes, nffi__memfd_t *memfd)
{
    if (!host->process) {
        entry->request = malloc(size);
        entry->request_place = NFFI__IN_HEAP;
        *bytes = entry->request;
        return *bytes == NULL ? NFFI_NO_MEMORY : NFFI_OK;
    }

    if (!may_send_payload(host)) {
        return NFFI_QUEUE_FULL;
    }

    if (nffi__memfd_create(memfd, size) != NFFI_OK) {
        return NFFI_NO_MEMORY;
    }

    entry->request_place = NFFI__IN_MEMFD;
    *bytes = memfd->data;

    return NFFI_OK;
}


static int
send_large_request(nffi_host_t *host, nffi__entry_t *entry, uint32_t number,
    nffi__memfd_t *memfd)
{
    int rc;
    nffi__message_t message;

    rc = nffi__memfd_seal(memfd);

    if (rc == NFFI_OK) {
        memset(&message, 0, NFFI__MESSAGE_HEAD);
        message.type = NFFI__MESSAGE_PAYLOAD;
        message.abi = NFFI_ABI_VERSION;
        message.task = (uint64_t) entry->generation << 32 | number;
        rc = nffi__control_send(host->control_fd, &message, memfd->fd,
                                MSG_DONTWAIT);
    }

    close(memfd->fd);

    return rc;
}


static int
place_request(nffi_host_t *host, const nffi_host_request_t *request,
    nffi__entry_t *entry, uint32_t number)
{
    int rc;
    size_t size;
    uint32_t offset;
    unsigned char *bytes;
    nffi__memfd_t memfd;

    size = request->size + request->method_size;
    entry->size = size;

    if (size == 0) {
        entry->request_place = NFFI__NOWHERE;
        return NFFI_OK;
    }

    if (nffi__arena_alloc(&host->arena, size, &offset)) {
        entry->request_place = NFFI__IN_ARENA;
        entry->request_offset = offset;
        bytes = host->region.request_arena + offset;

    } else {
        rc = place_large_request(host, entry, size, &bytes, &memfd);
        if (rc != NFFI_OK) {
            return rc;
        }
    }

    if (request->method_size > 0) {
        memcpy(bytes, request->method, request->method_size);
    }

    if (request->size > 0) {
        memcpy(bytes + request->method_size, request->data, request->size);
    }

    if (entry->request_place == NFFI__IN_MEMFD) {
        return send_large_request(host, entry, number, &memfd);
    }

    return NFFI_OK;
}


static void
free_request(nffi_host_t *host, nffi__entry_t *entry)
{
    if (entry->request_place == NFFI__IN_ARENA) {
        nffi__arena_free(&host->arena, entry->request_offset);

    } else if (entry->request_place == NFFI__IN_HEAP) {
        free(entry->request);
    }

    entry->request_place = NFFI__NOWHERE;
    entry->request = NULL;
    host->bytes -= entry->size;
    entry->size = 0;
}


static int
may_submit(nffi_host_t *host, const nffi_host_request_t *request)
{
    uint32_t queued;
    uint64_t size;

    /* a runtime that broke the rules is not followed, so nobody would answer */
    if (host->closed || host->broken) {
        return NFFI_CLOSED;
    }

    if (request->method_size > 255
        || (request->size > 0 && request->data == NULL)
        || (request->method_size > 0 && request->method == NULL))
    {
        return NFFI_INVALID;
    }

    queued = nffi__ring_waiting(&host->region.header->tasks_ring);
    size = (uint64_t) request->size + request->method_size;

    if (host->free_count == 0 || queued >= host->max_queue
        || size < request->size || size > host->max_bytes
        || host->bytes > host->max_bytes - size)
    {
        return NFFI_QUEUE_FULL;
    }

    return NFFI_OK;
}


int
nffi_host_submit(nffi_host_t *host, const nffi_host_request_t *request,
    void *owner, nffi_task_t *task)
{
    int rc;
    uint32_t number, at;
    volatile nffi__slot_t *slot;
    nffi__entry_t *entry;
    nffi__ring_t *ring = &host->region.header->tasks_ring;

    rc = owner != NULL ? may_submit(host, request) : NFFI_INVALID;
    if (rc != NFFI_OK) {
        return rc;
    }

    number = host->free_slots[host->free_count - 1];
    entry = &host->entries[number];
    slot = &host->region.slots[number];
    entry->generation++;

    rc = place_request(host, request, entry, number);
    if (rc != NFFI_OK) {
        entry->request_place = NFFI__NOWHERE;
        entry->size = 0;
        return rc;
    }

    host->free_count--;
    host->bytes += entry->size;
    host->unanswered++;
    host->awaited++;
    entry->owner = owner;
    entry->state = NFFI__ENTRY_OPEN;

    slot->request_offset = entry->request_place == NFFI__IN_HEAP
                           ? (uint64_t) (uintptr_t) entry->request
                           : entry->request_offset;
    slot->request_size = entry->size;
    slot->deadline_ns = request->deadline_ns;
    slot->generation = entry->generation;
    slot->method_size = (uint16_t) request->method_size;
    slot->request_place = (uint16_t) entry->request_place;
    atomic_store_explicit(&slot->cancelled, 0, memory_order_relaxed);

    if (entry->request_place == NFFI__IN_MEMFD) {
        count_payload(host);
    }

    /* never full: each slot is on the ring at most once */
    at = nffi__ring_next(ring, host->region.max_tasks);
    host->region.tasks[at] = number;
    nffi__ring_publish(ring, 1);

    if (nffi__must_wake(&host->region.header->runtime_parked)) {
        wake_runtime(host);
    }

    *task = (uint64_t) entry->generation << 32 | number;

    return NFFI_OK;
}


void
nffi_host_cancel(nffi_host_t *host, nffi_task_t task)
{
    uint32_t number, at;
    nffi__entry_t *entry;
    nffi__ring_t *ring = &host->region.header->notes_ring;

    number = (uint32_t) task;
    if (number >= host->region.max_tasks) {
        return;
    }

    entry = &host->entries[number];

    if (entry->state != NFFI__ENTRY_OPEN || entry->owner == NULL
        || entry->generation != (uint32_t) (task >> 32))
    {
        return;
    }

    entry->owner = NULL;
    host->awaited--;
    atomic_store_explicit(&host->region.slots[number].cancelled, 1,
                          memory_order_release);

    /* a runtime that never asks for cancellations leaves the ring full; it
       still finds the mark in the slot */
    if (nffi__ring_full(ring, host->region.max_tasks)) {
        return;
    }

    at = nffi__ring_next(ring, host->region.max_tasks);
    host->region.notes[at] = number;
    nffi__ring_publish(ring, 1);

    if (nffi__must_wake(&host->region.header->runtime_parked)) {
        wake_runtime(host);
    }
}


/* Looks for the memfd of a response: sent before the response was published,
   so it is in the socket, or was read from it earlier. */
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
            return -1;
        }

        if (nffi__host_keep(host, &message, fd) != NFFI_OK) {
            return -1;
        }
    }
}


/* Checks where a response lies and finds its bytes. */
static int
locate_response(nffi_host_t *host, nffi__entry_t *entry, uint32_t number,
    nffi_host_response_t *response)
{
    int fd;
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
        if (fd == -1
            || nffi__memfd_map(fd, response->size, &mapping) != NFFI_OK)
        {
            return NFFI_PROTOCOL;
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
    free_request(host, entry);
    memset(response, 0, sizeof(*response));
    response->slot = number;
    response->owner = entry->owner;

    if (outcome == NFFI__ANSWERED || outcome == NFFI__FAILED) {
        rc = locate_response(host, entry, number, response);
        if (rc != NFFI_OK) {
            return rc;
        }

        response->rc = slot->rc;

        if (outcome == NFFI__FAILED) {
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


void
nffi_host_close(nffi_host_t *host)
{
    host->closed = true;
    atomic_store_explicit(&host->region.header->closed, 1,
                          memory_order_seq_cst);
    wake_runtime(host);
}


void *
nffi_host_take_pending(nffi_host_t *host)
{
    void *owner;
    uint32_t number;
    nffi__entry_t *entry;

    while (host->awaited > 0) {
        number = host->scan++ & (host->region.max_tasks - 1);
        entry = &host->entries[number];

        if (entry->state == NFFI__ENTRY_OPEN && entry->owner != NULL) {
            owner = entry->owner;
            nffi_host_cancel(host, (uint64_t) entry->generation << 32 | number);
            return owner;
        }
    }

    return NULL;
}


void
nffi_host_state(nffi_host_t *host, nffi_host_state_t *state)
{
    state->queued = nffi__ring_waiting(&host->region.header->tasks_ring);
    state->unanswered = host->unanswered;
    state->awaited = host->awaited;
    state->bytes = host->bytes;
    state->refused = host->queue != NULL
                     ? atomic_load_explicit(&host->queue->refused,
                                            memory_order_relaxed)
                     : 0;
}


/* Frees what tasks hold outside the arenas: requests of the open ones and
   responses that were given, whether drained or not. */
static void
forget_tasks(nffi_host_t *host)
{
    uint32_t i;
    nffi__entry_t *entry;
    nffi_host_response_t response;

    for (i = 0; i < host->region.max_tasks; i++) {
        entry = &host->entries[i];
        entry->owner = NULL;

        if (entry->state == NFFI__ENTRY_ANSWERED) {
            response.slot = i;
            nffi_host_release(host, &response);
        }
    }

    /* nobody owns one any more, so that each is released at once */
    (void) nffi_host_drain(host, &response, 1);

    for (i = 0; i < host->region.max_tasks; i++) {
        free_request(host, &host->entries[i]);
    }
}


void
nffi_host_destroy(nffi_host_t *host)
{
    int fd;

    if (host->entries != NULL && host->free_slots != NULL) {
        forget_tasks(host);
    }

    while (host->received != NULL) {
        fd = nffi__host_unkeep(host, &host->received);
        close_fd(&fd);
    }

    if (host->queue != NULL) {
        nffi__queue_destroy(host->queue);
    }

    nffi__region_unmap(&host->region);
    nffi__arena_free_all(&host->arena);
    free(host->entries);
    free(host->free_slots);
    close_fd(&host->tasks_fd);
    close_fd(&host->done_fd);
    close_fd(&host->memory_fd);
    close_fd(&host->control_fd);
    free(host);
}
