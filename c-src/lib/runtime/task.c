/*
 * task.c - the queues of this process and their tasks, by handle: a queue is
 * made, found and locked by its handle or by the handle of a task, unlocked,
 * and freed when nothing uses it.
 *
 * A handle is not an address. It is looked up in a table whose entries are
 * never removed, then checked with the mutex of the queue. So a handle that is
 * used after the end is refused, without overhead for the others.
 */

#define _GNU_SOURCE

#include "runtime/task.h"
#include "shared/eventfd.h"
#include "shared/tables.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define TABLE_BITS 12         /* of a task handle */
#define TABLE_SIZE (1u << TABLE_BITS)
#define PAYLOAD_MS 10000      /* the machine may be slow, or have slept */

/* Set in every handle of a queue: no address has this bit, so that a handle
   that is followed by mistake faults. */
#define HANDLE_MARK (UINT64_C(1) << 62)

/* An entry is set once. Index 0 is never used. */
static _Atomic(nffi_queue_t *) table[TABLE_SIZE];

_Thread_local const nffi_queue_t *nffi__polled;

/* The structures that serve no queue now. */
static pthread_mutex_t free_mutex = PTHREAD_MUTEX_INITIALIZER;
static nffi_queue_t *free_queues;
static uint32_t table_used = 1;


/*
 * A structure of this process that serves no queue, or a new one, with its
 * mutex. One whose mutex is taken, by a thread with a stale handle, is passed
 * over: the event loop never waits for it.
 */
static int
take_structure(nffi_queue_t **result)
{
    nffi_queue_t *queue, **link;

    pthread_mutex_lock(&free_mutex);

    for (link = &free_queues; *link != NULL; link = &(*link)->next_free) {
        queue = *link;

        if (pthread_mutex_trylock(&queue->mutex) == 0) {
            *link = queue->next_free;
            pthread_mutex_unlock(&free_mutex);
            *result = queue;
            return NFFI_OK;
        }
    }

    queue = table_used < TABLE_SIZE ? calloc(1, sizeof(nffi_queue_t)) : NULL;

    if (queue == NULL) {
        pthread_mutex_unlock(&free_mutex);
        return table_used < TABLE_SIZE ? NFFI_NO_MEMORY : NFFI_QUEUE_FULL;
    }

    pthread_condattr_init(&queue->monotonic);
    pthread_condattr_setclock(&queue->monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&queue->mutex, NULL);
    pthread_mutex_init(&queue->payloads_mutex, NULL);
    pthread_cond_init(&queue->payload_came, &queue->monotonic);
    pthread_cond_init(&queue->copied, NULL);
    pthread_mutex_lock(&queue->mutex);

    queue->index = table_used++;
    queue->first_generation = 1;
    atomic_store_explicit(&table[queue->index], queue, memory_order_release);
    pthread_mutex_unlock(&free_mutex);
    *result = queue;

    return NFFI_OK;
}


static void
give_structure_back(nffi_queue_t *queue)
{
    pthread_mutex_lock(&free_mutex);
    queue->next_free = free_queues;
    free_queues = queue;
    pthread_mutex_unlock(&free_mutex);
}


/* Its memory for the tasks of the region; false: there is none. */
static bool
make_memory(nffi_queue_t *queue, const nffi__region_t *region)
{
    unsigned char *tables;
    size_t tasks = region->max_tasks;

    queue->tables_size = tasks * (sizeof(nffi__running_t)
                                  + 2 * sizeof(uint32_t));
    tables = nffi__table_alloc(queue->tables_size);
    queue->tables = tables;

    if (tables == NULL) {
        return false;
    }

    queue->running = (nffi__running_t *) tables;
    tables += tasks * sizeof(nffi__running_t);
    queue->cancelled.next = (uint32_t *) tables;
    queue->writable.next = queue->cancelled.next + tasks;
    queue->cancelled.first = 1;
    queue->writable.first = 1;

    return nffi__arena_init(&queue->arena, region->response_arena_size)
           == NFFI_OK;
}


static void
free_memory(nffi_queue_t *queue)
{
    nffi__arena_free_all(&queue->arena);
    nffi__table_free(queue->tables, queue->tables_size);
    queue->tables = NULL;
    queue->running = NULL;
    queue->cancelled.next = NULL;
    queue->writable.next = NULL;
}


/* Resets what an earlier queue has left in the structure; with the mutex. */
static void
reset(nffi_queue_t *queue)
{
    queue->inside = 0;
    queue->endless = false;
    queue->open = 0;
    queue->fd_taken = false;
    queue->host_closed = false;
    queue->unused_reported = false;
    queue->news = false;
    queue->writable_news = false;
    queue->end_reported = false;
    queue->leader = NFFI__NOBODY;
    queue->arms = false;
    queue->armed = false;
    queue->broken = false;
    queue->trims = 0;
    queue->wake_due = false;
    queue->response_ns = 0;
    queue->payloads = NULL;
    queue->payload_ms = PAYLOAD_MS;
    queue->done_fd = -1;
    queue->control_fd = -1;
}


int
nffi__queue_create(nffi_queue_t **result, const nffi__region_t *region,
    int tasks_fd, const nffi__callbacks_t *callbacks)
{
    int rc;
    nffi_queue_t *queue;

    rc = take_structure(&queue);
    if (rc != NFFI_OK) {
        return rc;
    }

    /* with its mutex: stale handles may be looked up concurrently */
    reset(queue);
    queue->callbacks = *callbacks;

    if (!make_memory(queue, region)) {
        free_memory(queue);
        pthread_mutex_unlock(&queue->mutex);
        give_structure_back(queue);
        return NFFI_NO_MEMORY;
    }

    queue->region = *region;
    queue->tasks_fd = tasks_fd;
    queue->times_used++;
    queue->handle = HANDLE_MARK | queue->times_used << TABLE_BITS
                    | queue->index;
    nffi_spin_init(&queue->spinner, queue->region.header->spin_us);
    queue->arm_spinner = queue->spinner;
    pthread_mutex_unlock(&queue->mutex);

    *result = queue;

    return NFFI_OK;
}


/* From here on its handles name nothing; with the mutex. */
static void
forget_handles(nffi_queue_t *queue)
{
    queue->handle = 0;
    queue->host_closed = false;
    queue->wake_due = false;
    queue->region.max_tasks = 0;
    queue->region.response_arena = NULL;
    queue->region.response_arena_size = 0;
}


/* The host has closed it, and no thread of the runtime uses it. */
static bool
is_unused(nffi_queue_t *queue)
{
    return queue->host_closed && queue->inside == 0 && queue->open == 0
           && !queue->fd_taken
           && (queue->broken
               || nffi__ring_waiting(&queue->region.header->tasks_ring) == 0);
}


int
nffi__queue_try_end(nffi_queue_t *queue)
{
    bool unused;

    if (pthread_mutex_trylock(&queue->mutex) != 0) {
        return NFFI_WOULD_BLOCK;
    }

    /* later holders of the mutex check whether they are the last one */
    queue->host_closed = true;
    unused = is_unused(queue);

    if (unused) {
        forget_handles(queue);
    }

    /* a thread that has polled again since is waited for again */
    queue->unused_reported = false;
    pthread_mutex_unlock(&queue->mutex);

    return unused;
}


/* No thread looks at what is freed here: it has found no handle. */
void
nffi__queue_free(nffi_queue_t *queue, uint32_t last_generation)
{
    queue->first_generation = last_generation + 1;
    free_memory(queue);
    give_structure_back(queue);
}


void
nffi__discard_large(nffi__memfd_t *large)
{
    if (large->data == NULL) {
        return;
    }

    if (large->fd == -1) {
        free(large->data);

    } else {
        munmap(large->data, large->size);
        close(large->fd);
    }

    large->data = NULL;
    large->fd = -1;
}


void
nffi__discard_stream(nffi__running_t *running)
{
    if (running->stream != NULL) {
        free(running->stream->collected);
        free(running->stream);
        running->stream = NULL;
    }
}


void
nffi__queue_destroy(nffi_queue_t *queue, uint32_t last_generation)
{
    uint32_t slot, slots = queue->region.max_tasks;

    pthread_mutex_lock(&queue->mutex);

    for (slot = 0; slot < slots; slot++) {
        nffi__discard_large(&queue->running[slot].large);
        nffi__discard_stream(&queue->running[slot]);
    }

    forget_handles(queue);
    pthread_mutex_unlock(&queue->mutex);
    nffi__queue_free(queue, last_generation);
}


nffi_queue_t *
nffi__queue_lock(const nffi_queue_t *handle)
{
    uint64_t value = (uintptr_t) handle;
    nffi_queue_t *queue;

    queue = atomic_load_explicit(&table[value & (TABLE_SIZE - 1)],
                                 memory_order_acquire);
    if (queue == NULL) {
        return NULL;
    }

    pthread_mutex_lock(&queue->mutex);

    if (queue->handle != value) {
        pthread_mutex_unlock(&queue->mutex);
        return NULL;
    }

    return queue;
}


nffi_queue_t *
nffi__queue_lock_own(void)
{
    uint32_t i;
    uint64_t only = 0;
    nffi_queue_t *queue;

    queue = nffi__queue_lock(nffi__polled);
    if (queue != NULL) {
        return queue;
    }

    for (i = 1; i < TABLE_SIZE; i++) {
        queue = atomic_load_explicit(&table[i], memory_order_acquire);
        if (queue == NULL) {
            break;
        }

        pthread_mutex_lock(&queue->mutex);

        if (queue->handle != 0 && only != 0) {
            pthread_mutex_unlock(&queue->mutex);
            return NULL;
        }

        only = queue->handle != 0 ? queue->handle : only;
        pthread_mutex_unlock(&queue->mutex);
    }

    return nffi__queue_lock((nffi_queue_t *) (uintptr_t) only);
}


nffi_queue_t *
nffi__task_queue(nffi_task_t task)
{
    return atomic_load_explicit(&table[task >> 52], memory_order_acquire);
}


nffi__running_t *
nffi__task_running(nffi_queue_t *queue, nffi_task_t task)
{
    uint32_t slot = nffi__task_slot(task);
    nffi__running_t *running;

    if (slot < queue->region.max_tasks) {
        running = &queue->running[slot];

        if (running->open && running->generation == (uint32_t) task) {
            return running;
        }
    }

    return NULL;
}


void
nffi__signal_host(nffi_queue_t *queue)
{
    if (queue->callbacks.wake != NULL) {
        queue->callbacks.wake(queue->callbacks.wake_data);
        return;
    }

    nffi__eventfd_signal(queue->done_fd);
}


void
nffi__unlock_and_wake(nffi_queue_t *queue)
{
    bool wake, unused;
    nffi__callbacks_t callbacks = queue->callbacks;

    wake = queue->wake_due
           && nffi__must_wake(&queue->region.header->host_parked);
    queue->wake_due = false;
    queue->response_ns = 0;

    if (wake && callbacks.wake != NULL) {
        /* the host must not free what is woken before the call returns */
        queue->inside++;
        pthread_mutex_unlock(&queue->mutex);
        nffi__signal_host(queue);
        pthread_mutex_lock(&queue->mutex);
        queue->inside--;
        wake = false;
    }

    unused = is_unused(queue) && !queue->unused_reported;
    queue->unused_reported |= unused;
    pthread_mutex_unlock(&queue->mutex);

    if (wake) {
        nffi__signal_host(queue);
    }

    if (unused && callbacks.unused != NULL) {
        callbacks.unused(callbacks.unused_data);
    }
}
