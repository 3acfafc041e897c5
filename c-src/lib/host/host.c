/*
 * host.c - the host's side of a queue: made, closed, asked and freed. submit.c
 * puts tasks in, collect.c takes responses out. All of it runs in the event
 * loop; nothing locks or waits.
 */

#define _GNU_SOURCE

#include "host/nffi_host.h"
#include "host/host.h"
#include "host/receive.h"
#include "runtime/compat.h"
#include "shared/tables.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#define DEFAULT_TASKS 65536u
#define DEFAULT_BYTES (UINT64_C(1) << 30)
#define DEFAULT_ARENA (8u << 20)    /* 64 payloads of 100 KB fit it */


static uint32_t
power_of_two(uint32_t n, uint32_t min, uint32_t max)
{
    if (n <= min) {
        return min;
    }

    if (n >= max) {
        return max;
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
    uint32_t n = host->region.max_tasks;

    host->entries = nffi__table_alloc(n * sizeof(nffi__entry_t));
    host->free_slots = malloc(n * sizeof(uint32_t));

    if (host->entries == NULL || host->free_slots == NULL) {
        return NFFI_NO_MEMORY;
    }

    host->slots = n;
    host->readable = host->region.response_arena_size;
    host->arena.start = (uint64_t) (host->region.request_arena
                                    - (unsigned char *) host->region.header);

    if (host->process) {
        host->slots = nffi__first_tasks(n);
        host->readable = nffi__first_arena(host->readable);
        nffi__commit_first(&host->arena);
    }

    host->free_count = host->slots;
    host->committed_slots = host->slots;
    host->needed_slots = host->slots;

    return NFFI_OK;
}


static uint32_t
arena_size(uint32_t size)
{
    return power_of_two(size ? size : DEFAULT_ARENA, NFFI__MIN_ARENA,
                        NFFI__MAX_ARENA);
}


static nffi__region_options_t
region_options(const nffi_host_options_t *options)
{
    return (nffi__region_options_t) {
        .max_tasks = power_of_two(options->max_tasks ? options->max_tasks
                                                     : DEFAULT_TASKS,
                                  1, NFFI__MAX_TASKS),
        .request_arena = arena_size(options->request_arena),
        .response_arena = arena_size(options->response_arena),
        .config = options->config,
        .config_size = options->config != NULL ? options->config_size : 0
    };
}


int
nffi_host_create(nffi_host_t **result, const nffi_host_options_t *options)
{
    int rc;
    nffi_host_t *host;
    nffi__region_options_t region;

    host = calloc(1, sizeof(nffi_host_t));
    if (host == NULL) {
        return NFFI_NO_MEMORY;
    }

    host->tasks_fd = -1;
    host->done_fd = -1;
    host->memory_fd = -1;
    host->control_fd = -1;
    host->process = options->process != 0;
    host->callbacks.wake = options->wake;
    host->callbacks.wake_data = options->wake_data;
    host->callbacks.unused = options->unused;
    host->callbacks.unused_data = options->unused_data;
    host->grown = options->grown;
    host->grown_data = options->grown_data;
    host->message = options->message;
    host->message_data = options->message_data;
    host->times = options->times;
    host->first_generation = 1;
    host->max_queue = options->max_queue ? options->max_queue : DEFAULT_TASKS;
    host->max_bytes = options->max_bytes ? options->max_bytes : DEFAULT_BYTES;

    region = region_options(options);

    rc = make_descriptors(host, host->process);
    if (rc == NFFI_OK) {
        rc = nffi__region_create(&host->region, host->memory_fd, &region);
    }

    if (rc == NFFI_OK) {
        host->region.header->spin_us = options->spin_us;
        rc = nffi__arena_init(&host->arena, region.request_arena);
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
        rc = nffi__queue_create(&host->queue, &host->region, host->tasks_fd,
                                &host->callbacks);
        if (rc != NFFI_OK) {
            return rc;
        }

        host->first_generation = host->queue->first_generation;
        host->last_generation = host->first_generation - 1;
    }

    *queue = nffi__queue_handle(host->queue);

    return NFFI_OK;
}


void *
nffi_host_public_queue(nffi_host_t *host, uint32_t length, int endless)
{
    return nffi__public_queue(host->queue, length, endless);
}


void
nffi_host_close(nffi_host_t *host)
{
    host->closed = true;
    atomic_store_explicit(&host->region.header->closed, 1,
                          memory_order_seq_cst);
    nffi__host_wake_runtime(host);

    /* also a loop that has not armed */
    nffi__eventfd_signal(host->tasks_fd);
}


void *
nffi_host_take_pending(nffi_host_t *host)
{
    void *owner;
    uint32_t index;
    nffi__entry_t *entry;

    while (host->awaited > 0) {
        index = host->scan++ & (host->region.max_tasks - 1);
        entry = &host->entries[index];

        if (entry->state == NFFI__ENTRY_OPEN && entry->owner != NULL) {
            owner = entry->owner;
            nffi_host_cancel(host, (uint64_t) entry->generation << 32 | index);
            return owner;
        }
    }

    return NULL;
}


_Static_assert(NFFI_HOST_TWICE == NFFI__TWICE
               && NFFI_HOST_UNKNOWN == NFFI__UNKNOWN
               && NFFI_HOST_MISUSES == NFFI__MISUSES, "one list of kinds");


void
nffi_host_state(nffi_host_t *host, nffi_host_state_t *state)
{
    int i;

    state->queued = nffi__ring_waiting(&host->region.header->tasks_ring);

    /* a ping that waits is nobody's call */
    if (host->pinging && state->queued > 0) {
        state->queued--;
    }

    state->unanswered = host->unanswered;
    state->awaited = host->awaited;
    state->bytes = host->bytes;
    state->refused = 0;

    for (i = 0; i < NFFI__MISUSES; i++) {
        state->refused += nffi__host_misused(host, i);
    }
}


int
nffi_host_misuse(nffi_host_t *host, int kind, uint64_t *count)
{
    uint32_t now = nffi__host_misused(host, kind);
    uint32_t more = now - host->misused[kind];
    bool first = host->misused[kind] == 0 && more > 0;

    host->misused[kind] = now;
    *count += more;

    return first;
}


/* Frees what tasks hold outside the arenas: requests of the open ones and
   responses that were given, whether collected or not. */
static void
forget_tasks(nffi_host_t *host)
{
    uint32_t i;
    nffi__entry_t *entry;
    nffi_host_response_t response;

    for (i = 0; i < host->fresh; i++) {
        entry = &host->entries[i];
        entry->owner = NULL;

        if (entry->state == NFFI__ENTRY_ANSWERED) {
            memset(&response, 0, sizeof(response));
            response.slot = i;
            nffi_host_release(host, &response);
        }
    }

    /* none of them has an owner, so each is released immediately */
    (void) nffi_host_collect(host, &response, 1);

    for (i = 0; i < host->fresh; i++) {
        nffi__host_free_request(host, &host->entries[i]);
    }
}


int
nffi_host_end(nffi_host_t *host)
{
    int rc;
    nffi_queue_t *queue = host->queue;

    if (!host->closed) {
        return NFFI_INVALID;
    }

    if (queue != NULL) {
        rc = nffi__queue_try_end(queue);
        if (rc != 1) {
            return rc;
        }

        host->queue = NULL;
    }

    if (queue != NULL) {
        nffi__queue_free(queue, host->last_generation);
    }

    nffi_host_destroy(host);

    return 1;
}


int
nffi_host_trim(nffi_host_t *host)
{
    bool more, follow;

    if (!host->process || host->broken) {
        return 0;
    }

    more = nffi__host_trim(host, &follow);

    /* the runtime follows when it skips the ping, which is queued behind this
       store; not while other tasks wait, nor with the last slot of several,
       which is for a call: the next trim asks again */
    if (follow) {
        atomic_fetch_add_explicit(&host->region.header->trims, 1,
                                  memory_order_release);

        if (host->free_count > 1 || host->slots < host->region.max_tasks
            || host->slots == 1)
        {
            (void) nffi_host_ping(host);
        }
    }

    return more || follow;
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
        nffi__queue_destroy(host->queue, host->last_generation);
    }

    nffi__table_free(host->entries,
                     host->region.max_tasks * sizeof(nffi__entry_t));
    nffi__region_unmap(&host->region);
    nffi__arena_free_all(&host->arena);
    free(host->free_slots);
    close_fd(&host->tasks_fd);
    close_fd(&host->done_fd);
    close_fd(&host->memory_fd);
    close_fd(&host->control_fd);
    free(host);
}
