/*
 * region.h - the memory that the worker and one runtime share: its layout and
 * its rings. Offsets, never pointers; no lock inside; the same layout in one
 * process (anonymous memory) and between two (memfd).
 *
 * Each word has one writer, named below. A reader loads a word once into a
 * local, checks it and uses only the local: the other side may be wrong. Words
 * that are not atomic are volatile, since a compiler may otherwise load them
 * again after the check. This guards against bugs, not against hostile code of
 * the same user.
 *
 * Wake-ups are the store/load pattern of Dekker: the producer publishes its
 * tail, then checks whether the consumer has parked; the consumer announces
 * that it parks, then checks the tail again. All four are sequentially
 * consistent, so at least one side sees the other. (Fences would work as well,
 * but ThreadSanitizer does not understand them.)
 */

#ifndef NFFI_REGION_H
#define NFFI_REGION_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nffi.h"

#define NFFI__MAGIC 0x6966666eu              /* "nffi" */

/* The version of this layout, which a process and its worker must share. It
   grows with every change of the structures below; NFFI_ABI_VERSION is the
   version of the functions, and does not change with it. */
#define NFFI__REGION_ABI 3

#define NFFI__CACHE_LINE 64
#define NFFI__REGION_PAGE (64u << 10)        /* the largest of any kernel */
#define NFFI__MAX_TASKS (1u << 20)
#define NFFI__MIN_ARENA (64u << 10)        /* powers of two from here */
#define NFFI__MAX_ARENA (1u << 30)          /* to here */
#define NFFI__MIN_FREES 256                /* entries of that ring */
#define NFFI__CHUNKS 8                       /* unread ones of one stream */
#define NFFI__LOGS 256                       /* messages on their way */
#define NFFI__LOG_SIZE 2048                  /* bytes of one */

/* Where a payload is. A request in one of the three kinds of memory has a NUL
   behind its last byte, which is not counted. */
enum nffi__storage {
    NFFI__NOWHERE = 0,        /* no bytes */
    NFFI__IN_ARENA,           /* offset into the writer's arena */
    NFFI__IN_HEAP,            /* one process only: offset is a pointer */
    NFFI__IN_MEMFD,           /* two processes: sent over the control socket */
    NFFI__EMPTY               /* a response: no bytes, but not NULL */
};

/* How a side sleeps, which its waker must know; 0: it is awake. */
enum nffi__parked {
    NFFI__ON_DESCRIPTOR = 1,
    NFFI__ON_WORD             /* of the header: threads of the worker only */
};

/* How a task ended. */
enum nffi__response_kind {
    NFFI__ANSWERED = 1,
    NFFI__FAILED,             /* message, then detail */
    NFFI__SKIPPED,            /* cancelled while queued: never started */
    NFFI__ENDED               /* a stream, after its last chunk */
};

/* How a runtime misused the handle of a task. */
enum nffi__misuse {
    NFFI__TWICE = 0,          /* it was answered already */
    NFFI__UNKNOWN,            /* it names no task */
    NFFI__MISUSES
};

/* The news of a stream on the done ring. */
enum nffi__news {
    NFFI__MORE_CHUNKS = 1,
    NFFI__FINISHED            /* chunks perhaps, then the response */
};

/*
 * One task. The host writes the first line before it queues the task, except
 * `cancelled`, `chunks_read` and `noted`. The host sets the last three words of
 * the second line to 0; then the runtime writes this line, before the task is
 * on the done ring. A stream (`window` is not 0) has one entry on the done ring
 * for many chunks: `announced` is not 0 while this entry waits, and `noted` is
 * not 0 while a note waits, so neither ring can overflow. `taken_ns` is written
 * when the task is taken. Both times are CLOCK_MONOTONIC, and are written only
 * if `timed` is set.
 */
typedef struct nffi__slot {
    _Alignas(NFFI__CACHE_LINE)
    uint64_t request_offset;
    uint64_t request_size;    /* method and payload together */
    uint64_t deadline_ns;
    uint32_t generation;
    uint16_t method_size;
    uint16_t request_storage;
    _Atomic uint32_t cancelled;
    uint32_t window;          /* bytes, 0: a plain call */
    _Atomic uint32_t chunks_read;      /* credit: counts up and wraps */
    _Atomic uint32_t noted;   /* host sets, runtime clears */
    uint32_t timed;
    uint32_t has_data;        /* 0: the payload is NULL, not empty */

    _Alignas(NFFI__CACHE_LINE)
    uint64_t response_offset;
    uint64_t response_size;
    uint64_t response_release;   /* heap only: the function that frees */
    uint32_t message_size;
    int32_t rc;
    uint16_t response_storage;
    uint16_t response_kind;
    _Atomic uint32_t chunks_written;   /* counts up and wraps */
    _Atomic uint32_t announced;        /* runtime sets, host clears */
    _Atomic uint32_t blocked; /* the runtime sets it: it needs credit */
    uint64_t taken_ns;
    uint64_t answered_ns;
} nffi__slot_t;

/* One chunk of a stream; each slot has a ring of NFFI__CHUNKS of them, where
   chunk n is at n modulo NFFI__CHUNKS. */
typedef struct nffi__chunk {
    uint64_t offset;          /* heap only: a pointer; free() frees it */
    uint32_t size;
    uint32_t storage;
} nffi__chunk_t;

/* A message for the log. Its text is in the response arena. */
typedef struct nffi__log {
    uint64_t task;            /* generation << 32 | slot */
    uint32_t offset;
    uint16_t size;
    uint16_t level;
} nffi__log_t;

/* Single producer, single consumer; head and tail count up and wrap. */
typedef struct nffi__ring {
    _Alignas(NFFI__CACHE_LINE) _Atomic uint32_t head;   /* consumer writes */
    _Alignas(NFFI__CACHE_LINE) _Atomic uint32_t tail;   /* producer writes */
} nffi__ring_t;

/*
 * The head of the region. The worker writes the first part once, before any
 * other side sees it.
 */
typedef struct nffi__header {
    uint32_t magic;
    uint32_t abi;
    uint64_t size;            /* of the whole region */
    uint32_t max_tasks;       /* a power of two; each ring has that many */
    uint32_t request_arena_size;
    uint32_t response_arena_size;
    uint32_t frees_size;      /* entries of the ring of freed blocks */
    uint32_t spin_us;         /* how long the runtime may spin */
    uint32_t reserved;
    uint64_t slots;           /* offsets from the start of the region */
    uint64_t tasks;
    uint64_t done;
    uint64_t notes;
    uint64_t frees;
    uint64_t chunks;
    uint64_t logs;
    uint64_t request_arena;
    uint64_t response_arena;
    uint64_t config;          /* 0: the runtime has no configuration; else it
                                 is followed by a NUL that is not counted */
    uint64_t config_size;

    nffi__ring_t tasks_ring;  /* host -> runtime: slot indexes */
    nffi__ring_t notes_ring;  /* host -> runtime: slots of running tasks that
                                 were cancelled, or have credit */
    nffi__ring_t frees_ring;  /* host -> runtime: response blocks read */
    nffi__ring_t done_ring;   /* runtime -> host: generation and slot */
    nffi__ring_t logs_ring;   /* runtime -> host */

    _Alignas(NFFI__CACHE_LINE)
    _Atomic uint32_t runtime_parked;   /* enum nffi__parked: runtime sets, host
                                          clears; a thread may sleep on it */
    _Alignas(NFFI__CACHE_LINE)
    _Atomic uint32_t host_parked;      /* host sets, runtime clears */
    _Alignas(NFFI__CACHE_LINE)
    _Atomic uint32_t closed;           /* host sets */
    _Atomic uint32_t trims;            /* host adds, then queues a ping: the
                                          runtime returns memory that it does
                                          not need */
    _Alignas(NFFI__CACHE_LINE)
    _Atomic uint32_t response_committed;   /* runtime sets: bytes of its arena
                                          that have pages */
    _Alignas(NFFI__CACHE_LINE)
    _Atomic uint32_t logs_dropped;     /* runtime adds, host sets to 0 */
    _Alignas(NFFI__CACHE_LINE)
    _Atomic uint32_t misused[NFFI__MISUSES];   /* runtime adds */
} nffi__header_t;

/* One side's view: addresses in this process, sizes checked once. */
typedef struct nffi__region {
    nffi__header_t *header;
    size_t size;
    int memfd;                /* of the pages, -1: the mapping is enough */
    uint32_t max_tasks;
    uint32_t frees_count;
    uint32_t request_arena_size;
    uint32_t response_arena_size;
    volatile nffi__slot_t *slots;
    volatile uint32_t *tasks;
    volatile uint32_t *notes;
    volatile uint32_t *frees;
    volatile uint64_t *done;
    volatile nffi__chunk_t *chunks;
    volatile nffi__log_t *logs;
    unsigned char *request_arena;
    unsigned char *response_arena;
    const unsigned char *config;       /* NULL: none */
    size_t config_size;
} nffi__region_t;

/* The sizes of a region, and the configuration that is copied into it. */
typedef struct nffi__region_options {
    uint32_t max_tasks;
    uint32_t request_arena;
    uint32_t response_arena;
    const void *config;       /* NULL: none */
    size_t config_size;
} nffi__region_options_t;

/*
 * Creates the region in anonymous memory of this process (`memfd` is -1) or in
 * the file: sets its size, allocates its first pages and seals the size;
 * commit.h explains the other pages. Returns 0, NFFI_NO_MEMORY or NFFI_SYSTEM.
 */
int nffi__region_create(nffi__region_t *region, int memfd,
    const nffi__region_options_t *options);

/* Maps the region of another process. Returns 0, NFFI_PROTOCOL,
   NFFI_ABI_MISMATCH or NFFI_SYSTEM. */
int nffi__region_attach(nffi__region_t *region, int memfd);

void nffi__region_unmap(nffi__region_t *region);


/* Producer: returns true if the ring has no room. `capacity` is a power of
   two. */
static inline bool
nffi__ring_full(nffi__ring_t *ring, uint32_t capacity)
{
    uint32_t head = atomic_load_explicit(&ring->head, memory_order_acquire);
    uint32_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);

    return tail - head >= capacity;
}

/* Producer: returns the number of entries that are not consumed. */
static inline uint32_t
nffi__ring_unread(nffi__ring_t *ring)
{
    uint32_t head = atomic_load_explicit(&ring->head, memory_order_acquire);
    uint32_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);

    return tail - head;
}

/* Producer: returns the position of the next entry. */
static inline uint32_t
nffi__ring_next(nffi__ring_t *ring, uint32_t capacity)
{
    return atomic_load_explicit(&ring->tail, memory_order_relaxed)
           & (capacity - 1);
}

/* Producer: publishes `count` entries. */
static inline void
nffi__ring_publish(nffi__ring_t *ring, uint32_t count)
{
    uint32_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);

    atomic_store_explicit(&ring->tail, tail + count, memory_order_seq_cst);
}

/* Consumer: returns the number of waiting entries. More than `capacity` is a
   violation of the protocol by the producer. */
static inline uint32_t
nffi__ring_waiting(nffi__ring_t *ring)
{
    uint32_t tail = atomic_load_explicit(&ring->tail, memory_order_seq_cst);
    uint32_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);

    return tail - head;
}

/* Consumer: returns the position of the first waiting entry. */
static inline uint32_t
nffi__ring_first(nffi__ring_t *ring, uint32_t capacity)
{
    return atomic_load_explicit(&ring->head, memory_order_relaxed)
           & (capacity - 1);
}

/* Consumer: frees the places of `count` entries. */
static inline void
nffi__ring_consume(nffi__ring_t *ring, uint32_t count)
{
    uint32_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);

    atomic_store_explicit(&ring->head, head + count, memory_order_release);
}

/* The sleeper's half of a wake-up. The sleeper must check its ring after it. */
static inline void
nffi__announce_parked(_Atomic uint32_t *parked, enum nffi__parked how)
{
    atomic_store_explicit(parked, how, memory_order_seq_cst);
}

static inline void
nffi__revoke_parked(_Atomic uint32_t *parked)
{
    atomic_store_explicit(parked, 0, memory_order_relaxed);
}

/* The waker's half, after it has published. Returns how the sleeper sleeps if
   it must be signalled, else 0. */
static inline uint32_t
nffi__must_wake(_Atomic uint32_t *parked)
{
    return atomic_load_explicit(parked, memory_order_seq_cst)
           ? atomic_exchange_explicit(parked, 0, memory_order_seq_cst) : 0;
}

#endif /* NFFI_REGION_H */
