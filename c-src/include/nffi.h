/*
 * nffi.h - what a runtime sees of nffi: poll tasks, read requests, respond.
 *
 * A Lua coroutine in an nginx worker makes a task and yields; the task waits
 * in the queue of one runtime. The runtime, threads in the worker or a process
 * of its own, polls the queue and responds. The same calls serve both ways of
 * hosting; a runtime's code does not know which one it lives in.
 *
 * Every function here may be called from any thread of the runtime, and never
 * from the event loop of nginx. None of them writes to a log.
 * `size_t` counts bytes. Between two processes a payload has at most 1 GiB.
 *
 * A request and a configuration may contain NUL bytes. One more NUL is behind
 * the last byte; no size counts it. NULL means that Lua passed nil; an empty
 * string is a pointer with size 0. This also holds for responses.
 */

#ifndef NFFI_H
#define NFFI_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define NFFI_ABI_VERSION 1

#define NFFI_API __attribute__((visibility("default")))

/*
 * Results: 0 or a count on success, else one of these negative codes.
 * X(name, value, text); the text is what nffi_error_text() returns.
 */
#define NFFI_ERRORS(X) \
    X(NFFI_INVALID, -1, "invalid argument") \
    X(NFFI_NO_MEMORY, -2, "not enough memory") \
    X(NFFI_STALE, -3, "no such task: it was answered, or never existed") \
    X(NFFI_QUEUE_FULL, -4, "queue full") \
    X(NFFI_CLOSED, -5, "closed") \
    X(NFFI_ABI_MISMATCH, -6, "ABI mismatch") \
    X(NFFI_SYSTEM, -7, "a system call failed, see errno") \
    X(NFFI_PROTOCOL, -8, "the other side broke the rules of the queue") \
    X(NFFI_NOT_A_PROCESS, -9, "this process was not started by a worker") \
    X(NFFI_WOULD_BLOCK, -10, "no credit: the reader of the stream is slower") \
    X(NFFI_CANCELLED, -11, "nobody waits for the answer any more")

enum nffi_error {
    NFFI_OK = 0,
#define NFFI_ERROR_MEMBER(name, value, text) name = value,
    NFFI_ERRORS(NFFI_ERROR_MEMBER)
#undef NFFI_ERROR_MEMBER
};

/* The symbol's name ("NFFI_STALE") and text; never NULL. */
NFFI_API const char *nffi_error_name(int code);
NFFI_API const char *nffi_error_text(int code);

/* The NFFI_ABI_VERSION that this libnffi was built with. */
NFFI_API uint32_t nffi_abi_version(void);


/* The runtime's side of one queue. */
typedef struct nffi_queue nffi_queue_t;

/*
 * One task, by queue, slot and generation; never an address and never 0. A
 * handle that was answered, or invented, is refused with NFFI_STALE.
 */
typedef uint64_t nffi_task_t;

/*
 * What a task asks. `data` and `method` belong to the task and stay valid
 * until it is answered; both may be NULL with size 0.
 */
typedef struct nffi_request {
    nffi_task_t task;
    const void *data;         /* NUL-terminated; NULL: Lua passed nil */
    size_t size;              /* bytes, without the NUL */
    const char *method;       /* not NUL-terminated */
    size_t method_size;       /* bytes, at most 255 */
    uint64_t deadline_ns;     /* CLOCK_MONOTONIC, 0: none */
    uint32_t flags;
    uint32_t reserved;        /* 0 */
} nffi_request_t;

#define NFFI_REQUEST_STREAM 1u    /* Lua reads chunks: runtime:stream() */


/*
 * A native library defines the two symbols below and is then loaded by
 * nffi.load("demo") or ngx.load_nonblocking_ffi("demo", config).
 *
 *     NFFI_RUNTIME_ABI;
 *     int nffi_runtime_start(nffi_queue_t *queue, const char *config,
 *         size_t config_size, char *error, size_t error_size);
 *
 * nffi_runtime_start is called once for each runtime, in the event loop: start
 * threads, return 0 at once. On failure return another value and write a
 * NUL-terminated reason to `error`. `config` is NUL-terminated, or NULL when
 * there is none. It is the caller's and is valid during the call only.
 */
#define NFFI_RUNTIME_ABI \
    NFFI_API const uint32_t nffi_runtime_abi = NFFI_ABI_VERSION


/*
 * The configuration that Lua gave this runtime: bytes and their number, a NUL
 * behind the last one that is not counted; NULL when Lua gave none, which is
 * not the same as an empty one. They are valid as long as the queue. A process
 * reads its configuration here: it is neither in its environment nor on its
 * command line. In a library these are the bytes that nffi_runtime_start()
 * gets, valid after it has returned. `size` may be NULL.
 * thread: any; blocks: no
 */
NFFI_API const void *nffi_queue_config(nffi_queue_t *queue, size_t *size);

/*
 * Takes up to `max` tasks. Waits up to `timeout_ms` (-1: no limit, 0: not at
 * all) for the first one. A task that was cancelled while it was queued is
 * never returned.
 * Returns the number of requests filled in, 0 when the time is over or
 * nffi_stream_writable() has a task to name, NFFI_CLOSED when the queue was
 * closed and every task of it was taken.
 * thread: any, several at once, also beside threads in nffi_stream_wait();
 * blocks: for up to timeout_ms
 */
NFFI_API int nffi_queue_poll(nffi_queue_t *queue, nffi_request_t *requests,
    size_t max, int timeout_ms);

/*
 * For event loops: a descriptor that becomes readable when there is something
 * to take. Take with timeout 0 until nothing comes, then arm, then wait:
 *
 *     for (;;) {
 *         while ((n = nffi_queue_poll(queue, requests, 64, 0)) > 0) { ... }
 *         if (nffi_queue_arm(queue) == 0) { wait for the descriptor }
 *     }
 *
 * nffi_queue_arm returns 0 when the descriptor will become readable. It returns
 * 1 (do not sleep) when tasks, cancellations, credit for a stream or the end are
 * there, or while another thread of the queue still owns the descriptor. The end
 * counts until poll has returned it.
 * thread: one of a queue. From its first call on that thread owns the
 * descriptor: threads in nffi_queue_poll() or nffi_stream_wait() wait until it
 * polls or arms again, and look themselves every 10 ms while it does not.
 * While tasks come in quick succession, arm looks for the next one for some
 * microseconds (the option `spin` of a runtime, 20 by default).
 * The descriptor belongs to the queue: do not read or close it. It stays open
 * until nffi_queue_release_fd(): call that when poll has returned NFFI_CLOSED
 * and nothing waits on the descriptor any more. A queue whose descriptor is not
 * released is not freed when its runtime is closed.
 */
NFFI_API int nffi_queue_fd(nffi_queue_t *queue);
NFFI_API int nffi_queue_arm(nffi_queue_t *queue);
NFFI_API int nffi_queue_release_fd(nffi_queue_t *queue);

/*
 * Takes up to `max` handles of running tasks that were cancelled (client gone,
 * Lua thread killed) since the last call; each is told once. They still want a
 * response, which is then freed. Returns their number; blocks: no
 */
NFFI_API int nffi_queue_cancelled(nffi_queue_t *queue, nffi_task_t *tasks,
    size_t max);

/* 1 when nobody waits for the answer any more, 0 when somebody does. */
NFFI_API int nffi_task_cancelled(nffi_task_t task);

/* Fills in the request of a task that was taken and is not yet answered. */
NFFI_API int nffi_task_request(nffi_task_t task, nffi_request_t *request);


/*
 * Responding. Each task is answered once, by one of these calls; afterwards
 * the handle is stale and its request memory is gone. `rc` 0 is success; any
 * other value is the runtime's own error code and the bytes its message.
 * All return 0 or a negative code; on an error the task is still open unless
 * the code is NFFI_STALE or NFFI_CLOSED. blocks: no, but for payloads that do
 * not fit the shared memory of a process (they travel over its socket).
 */

/* Copies `size` bytes. `data` NULL: no response, which is nil with the
   functions on ngx; runtime:call() returns "" for it. */
NFFI_API int nffi_respond(nffi_task_t task, int rc, const void *data,
    size_t size);

/*
 * The same without a copy: write into a buffer made for this task, then give
 * it back by one of the two calls. `size` may be smaller than what was asked
 * for. The buffer of a task that ends otherwise must be discarded.
 */
NFFI_API void *nffi_response_alloc(nffi_task_t task, size_t size);
NFFI_API int nffi_respond_buffer(nffi_task_t task, int rc, void *buffer,
    size_t size);
NFFI_API void nffi_response_discard(nffi_task_t task, void *buffer);

/*
 * Hands memory over: in the worker without a copy, in a process by one.
 * `release` is called exactly once on success, from any thread.
 */
NFFI_API int nffi_respond_owned(nffi_task_t task, int rc, void *data,
    size_t size, void (*release)(void *data));

/*
 * A failure of user code: Lua gets nil, message, "runtime_error", detail.
 * `detail` (a stack, say) may be NULL.
 */
NFFI_API int nffi_respond_error(nffi_task_t task, const void *message,
    size_t message_size, const void *detail, size_t detail_size);

/*
 * Many answers with one lock and at most one wake-up. An element with
 * NFFI_RESPONSE_BUFFER gives a buffer of nffi_response_alloc(), one with
 * NFFI_RESPONSE_ERROR is as in nffi_respond_error(); otherwise the bytes are
 * copied. `result` is filled in for each. Returns how many succeeded.
 */
#define NFFI_RESPONSE_BUFFER 1u
#define NFFI_RESPONSE_ERROR 2u

typedef struct nffi_response {
    nffi_task_t task;
    void *data;
    size_t size;
    const void *detail;       /* with NFFI_RESPONSE_ERROR only */
    size_t detail_size;
    int32_t rc;
    uint32_t flags;
    int32_t result;           /* out: 0 or a negative code */
} nffi_response_t;

NFFI_API int nffi_respond_batch(nffi_response_t *responses, size_t count);


/*
 * Streaming: an answer in chunks, which Lua reads one by one. A task is
 * answered so instead of by a call above: any number of writes, then
 * nffi_stream_end(), or nffi_respond_error() when it fails on its way (Lua
 * then gets the chunks, and the error).
 *
 * What Lua has not read is bounded: at most 8 chunks, and a window of bytes
 * that Lua chooses (64 KiB) and that one chunk may exceed. Then a write gives
 * NFFI_WOULD_BLOCK, nothing was taken, and the runtime waits for credit
 *
 * - in this thread: nffi_stream_wait(task, timeout_ms);
 * - in a thread that polls: nffi_queue_poll() returns 0 when there is credit
 *   for a stream again; nffi_stream_writable() then names those streams;
 * - in an event loop: the descriptor becomes readable, nffi_queue_arm()
 *   returns 1, nffi_stream_writable() names them.
 *
 * A task that Lua has only called works the same way: its chunks are
 * collected, up to 64 MiB, and are the answer. A task that Lua streams and
 * that is answered by a call above is a stream of one chunk.
 */

/*
 * Copies one chunk, which may have no bytes. 0, NFFI_WOULD_BLOCK,
 * NFFI_CANCELLED (nobody reads any more: stop, and end the stream),
 * NFFI_STALE, NFFI_CLOSED, NFFI_NO_MEMORY, NFFI_INVALID.
 * thread: any; blocks: no, as responding
 */
NFFI_API int nffi_stream_write(nffi_task_t task, const void *data,
    size_t size);

/*
 * Waits up to `timeout_ms` (-1: no limit) until a write may succeed. Returns 0,
 * NFFI_WOULD_BLOCK when the time is over, NFFI_STALE when another thread has
 * ended the task, or another code that a write would return. In the thread that
 * arms use it with a timeout of 0 only, to ask.
 * thread: any, several at once; blocks: for up to timeout_ms
 */
NFFI_API int nffi_stream_wait(nffi_task_t task, int timeout_ms);

/*
 * Takes up to `max` handles of tasks whose last write gave NFFI_WOULD_BLOCK
 * and that have credit now, or were cancelled; each is told once. Returns
 * their number. thread: any; blocks: no
 */
NFFI_API int nffi_stream_writable(nffi_queue_t *queue, nffi_task_t *tasks,
    size_t max);

/* The end: the task is answered, its handle stale. 0, NFFI_STALE, or, where
   chunks were collected, what nffi_respond() gives. blocks: no */
NFFI_API int nffi_stream_end(nffi_task_t task);


/*
 * A line for the error log of nginx, with the client and the request that the
 * task belongs to; once it was answered, without them. At most 2,048 bytes
 * are kept. NFFI_QUEUE_FULL: too many messages are on their way, this one was
 * dropped, and the log will say how many were. thread: any; blocks: no
 */
enum nffi_log_level {
    NFFI_LOG_ERROR = 1,
    NFFI_LOG_WARN,
    NFFI_LOG_NOTICE,
    NFFI_LOG_INFO,
    NFFI_LOG_DEBUG
};

NFFI_API int nffi_log(nffi_task_t task, int level, const void *text,
    size_t size);

/* The same for what belongs to no task. */
NFFI_API int nffi_queue_log(nffi_queue_t *queue, int level, const void *text,
    size_t size);


/*
 * In a runtime that is a process: attach to the queue that the worker handed
 * over across exec, start what is needed, then tell the worker. A native
 * thread watches the worker; when it is gone, the process ends at once with
 * _exit(0), whatever its other threads do.
 * nffi_attach: NFFI_NOT_A_PROCESS when there is nothing to attach to,
 * NFFI_ABI_MISMATCH when the worker speaks another version.
 */
NFFI_API int nffi_attach(nffi_queue_t **queue);
NFFI_API int nffi_attach_ready(nffi_queue_t *queue);
NFFI_API int nffi_attach_failed(nffi_queue_t *queue, const void *message,
    size_t size);


#ifdef __cplusplus
}
#endif

#endif /* NFFI_H */
