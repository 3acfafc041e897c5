/*
 * nffi_host.h - the host's side of a queue: what the glue in the nginx worker
 * (and the tests) call. Not installed; its symbols are private to this release.
 *
 * Every function is called by one thread, the event loop, and none blocks.
 */

#ifndef NFFI_HOST_H
#define NFFI_HOST_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "nffi.h"

#pragma GCC visibility push(default)

typedef struct nffi_host nffi_host_t;

/*
 * Durations in nanoseconds. Bucket n counts durations of at most 1024 << n that
 * are in no smaller bucket; the last one counts the rest, from 69 s on.
 */
#define NFFI_HOST_FIRST_BUCKET 10
#define NFFI_HOST_FIRST_BUCKET_NS (1u << NFFI_HOST_FIRST_BUCKET)
#define NFFI_HOST_BUCKETS 28

typedef struct nffi_host_histogram {
    uint64_t count;
    uint64_t sum_ns;
    uint64_t buckets[NFFI_HOST_BUCKETS];
} nffi_host_histogram_t;

/* Of every task that was taken and has its response, also of cancelled ones;
   several hosts may share one. */
typedef struct nffi_host_times {
    nffi_host_histogram_t wait;   /* from queued to taken */
    nffi_host_histogram_t run;    /* from taken to answered */
} nffi_host_times_t;

typedef struct nffi_host_options {
    uint32_t max_queue;       /* tasks that wait, 0: 65536 */
    uint32_t max_tasks;       /* tasks not yet answered, 0: 65536; rounded up
                                 to a power of two, at most 1048576 */
    uint64_t max_bytes;       /* request bytes not yet answered, 0: 1 GiB */
    uint32_t spin_us;         /* the runtime spins for this time before it
                                 sleeps, 0: not at all; see nffi_spin.h */
    uint32_t request_arena;   /* bytes, 0: 8 MiB; rounded up to a power of two,
                                 64 KiB to 1 GiB */
    uint32_t response_arena;
    const void *config;       /* of the runtime, copied; NULL: none */
    size_t config_size;
    int process;              /* 1: memory that can be handed to a process */
    void (*wake)(void *data); /* called by a runtime thread when the host has
                                 parked; unused with `process` */
    void *wake_data;
    void (*unused)(void *data);   /* called once by a runtime thread, after
                                 nffi_host_end() has returned 0: the last
                                 thread has left the queue */
    void *unused_data;
    void (*grown)(void *data);     /* NULL: nothing; with `process`: memory was
                                 allocated, so nffi_host_trim() is due */
    void *grown_data;
    void (*message)(void *data);   /* NULL: nothing; with `process`:
                                 nffi_host_process_event() is due, although
                                 the control socket reports nothing */
    void *message_data;
    nffi_host_times_t *times; /* NULL: the clock is not read; else the
                                 caller's, filled in while tasks are
                                 collected */
} nffi_host_options_t;

int nffi_host_create(nffi_host_t **result, const nffi_host_options_t *options);

/* Unmaps and frees everything, and releases pending tasks silently. No thread
   of this process may use the queue: the runtime is a process, or there is
   none. */
void nffi_host_destroy(nffi_host_t *host);

/* Creates the runtime's side for threads of this process; call it once. The
   runtime gets a handle, which it may use after the queue has ended: the calls
   are then refused. */
int nffi_host_queue(nffi_host_t *host, nffi_queue_t **queue);

/*
 * The same queue for a library of the public ABIs, after nffi_host_queue(): an
 * opaque value whose low 32 bits are `length`. With `endless` its poll never
 * returns NULL.
 */
void *nffi_host_public_queue(nffi_host_t *host, uint32_t length, int endless);


typedef struct nffi_host_request {
    const void *data;
    size_t size;
    const char *method;
    size_t method_size;       /* at most 255 */
    uint64_t deadline_ns;
    uint64_t now_ns;          /* of the same clock, if the caller has read it */
    uint32_t window;          /* bytes of a stream, 0: a plain call */
} nffi_host_request_t;

/*
 * Copies the request, queues the task and wakes the runtime if it sleeps.
 * `owner` comes back with the response and must not be NULL. NFFI_QUEUE_FULL,
 * NFFI_CLOSED (also when the runtime violated the protocol, or has just gone),
 * NFFI_NO_MEMORY, NFFI_SYSTEM, NFFI_INVALID (also for more than max_bytes)
 * leave nothing behind.
 */
int nffi_host_submit(nffi_host_t *host, const nffi_host_request_t *request,
    void *owner, nffi_task_t *task);

/* Cancels a task: its response will be discarded, and a task that still waits
   is never started. */
void nffi_host_cancel(nffi_host_t *host, nffi_task_t task);


#define NFFI_HOST_ERROR 1u    /* data: message, then detail */
#define NFFI_HOST_CHUNK 2u    /* one of a stream: more follow, or the end; with
                                 NFFI_HOST_ERROR one was lost: cancel it */
#define NFFI_HOST_END 4u      /* of a stream: no bytes */

typedef struct nffi_host_response {
    void *owner;
    const void *data;
    size_t size;
    size_t message_size;      /* with NFFI_HOST_ERROR: the rest is detail */
    int32_t rc;
    uint32_t flags;
    uint32_t slot;            /* private, as what follows: for
                                 nffi_host_release */
    uint32_t offset;
    void (*free)(void *data);
    uint8_t storage;
} nffi_host_response_t;

/*
 * Collects up to `max` responses in their order. Returns their number, or
 * NFFI_PROTOCOL if the runtime has violated the protocol: then close it. Each
 * response needs nffi_host_release, which frees its bytes.
 */
int nffi_host_collect(nffi_host_t *host, nffi_host_response_t *responses,
    size_t max);
void nffi_host_release(nffi_host_t *host, nffi_host_response_t *response);

/*
 * Lua has read one chunk of `size` bytes of this stream, so that another may
 * be written. A chunk is released when its bytes were copied, and read when
 * they were used: what is between them is the host's memory, and bounded.
 */
void nffi_host_credit(nffi_host_t *host, nffi_task_t task, size_t size);

/* A message for the log. `owner` NULL: of a task that has ended. */
typedef struct nffi_host_log {
    void *owner;
    int level;                /* enum nffi_log_level */
    size_t size;
    unsigned char text[2048];
} nffi_host_log_t;

/*
 * Takes one message. Returns 1, 0 if there is none, or NFFI_PROTOCOL. Take the
 * messages before you collect a response: those that were sent before it then
 * still have their owner.
 */
int nffi_host_log(nffi_host_t *host, nffi_host_log_t *log);

/* Returns how many messages found no room since the last call. */
uint32_t nffi_host_logs_dropped(nffi_host_t *host);

/* Returns whether there is something to collect, or the runtime has violated
   the queue protocol. */
int nffi_host_waiting(nffi_host_t *host);

/* Returns a mark behind the responses that wait now, and whether all before a
   mark have been collected; also 1 for a host that collects nothing after a
   protocol violation. */
uint32_t nffi_host_mark(nffi_host_t *host);
int nffi_host_is_past(nffi_host_t *host, uint32_t mark);

/* Announces that the host sleeps. Returns 1 when something waits already (the
   host has not parked), 0 when the next one will wake it. */
int nffi_host_park(nffi_host_t *host);

/* Refuses new tasks. Waiting tasks are still answered; then poll returns the
   end. */
void nffi_host_close(nffi_host_t *host);

/*
 * After nffi_host_close(): destroys the host if no thread of this process uses
 * the queue. The caller has collected all responses. Returns 1 when the host is
 * destroyed; 0 when a thread is in a call, has a running task or the descriptor
 * of nffi_queue_fd(): `unused` is called when that is over, then call again;
 * NFFI_WOULD_BLOCK when a thread is in the middle of a call: call again soon.
 */
int nffi_host_end(nffi_host_t *host);

/* Takes the owner of one task that was not answered, NULL when there is none;
   its response will be freed. */
void *nffi_host_take_pending(nffi_host_t *host);

/* Returns the limit that refused a task with NFFI_QUEUE_FULL: "max_queue",
   "max_tasks", "arena" (too many waiting requests for which it has no room), or
   NULL for the limit of bytes. Sets `used` to the number in use: waiting calls,
   unanswered calls, such requests, bytes of requests. Call it once after the
   refusal. thread: the host's; blocks: no. */
const char *nffi_host_full(nffi_host_t *host, uint64_t *used);

/*
 * Queues a health check: a task that the runtime's side of the library skips as
 * soon as the runtime polls, invisible to its code. At most one is in flight;
 * none is made while other tasks wait, which show the same. NFFI_OK,
 * NFFI_QUEUE_FULL or NFFI_CLOSED.
 */
int nffi_host_ping(nffi_host_t *host);

/* Returns how many tasks the runtime has taken, pings included, according to
   the runtime; it wraps. `waiting` is set to the number that waits now. */
uint32_t nffi_host_taken(nffi_host_t *host, uint32_t *waiting);

/*
 * Frees shared memory of a process that was not needed since the last call, at
 * most some MiB. Call it every NFFI_HOST_TRIM_MS after `grown` was called, as
 * long as it returns 1. blocks: no, but takes up to half a millisecond.
 */
#define NFFI_HOST_TRIM_MS 500

int nffi_host_trim(nffi_host_t *host);

/* Bytes of shared memory that have pages, as far as the host knows; 0 without
   `process`. */
uint64_t nffi_host_shared_bytes(const nffi_host_t *host);

typedef struct nffi_host_state {
    uint32_t queued;          /* waiting for the runtime */
    uint32_t unanswered;      /* queued or running, cancelled ones too */
    uint32_t awaited;         /* unanswered, with an owner */
    uint64_t bytes;           /* request bytes of the unanswered */
    uint64_t refused;         /* responses with a stale or invented handle */
} nffi_host_state_t;

void nffi_host_state(nffi_host_t *host, nffi_host_state_t *state);

/* Kinds of misuse of a task's handle by the runtime; each is refused. */
#define NFFI_HOST_TWICE 0     /* the task was answered already */
#define NFFI_HOST_UNKNOWN 1   /* there is no such task */
#define NFFI_HOST_MISUSES 2

/* Adds to `count` how often it happened since the last time. Returns 1 the
   first time that it did. */
int nffi_host_misuse(nffi_host_t *host, int kind, uint64_t *count);


/* A runtime as a process: see execute.c of the supervisor for the descriptors
   that are passed. */

#define NFFI_RESET_CPUS 1u    /* all CPUs, not the worker's own set */

typedef struct nffi_spawn_limit {
    int resource;             /* RLIMIT_... */
    uint64_t value;           /* soft and hard */
} nffi_spawn_limit_t;

typedef struct nffi_spawn_options {
    char *const *programs;    /* absolute: the first that can be executed is;
                                 of several, it becomes argv[0] */
    char *const *argv;
    char *const *envp;
    const char *directory;    /* absolute, NULL: inherit */
    const char *user;         /* a name, NULL: inherit; requires root */
    uint32_t flags;
    int nice;                 /* -20 to 19, 0: inherit */
    const nffi_spawn_limit_t *limits;   /* at most 8 */
    size_t limits_count;
} nffi_spawn_options_t;

/* control_fd and done_fd are closed by nffi_host_destroy, keeper_fd and pidfd
   by nffi_process_release, the other two by the caller of nffi_host_spawn. */
typedef struct nffi_process {
    pid_t pid;                /* 0: not known yet */
    int pidfd;                /* -1 where the kernel has none */
    int keeper_fd;            /* SOCK_SEQPACKET, ours: reports */
    int control_fd;           /* SOCK_SEQPACKET, ours: messages and death */
    int done_fd;              /* eventfd, ours: responses wait */
    int stdout_fd;            /* pipe, ours */
    int stderr_fd;
} nffi_process_t;

/*
 * Starts the supervisor `program` and returns this process's end of its socket.
 * Takes the time of two executions of a small program, whatever the size of
 * this one, and leaves it no child. The supervisor and all that descend from it
 * end when every copy of the socket is closed. -1 with errno; `stage` names
 * what failed.
 */
int nffi_supervisor_start(const char *program, const char **stage);

/*
 * Requests from the supervisor to start a process with the queue of `host`,
 * which was made with `process`. A host serves one process. nffi_process_report
 * returns the result; calls may be made before. On failure nothing is left
 * behind: NFFI_CLOSED: the supervisor has ended; NFFI_SYSTEM with errno, EAGAIN
 * when too many starts wait; `stage` is set to the failed step.
 */
int nffi_host_spawn(nffi_host_t *host, int supervisor,
    const nffi_spawn_options_t *options, nffi_process_t *process,
    const char **stage);

typedef struct nffi_process_report {
    const char *stage;        /* static: "exec", "chdir", "getpwnam", ... */
    int error;                /* errno; 0 of getpwnam: there is no such user */
    int status;               /* as of waitpid() */
} nffi_process_report_t;

/*
 * Reads one report of the keeper; blocks: no. NFFI_PROCESS_NONE, _STARTED (pid
 * and pidfd are filled in), _NOT_STARTED (stage and error), _ENDED (status) or
 * _GONE (the keeper has ended).
 */
int nffi_process_report(nffi_process_t *process, nffi_process_report_t *result);

/* Reads one message of the process; blocks: no. GONE may come while responses
   still wait to be collected. */
enum nffi_process_event {
    NFFI_PROCESS_NONE = 0,    /* nothing more now */
    NFFI_PROCESS_READY,       /* attached and serving */
    NFFI_PROCESS_FAILED,      /* `text` says why it could not start */
    NFFI_PROCESS_ABI_MISMATCH,    /* `abi` is the process's version */
    NFFI_PROCESS_GONE,        /* end of file */
    NFFI_PROCESS_STARTED,     /* of nffi_process_report */
    NFFI_PROCESS_NOT_STARTED,
    NFFI_PROCESS_ENDED
};

typedef struct nffi_process_message {
    uint32_t abi;             /* of the shared memory: the process's */
    uint32_t host_abi;        /* ours */
    size_t size;
    char text[2048];          /* NUL-terminated */
} nffi_process_message_t;

int nffi_host_process_event(nffi_host_t *host, nffi_process_message_t *message);

/* Sends SIGKILL to the process and its descendants; idempotent. */
void nffi_process_kill(nffi_process_t *process);

/* Hands the process over to its keeper, which kills it and its descendants
   after a grace period. Closes keeper_fd and pidfd. */
void nffi_process_release(nffi_process_t *process);

#pragma GCC visibility pop

#endif /* NFFI_HOST_H */
