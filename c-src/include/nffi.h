/*
 * nffi.h - the API for runtimes: poll tasks, read requests, respond.
 *
 * A Lua coroutine in an nginx worker creates a task and yields. The task waits
 * in the queue of one runtime. The runtime polls the queue and responds. It is
 * a set of threads in the worker or a separate process; both use the same
 * calls, and the code does not depend on which one it is.
 *
 * Every function may be called from any thread of the runtime, unless its
 * comment says otherwise, and never from the event loop of nginx. Only
 * nffi_log() and nffi_queue_log() write to a log. `size_t` counts bytes.
 * Between two processes a payload has at most 1 GiB.
 *
 * A request and a configuration may contain NUL bytes. One more NUL follows the
 * last byte; no size counts it. NULL means that Lua passed nil; an empty string
 * is a pointer with size 0. Responses have the same two forms; nffi_respond()
 * describes what Lua gets.
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
 * X(name, value, text); nffi_error_text() returns the text.
 */
#define NFFI_ERRORS(X) \
    X(NFFI_INVALID, -1, "invalid argument") \
    X(NFFI_NO_MEMORY, -2, "not enough memory") \
    X(NFFI_STALE, -3, "no such task: it was answered, or never existed") \
    X(NFFI_QUEUE_FULL, -4, "queue full") \
    X(NFFI_CLOSED, -5, "closed") \
    X(NFFI_ABI_MISMATCH, -6, "ABI mismatch") \
    X(NFFI_SYSTEM, -7, "a system call failed, see errno") \
    X(NFFI_PROTOCOL, -8, "queue protocol violation by the peer") \
    X(NFFI_NOT_A_PROCESS, -9, "this process was not started by a worker") \
    X(NFFI_WOULD_BLOCK, -10, "no credit: the reader of the stream is slower") \
    X(NFFI_CANCELLED, -11, "the call was cancelled") \
    X(NFFI_TOO_LARGE, -12, "too large: a plain call collects at most 64 MiB " \
      "of chunks (read them as a stream), a chunk has at most 1 GiB")

enum nffi_error {
    NFFI_OK = 0,
#define NFFI_ERROR_MEMBER(name, value, text) name = value,
    NFFI_ERRORS(NFFI_ERROR_MEMBER)
#undef NFFI_ERROR_MEMBER
};

/* Return the name ("NFFI_STALE") and the text of a code; never NULL. */
NFFI_API const char *nffi_error_name(int code);
NFFI_API const char *nffi_error_text(int code);

/* Returns the NFFI_ABI_VERSION with which this libnffi was built. */
NFFI_API uint32_t nffi_abi_version(void);


/* The runtime's side of one queue. */
typedef struct nffi_queue nffi_queue_t;

/*
 * A handle of one task: queue, slot and generation; never an address and never
 * 0. A stale handle (after the response) or an invented one is refused with
 * NFFI_STALE.
 */
typedef uint64_t nffi_task_t;

/*
 * The request of a task. `data` and `method` belong to the task and are valid
 * until the response; both may be NULL with size 0.
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
 * A native library defines the two symbols below. Lua loads it with
 * nffi.load("demo") or ngx.load_nonblocking_ffi("demo", config).
 *
 *     NFFI_RUNTIME_ABI;
 *     int nffi_runtime_start(nffi_queue_t *queue, const char *config,
 *         size_t config_size, char *error, size_t error_size);
 *
 * nffi_runtime_start is called once for each runtime, in the event loop: start
 * threads and return 0 immediately. On failure, write a NUL-terminated reason
 * to `error` and return another value. `config` is NUL-terminated, or NULL if
 * there is none. The caller owns it; it is valid during the call only.
 */
#define NFFI_RUNTIME_ABI \
    NFFI_API const uint32_t nffi_runtime_abi = NFFI_ABI_VERSION


/*
 * Returns the configuration of this runtime and its size; a NUL that is not
 * counted follows the last byte. Returns NULL if Lua passed none, which differs
 * from an empty one. The bytes are valid as long as the queue. A process reads
 * its configuration here: it is neither in its environment nor on its command
 * line. In a library these are the bytes of nffi_runtime_start(), also valid
 * after that has returned. `size` may be NULL.
 * thread: any; blocks: no
 */
NFFI_API const void *nffi_queue_config(nffi_queue_t *queue, size_t *size);

/*
 * Takes up to `max` tasks. Waits up to `timeout_ms` (-1: no limit, 0: no wait)
 * for the first one. Never returns a task that was cancelled in the queue.
 * Returns the number of requests filled in; 0 on timeout, or when
 * nffi_stream_writable() has a task to return; NFFI_CLOSED when the queue is
 * closed and all its tasks were taken.
 * thread: any, several concurrently, also beside nffi_stream_wait();
 * blocks: up to timeout_ms
 */
NFFI_API int nffi_queue_poll(nffi_queue_t *queue, nffi_request_t *requests,
    size_t max, int timeout_ms);

/*
 * For event loops: a descriptor that becomes readable when poll has something
 * to take. Poll with timeout 0 until it returns 0, then arm, then wait:
 *
 *     for (;;) {
 *         while ((n = nffi_queue_poll(queue, requests, 64, 0)) > 0) { ... }
 *         if (nffi_queue_arm(queue) == 0) { wait for the descriptor }
 *     }
 *
 * nffi_queue_arm returns 0 if the descriptor will become readable. It returns 1
 * (do not sleep) if there are tasks, cancellations or credit for a stream, or
 * while another thread still owns the descriptor. It also returns 1 when the
 * queue is closed, until poll has returned NFFI_CLOSED.
 * thread: one per queue. That thread owns the descriptor from its first call
 * on: threads in nffi_queue_poll() or nffi_stream_wait() wait until it polls or
 * arms again, and check every 10 ms while it does not. While tasks arrive in
 * quick succession, arm spins for some microseconds, at most the option `spin`
 * of the runtime (200 by default). The descriptor belongs to the queue: do not
 * read or close it. It stays open until nffi_queue_release_fd(). Call this
 * function after poll has returned NFFI_CLOSED, when no thread waits on the
 * descriptor. Without it, the queue is not freed when its runtime is closed.
 */
NFFI_API int nffi_queue_fd(nffi_queue_t *queue);
NFFI_API int nffi_queue_arm(nffi_queue_t *queue);
NFFI_API int nffi_queue_release_fd(nffi_queue_t *queue);

/*
 * Takes up to `max` handles of running tasks that were cancelled (client
 * disconnected, timeout, Lua thread killed) since the last call. Each is
 * reported once. It still needs a response, which is discarded. Returns the
 * number of handles.
 * thread: any; blocks: no
 */
NFFI_API int nffi_queue_cancelled(nffi_queue_t *queue, nffi_task_t *tasks,
    size_t max);

/*
 * Returns 1 if the task was cancelled, else 0; NFFI_STALE after the response.
 * thread: any; blocks: no
 */
NFFI_API int nffi_task_cancelled(nffi_task_t task);

/*
 * Returns the milliseconds until the deadline, as poll(2) takes them: rounded
 * up, 0 when it has passed or after the response, -1 without a deadline.
 * thread: any; blocks: no
 */
NFFI_API int nffi_task_time_left(nffi_task_t task);

/* Fills in the request of a running task. thread: any; blocks: no */
NFFI_API int nffi_task_request(nffi_task_t task, nffi_request_t *request);


/*
 * Responding. Each task gets one response, by one of these calls. Afterwards
 * the handle is stale and the memory of the request is freed. `rc` 0 is
 * success; any other value is an error code of the runtime, and the bytes are
 * the message. All return 0 or a negative code. After an error the task is
 * still running, unless the code is NFFI_STALE or NFFI_CLOSED.
 * thread: any; blocks: no, except in a process for payloads that do not fit the
 * shared memory (they travel over its socket).
 */

/* Copies `size` bytes. `data` NULL: a response without bytes. Lua gets nil from
   the functions on ngx (ngx.load_ffi), and "" from runtime:call(). */
NFFI_API int nffi_respond(nffi_task_t task, int rc, const void *data,
    size_t size);

/*
 * The same without a copy: write into a buffer that belongs to this task, then
 * respond with it or discard it. `size` may be smaller than the allocated size.
 * A buffer that is not used for the response must be discarded.
 */
NFFI_API void *nffi_response_alloc(nffi_task_t task, size_t size);
NFFI_API int nffi_respond_buffer(nffi_task_t task, int rc, void *buffer,
    size_t size);
NFFI_API void nffi_response_discard(nffi_task_t task, void *buffer);

/*
 * Takes ownership of `data`: in the worker without a copy, in a process with
 * one. On success `release` is called exactly once, from any thread.
 */
NFFI_API int nffi_respond_owned(nffi_task_t task, int rc, void *data,
    size_t size, void (*release)(void *data));

/*
 * Responds with an error of a handler: Lua gets nil, message, "runtime_error",
 * detail. `detail` (such as a stack) may be NULL.
 */
NFFI_API int nffi_respond_error(nffi_task_t task, const void *message,
    size_t message_size, const void *detail, size_t detail_size);

/*
 * Sends many responses with one lock and at most one wake-up. An element with
 * NFFI_RESPONSE_BUFFER passes a buffer of nffi_response_alloc(), one with
 * NFFI_RESPONSE_ERROR works like nffi_respond_error(); otherwise the bytes are
 * copied. Sets `result` of each element. Returns how many succeeded.
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
 * Streams: a response in chunks, which Lua reads one by one. Use these calls
 * instead of the ones above: any number of writes, then nffi_stream_end(), or
 * nffi_respond_error() on failure (Lua gets the chunks, then the error).
 *
 * Unread data is bounded: at most 8 chunks, and a window of bytes that Lua sets
 * (64 KiB by default) and that the last chunk may exceed. Beyond that, a write
 * copies nothing and returns NFFI_WOULD_BLOCK. Three ways to wait for credit:
 *
 * - in this thread: nffi_stream_wait(task, timeout_ms);
 * - in a polling thread: nffi_queue_poll() returns 0 when a stream has credit
 *   again; nffi_stream_writable() then returns those streams;
 * - in an event loop: the descriptor becomes readable, nffi_queue_arm()
 *   returns 1, nffi_stream_writable() returns them.
 *
 * For a plain call the same code works: the chunks are collected, up to 64 MiB,
 * into one response. A streamed task to which the runtime responds with a call
 * above is a stream of one chunk.
 */

/*
 * Copies one chunk, which may be empty. Returns 0, NFFI_WOULD_BLOCK,
 * NFFI_CANCELLED (stop writing and end the stream), NFFI_STALE, NFFI_CLOSED,
 * NFFI_NO_MEMORY, NFFI_TOO_LARGE or NFFI_INVALID.
 * thread: any; blocks: like a response
 */
NFFI_API int nffi_stream_write(nffi_task_t task, const void *data,
    size_t size);

/*
 * Waits up to `timeout_ms` (-1: no limit) until a write may succeed. Returns 0,
 * NFFI_WOULD_BLOCK on timeout, NFFI_STALE if another thread has ended the task,
 * or another code that a write would return. In the thread that arms, use a
 * timeout of 0 only, as a check.
 * thread: any, several concurrently; blocks: up to timeout_ms
 */
NFFI_API int nffi_stream_wait(nffi_task_t task, int timeout_ms);

/*
 * Takes up to `max` handles of tasks whose last write returned
 * NFFI_WOULD_BLOCK and that now have credit or were cancelled. Each is reported
 * once. Returns the number of handles.
 * thread: any; blocks: no
 */
NFFI_API int nffi_stream_writable(nffi_queue_t *queue, nffi_task_t *tasks,
    size_t max);

/* Ends the stream; the handle is then stale. Returns 0, NFFI_STALE, or, if
   chunks were collected, a code of nffi_respond(). thread: any; blocks: no */
NFFI_API int nffi_stream_end(nffi_task_t task);


/*
 * Writes a line to the error log of nginx, with the client and the request of
 * the task; after the response, without them. Keeps at most 2,048 bytes.
 * Returns NFFI_QUEUE_FULL if too many lines are in flight. The line is then
 * dropped, and the log reports how many lines were dropped.
 * thread: any; blocks: no
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

/* The same for a line that belongs to no task. */
NFFI_API int nffi_queue_log(nffi_queue_t *queue, int level, const void *text,
    size_t size);


/*
 * In a process: attach to the queue that the worker passed across exec, start
 * the runtime, then report that it is ready or has failed. A native thread
 * watches the worker. When the worker has exited, the process ends immediately
 * with _exit(0), whatever its other threads do.
 * nffi_attach returns NFFI_NOT_A_PROCESS if there is no queue to attach to,
 * NFFI_ABI_MISMATCH if the worker uses another version.
 */
NFFI_API int nffi_attach(nffi_queue_t **queue);
NFFI_API int nffi_attach_ready(nffi_queue_t *queue);
NFFI_API int nffi_attach_failed(nffi_queue_t *queue, const void *message,
    size_t size);


#ifdef __cplusplus
}
#endif

#endif /* NFFI_H */
