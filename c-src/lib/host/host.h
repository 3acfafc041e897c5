/*
 * host.h - the host's private state, shared by host.c, submit.c, collect.c,
 * receive.c and spawn.c.
 */

#ifndef NFFI__HOST_H
#define NFFI__HOST_H

#include <sys/socket.h>

#include "shared/commit.h"
#include "shared/control.h"
#include "shared/eventfd.h"
#include "shared/word.h"
#include "host/nffi_host.h"
#include "runtime/queue.h"
#include "shared/region.h"

enum nffi__entry_state {
    NFFI__ENTRY_FREE = 0,
    NFFI__ENTRY_OPEN,         /* queued or running */
    NFFI__ENTRY_ANSWERED      /* collected, not yet released */
};

/* Max waiting requests in memfds. Each uses a descriptor of the runtime's
   process, whose limit is often 1024. */
#define NFFI__MAX_PAYLOADS 256

/*
 * Messages of the process that are read before they are needed. From the first
 * number on, the host leaves them in the socket, so that a fast runtime waits
 * instead of filling nginx's table of descriptors. A search for a payload reads
 * on: a correct process has sent at most one message for each response and
 * chunk of its unanswered tasks, and up to the second number for cancelled
 * tasks. More is a violation of the protocol.
 */
#define NFFI__PAUSE_KEPT 64
#define NFFI__MAX_KEPT 512

/* The host's private record of the task in a slot. */
typedef struct nffi__entry {
    void *owner;              /* NULL: cancelled */
    void *request;            /* in the heap */
    void *response;           /* in the heap, or mapped */
    void (*release)(void *data);
    size_t size;              /* of the request, then of a mapped response */
    uint32_t request_offset;
    uint32_t response_offset;
    uint32_t generation;
    uint32_t window;          /* 0: no stream */
    uint32_t taken;           /* chunks out of shared memory */
    uint32_t read;            /* chunks returned as credit */
    uint64_t unread_bytes;
    uint64_t submitted_ns;    /* 0: not timed */
    uint8_t state;
    uint8_t request_storage;
    uint8_t response_storage;
    bool ping;                /* a health check, not a call */
} nffi__entry_t;

/* A message of the process that was read while looking for another. */
typedef struct nffi__received {
    struct nffi__received *next;
    nffi__message_t message;
    int fd;
} nffi__received_t;

/* A stream that was found on the done ring, while its chunks are taken. */
typedef struct nffi__current {
    uint32_t slot;
    uint32_t written;         /* chunks, when it was found */
    bool finished;
    bool active;
} nffi__current_t;

struct nffi_host {
    nffi__region_t region;
    nffi__arena_t arena;      /* of requests */
    uint32_t readable;        /* bytes of the response arena that have pages for
                                 certain */
    nffi__entry_t *entries;   /* by slot */
    nffi__current_t current;
    uint32_t *free_slots;     /* a stack of used slots */
    uint32_t returned;        /* number of slots on the stack */
    uint32_t fresh;           /* slots from here on are free, and not on the
                                 stack */
    uint32_t free_count;      /* of both */
    uint32_t slots;           /* number of slots that may be used */
    uint32_t committed_slots; /* at least those have pages */
    uint32_t needed_slots;    /* max used slots since the last trim */
    uint32_t scan;            /* of nffi_host_take_pending */
    uint32_t unanswered;
    uint32_t awaited;
    uint32_t max_queue;
    uint32_t first_generation;   /* of the tasks */
    uint32_t last_generation;    /* the highest one so far */
    uint64_t max_bytes;
    uint64_t bytes;
    nffi_queue_t *queue;      /* in this process, NULL: none yet */
    nffi__callbacks_t callbacks;
    void (*grown)(void *data);     /* NULL: nothing */
    void *grown_data;
    void (*message)(void *data);   /* NULL: nothing */
    void *message_data;
    nffi_host_times_t *times; /* the glue's, NULL: not measured */
    uint64_t now_ns;          /* the last value of the clock */
    nffi__received_t *received;
    uint32_t kept;            /* number of `received` */
    bool paused;              /* more may be in the socket */
    uint32_t payloads[NFFI__MAX_PAYLOADS];  /* requests in memfds, by their
                                 position on the tasks ring, oldest first */
    uint32_t payloads_first;
    uint32_t payloads_count;
    bool unsent;              /* the last one was refused: too many wait */
    uint32_t misused[NFFI__MISUSES];   /* the count that nffi_host_misuse has
                                          reported */
    int tasks_fd;
    int done_fd;              /* process only */
    int memory_fd;            /* process only, until it was handed over and
                                 the region does not need it */
    int control_fd;           /* process only, ours */
    bool process;
    bool closed;
    bool broken;
    bool pinging;             /* a ping is in flight */
};

/* Returns the slot that is taken next, if one is free. Slots that were used
   before come first, so that a light load needs few pages. */
static inline uint32_t
nffi__host_next_slot(const nffi_host_t *host)
{
    return host->returned > 0 ? host->free_slots[host->returned - 1]
                              : host->fresh;
}

static inline void
nffi__host_take_slot(nffi_host_t *host)
{
    if (host->returned > 0) {
        host->returned--;

    } else {
        host->fresh++;
    }

    host->free_count--;
}

/* Sets the generation of the next task in this slot. It is never 0. */
static inline void
nffi__host_next_generation(nffi_host_t *host, nffi__entry_t *entry)
{
    entry->generation = entry->generation == 0 ? host->first_generation
                                               : entry->generation + 1;
    entry->generation += entry->generation == 0;

    if ((int32_t) (entry->generation - host->last_generation) > 0) {
        host->last_generation = entry->generation;
    }
}

/* Returns how often a kind of misuse was counted. */
static inline uint32_t
nffi__host_misused(nffi_host_t *host, int kind)
{
    return atomic_load_explicit(&host->region.header->misused[kind],
                                memory_order_seq_cst);
}

/* Wakes the runtime, which has parked in this way. The threads of a process
   never sleep on the word, whatever it contains. */
static inline void
nffi__host_signal_runtime(nffi_host_t *host, uint32_t parked)
{
    if (parked == NFFI__ON_WORD && !host->process) {
        nffi__word_wake(&host->region.header->runtime_parked);

    } else {
        nffi__eventfd_signal(host->tasks_fd);
    }
}

/* Wakes the runtime if it has parked; the caller has published. */
static inline void
nffi__host_wake_runtime(nffi_host_t *host)
{
    uint32_t parked = nffi__must_wake(&host->region.header->runtime_parked);

    if (parked != 0) {
        nffi__host_signal_runtime(host, parked);
    }
}

/* Called when no slot is free. Allocates more; returns NFFI_QUEUE_FULL if all
   are allocated, or NFFI_NO_MEMORY. */
int nffi__host_add_slots(nffi_host_t *host);

/* Returns true if these bytes of the response arena certainly have pages. A
   runtime lowers the number that it publishes before it frees pages. */
static inline bool
nffi__host_may_read(nffi_host_t *host, uint64_t offset, uint64_t size)
{
    uint32_t committed;

    if (host->process) {
        committed = atomic_load_explicit(
            &host->region.header->response_committed, memory_order_acquire);

        if (host->readable > committed) {
            host->readable = committed;
        }
    }

    return size <= host->readable && offset <= host->readable - size;
}

/* Ensures that bytes of the response arena have pages before they are read.
   Returns NFFI_PROTOCOL if they are not in the arena. */
int nffi__host_reach(nffi_host_t *host, uint64_t offset, uint64_t size);

/* Frees pages of the worker's arena and slots, in one step. Returns true if
   more are left. Sets `follow` if the response arena has pages that the runtime
   could free. */
bool nffi__host_trim(nffi_host_t *host, bool *follow);

/* Allocates a block for a request, with new pages if necessary. */
bool nffi__host_alloc_more(nffi_host_t *host, size_t size, uint32_t *offset);

/* Sends a note: something about a running task has changed. */
void nffi__host_note(nffi_host_t *host, uint32_t slot);

/* Returns a block of the response arena to the runtime. */
void nffi__host_free_block(nffi_host_t *host, uint32_t offset);

/* Frees the bytes of a request that the runtime has finished with. */
void nffi__host_free_request(nffi_host_t *host, nffi__entry_t *entry);

#endif /* NFFI__HOST_H */
