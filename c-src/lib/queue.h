/*
 * queue.h - the runtime's side of a queue: its private state, and what
 * host.c and attach.c need to make one.
 */

#ifndef NFFI_QUEUE_H
#define NFFI_QUEUE_H

#include <pthread.h>

#include "arena.h"
#include "control.h"
#include "region.h"

/* A task that was taken and not yet answered, by slot. */
typedef struct nffi__running {
    nffi_request_t request;
    void *mapping;            /* request in a memfd: its mapping */
    nffi__memfd_t large;      /* response buffer that is not in the arena;
                                 data NULL: none; fd -1: from the heap */
    uint32_t generation;
    bool open;
    bool told_cancelled;
} nffi__running_t;

/* A memfd that arrived before its task was taken. */
typedef struct nffi__payload {
    struct nffi__payload *next;
    uint64_t task;
    int fd;
} nffi__payload_t;

struct nffi_queue {
    pthread_mutex_t mutex;    /* guards all below, but for `payloads` */
    pthread_cond_t follow;    /* pollers wait while one of them waits on
                                 the eventfd for all */
    nffi__region_t region;
    nffi__arena_t arena;      /* of responses */
    nffi__running_t *running;
    uint32_t index;           /* in the table of this process, from 1 */
    uint32_t followers;
    bool led;                 /* one poller waits on the eventfd */
    bool broken;              /* the host broke the rules */
    bool wake_due;            /* responses published, host not yet woken */
    _Atomic uint64_t refused; /* answers */
    uint32_t notes_told;      /* by arm */

    int tasks_fd;
    int done_fd;              /* process only */
    int control_fd;           /* process only, else -1 */
    void (*wake)(void *data); /* in the worker only */
    void *wake_data;

    pthread_mutex_t payloads_mutex;
    pthread_cond_t payload_came;
    nffi__payload_t *payloads;
    int payload_ms;           /* how long a memfd may be on its way */
};

/* Makes the runtime's side over a mapped region and enters it in the table of
   this process. 0, NFFI_NO_MEMORY or NFFI_QUEUE_FULL (the table is). */
int nffi__queue_create(nffi_queue_t **queue, const nffi__region_t *region,
    int tasks_fd);

/* Only when no thread can use it any more, as in a failed start. */
void nffi__queue_destroy(nffi_queue_t *queue);

#endif /* NFFI_QUEUE_H */
