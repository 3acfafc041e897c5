/*
 * queue.h - the runtime's side of a queue: its private state, and what
 * host.c and attach.c need to make one. task.c makes and finds queues.
 */

#ifndef NFFI_QUEUE_H
#define NFFI_QUEUE_H

#include <pthread.h>

#include "shared/commit.h"
#include "shared/control.h"
#include "shared/nffi_spin.h"
#include "shared/region.h"

/* The chunks of a task; made by its first one. */
typedef struct nffi__stream {
    uint32_t written;         /* counts up and wraps, as in the slot */
    uint32_t read;            /* credit that was seen */
    uint64_t unread_bytes;
    uint32_t sizes[NFFI__CHUNKS];
    uint32_t waiters;         /* threads in nffi_stream_wait */
    bool blocked;             /* the last write found no credit */
    bool copying;             /* a thread copies a chunk without the mutex:
                                 others wait before they write or end it */
    unsigned char *collected; /* for a plain call: the chunks */
    size_t collected_size;
    size_t collected_room;
} nffi__stream_t;

/* A task that was taken and not yet answered, by slot. */
typedef struct nffi__running {
    nffi_request_t request;
    nffi__stream_t *stream;   /* NULL: nothing was written */
    void *mapping;            /* request in a memfd: its mapping */
    nffi__memfd_t large;      /* response buffer that is not in the arena;
                                 data NULL: none; fd -1: from the heap */
    uint32_t generation;
    uint32_t window;          /* bytes, 0: a plain call */
    bool open;
    bool cancel_reported;
    bool timed;
} nffi__running_t;

/* Slots to report, each at most once: next[slot] is 0 when it is not on the
   list, 1 at its end, else the index of the next one plus 2. */
typedef struct nffi__slot_list {
    uint32_t *next;
    uint32_t first;           /* as in next, 1: empty */
    uint32_t last;            /* a slot, when it is not empty */
} nffi__slot_list_t;

/* A memfd that arrived before its task was taken. */
typedef struct nffi__payload {
    struct nffi__payload *next;
    uint64_t task;
    int fd;
} nffi__payload_t;

/* A thread that follows the leader; it is on the thread's stack. */
typedef struct nffi__waiter {
    struct nffi__waiter *next;
    pthread_cond_t condition;
    uint32_t slot;            /* writers: whose stream has no credit */
    bool woken;
} nffi__waiter_t;

typedef struct nffi__waiters {
    nffi__waiter_t *first;    /* the last that came */
    _Atomic uint32_t count;   /* a leader that spins reads it without mutex */
    uint32_t woken;           /* taken off the list, but not yet running */
} nffi__waiters_t;

/* The thread that sleeps, or spins, for all. */
enum nffi__leader {
    NFFI__NOBODY = 0,
    NFFI__POLLER,             /* in nffi_queue_poll */
    NFFI__WRITER              /* in nffi_stream_wait: it takes no tasks */
};

/* How threads of the worker notify the event loop; all NULL in a process. */
typedef struct nffi__callbacks {
    void (*wake)(void *data); /* responses wait, and it has parked */
    void *wake_data;
    void (*unused)(void *data);   /* see nffi_host_options_t */
    void *unused_data;
} nffi__callbacks_t;

/*
 * The structure of a queue is never freed: a thread may call libnffi with a
 * handle of a queue that has ended, and the mutex must be there to find out.
 * All that it points to is freed, and the structure is used again by the next
 * queue, whose handles differ. docs/decisions/0008 explains it.
 */
struct nffi_queue {
    pthread_mutex_t mutex;    /* guards all below, but for `payloads` */
    pthread_condattr_t monotonic;
    nffi__waiters_t followers;     /* in nffi_queue_poll */
    nffi__waiters_t writers;  /* in nffi_stream_wait */
    pthread_cond_t copied;    /* a chunk; see nffi__stream_t */
    nffi__region_t region;
    nffi__arena_t arena;      /* of responses */
    uint32_t trims;           /* of the host that were followed */
    void *tables;             /* running, and those of the lists below */
    size_t tables_size;
    nffi__running_t *running;
    uint32_t index;           /* in the table of this process, from 1 */
    uint64_t handle;          /* what a runtime gets as nffi_queue_t *; 0: this
                                 structure serves no queue now */
    uint64_t times_used;      /* by queues, this one included */
    uint32_t first_generation;   /* of its tasks; earlier queues with this index
                                    used smaller ones */
    struct nffi_queue *next_free;
    uint32_t inside;          /* threads in a call that frees the mutex */
    bool endless;             /* polled by a library of 2022-09, whose thread
                                 always counts as inside */
    uint32_t open;            /* tasks that are taken and not answered */
    bool fd_taken;            /* the runtime may wait on tasks_fd by itself */
    bool host_closed;         /* the host takes it back once it is unused */
    bool unused_reported;         /* ... and knows that it is */
    nffi__slot_list_t cancelled;   /* not yet reported */
    nffi__slot_list_t writable;    /* streams, likewise */
    bool news;                /* on the lists, since arm last looked */
    bool writable_news;       /* since poll last returned for them */
    bool end_reported;            /* poll has returned the end */
    enum nffi__leader leader;
    bool nudged;              /* that leader must look again before it sleeps */
    bool arms;                /* a loop waits on the eventfd: no other thread
                                 may */
    bool armed;               /* that loop may sleep, or has just woken */
    nffi_spinner_t spinner;   /* the leader's */
    nffi_spinner_t arm_spinner;    /* of the thread that arms */
    bool broken;              /* the host violated the queue protocol */
    bool wake_due;            /* responses published, host not yet woken */
    uint64_t response_ns;     /* the time of the responses under way, 0: the
                                 clock was not read since the mutex was */

    int tasks_fd;
    int done_fd;              /* process only */
    int control_fd;           /* process only, else -1 */
    nffi__callbacks_t callbacks;

    pthread_mutex_t payloads_mutex;
    pthread_cond_t payload_came;
    nffi__payload_t *payloads;
    int payload_ms;           /* how long a memfd may be on its way */
};

/* Makes the runtime's side over a mapped region and enters it in the table of
   this process. 0, NFFI_NO_MEMORY or NFFI_QUEUE_FULL (the table is). */
int nffi__queue_create(nffi_queue_t **result, const nffi__region_t *region,
    int tasks_fd, const nffi__callbacks_t *callbacks);

/* Frees what the queue holds. The structure stays: calls with its handles are
   refused. `last_generation`: the highest one that a task of it had. */
void nffi__queue_destroy(nffi_queue_t *queue, uint32_t last_generation);

/*
 * The same in two steps, for the event loop, which never waits for the mutex.
 * Returns 1 when no thread uses the queue: its handles are refused from now on
 * and nffi__queue_free() must follow. 0: a thread uses it, and `unused` will be
 * called when the last one has left. NFFI_WOULD_BLOCK: a thread has the mutex.
 */
int nffi__queue_try_end(nffi_queue_t *queue);
void nffi__queue_free(nffi_queue_t *queue, uint32_t last_generation);

/* A runtime's handle of the queue. It is not an address. */
static inline nffi_queue_t *
nffi__queue_handle(const nffi_queue_t *queue)
{
    return (nffi_queue_t *) (uintptr_t) queue->handle;
}

/* The handle of the queue whose tasks this thread has taken, or NULL. */
extern _Thread_local const nffi_queue_t *nffi__polled;

/*
 * Returns the queue, with its mutex, of the runtime that has used an unknown
 * handle: the queue whose tasks this thread has taken, else the only one of
 * this process. NULL: the runtime is not known.
 */
nffi_queue_t *nffi__queue_lock_own(void);

/* The queue of a handle, with its mutex; NULL: it has ended. */
nffi_queue_t *nffi__queue_lock(const nffi_queue_t *handle);

#endif /* NFFI_QUEUE_H */
