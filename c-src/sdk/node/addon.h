/*
 * addon.h - shared by the files of the addon: its state in one environment of
 * Node, and the memory through which C and JavaScript pass batches.
 *
 * Everything here runs in the thread of that environment. A process may have
 * several (worker_threads): the one of the main thread attaches and takes the
 * tasks; the others join it, get handles from it in JavaScript, read the
 * requests and respond.
 */

#ifndef NFFI_ADDON_H
#define NFFI_ADDON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <node_api.h>

#include "nffi.h"
#include "uv_loop.h"

#define ADDON_BATCH 64        /* tasks a crossing */
#define ADDON_ROUNDS 16       /* batches a turn of the loop, so that timers
                                 and I/O of the user's code live */
#define ADDON_BYTES (256 * 1024)
#define ADDON_LARGE (16 * 1024)   /* from this size on a separate crossing is
                                     cheaper than a second copy */

/*
 * One ArrayBuffer, made once; src/node-runtime/addon.ts has views of it. A
 * task handle is two 32-bit halves, since a Number holds 53 bits only.
 */
typedef struct addon_request {
    uint32_t task[2];         /* low, high */
    int32_t offset;           /* in request_bytes; -1: ask for large() */
    int32_t size;
    int32_t method_offset;
    int32_t method_size;
    double deadline;          /* ms since 1970, 0: none */
} addon_request_t;

typedef struct addon_response {
    uint32_t task[2];
    int32_t offset;           /* in response_bytes */
    int32_t size;
    int32_t detail_size;      /* follows; for a failure only */
    int32_t failed;
    int32_t rc;               /* not 0: a failure with this number */
} addon_response_t;

typedef struct addon_memory {
    int32_t responses_used;   /* filled in by JavaScript, flushed by C */
    int32_t in_batch;         /* 1: C flushes after the microtasks */
    int32_t reserved[14];
    addon_request_t requests[ADDON_BATCH];
    addon_response_t responses[ADDON_BATCH];
    uint32_t noted[ADDON_BATCH][2];   /* tasks, for the callbacks below */
    unsigned char request_bytes[ADDON_BYTES];
    unsigned char response_bytes[ADDON_BYTES];
} addon_memory_t;

typedef struct addon {
    napi_env env;
    napi_async_cleanup_hook_handle cleanup;
    nffi_queue_t *queue;      /* NULL: not attached, or of a thread that has
                                 joined */

    uv_loop_t *loop;          /* NULL: does not watch */
    uint64_t clocks_read;     /* in which time of the loop, 0: not yet */
    double clock_difference;  /* then, of real and monotonic time, in ms */
    uv_poll_t *watch;         /* the queue's descriptor */
    uv_idle_t *again;         /* runs while there is more than a turn's work */
    int open_handles;
    bool more;                /* the idle handle is at work */
    bool ended;               /* no more tasks */
    bool closing;             /* the environment ends */
    void (*unwatched)(struct addon *addon);

    napi_async_context context;
    napi_ref receiver;
    napi_ref on_batch;        /* (count) */
    napi_ref on_cancelled;    /* (count) */
    napi_ref on_writable;     /* (count) */
    napi_ref on_closed;       /* () */
    napi_ref buffer;          /* of `memory` */
    addon_memory_t *memory;   /* NULL: neither attached nor joined */

    nffi_request_t batch[ADDON_BATCH];
    size_t batch_size;        /* valid while on_batch runs; of a thread that
                                 has joined: until the next take() */
} addon_t;


/* error.c: makes a JavaScript error out of a code of nffi.h. */
void addon_throw_code(napi_env env, int code, const char *what);

/* take.c: starts to take tasks; 0 or a negative code of nffi.h. */
int addon_watch(addon_t *addon, uv_loop_t *loop);

/* take.c: closes the handles of the loop, then calls back. */
void addon_unwatch(addon_t *addon, void (*unwatched)(addon_t *addon));

/* take.c: takes cancellations and passes them to JavaScript. */
void addon_report_cancelled(addon_t *addon);

/* take.c: puts the request of one task into `memory`; 0 or a code. */
int addon_take(addon_t *addon, nffi_task_t task);

/* heap.c: lets malloc() keep up to 32 MiB that are free. */
void addon_keep_memory(void);

/* respond.c: sends what JavaScript has put into `memory`. */
void addon_flush(addon_t *addon);

/* respond.c: responds with an error; a task that is stale needs none. */
void addon_fail(nffi_task_t task, const char *message);

/* respond.c: (low, high, bytes or string); callable from JavaScript. */
napi_value addon_respond_large(napi_env env, napi_callback_info info);

/* stream.c: (low, high); whether Lua reads chunks. */
napi_value addon_is_stream(napi_env env, napi_callback_info info);

/* stream.c: (low, high); 0 when a chunk may be written, else a code. */
napi_value addon_may_write(napi_env env, napi_callback_info info);

/* stream.c: (low, high, bytes or string); 0 or a code. */
napi_value addon_write(napi_env env, napi_callback_info info);

/* stream.c: (low, high). */
napi_value addon_end(napi_env env, napi_callback_info info);

/* stream.c: (low, high, level, text); 0 or a code. */
napi_value addon_log(napi_env env, napi_callback_info info);

static inline nffi_task_t
addon_task(const uint32_t halves[2])
{
    return (nffi_task_t) halves[1] << 32 | halves[0];
}

#endif /* NFFI_ADDON_H */
