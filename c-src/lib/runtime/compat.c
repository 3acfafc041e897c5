/*
 * compat.c - the runtime calls of the three public generations of this ABI, so
 * that libraries written to them load unchanged. A library finds the symbols
 * through the nginx executable, which links libnffi.
 *
 *   2022-09  lib_nonblocking_ffi_init(char *cfg, int cfg_len, void *tq)
 *   2022-10  lib_nonblocking_ffi_init(char *cfg, void *tq)
 *   later    libffi_init(char *cfg, void *tq)
 *
 * The first two call ngx_http_lua_nonblocking_ffi_*, the later one calls
 * ngx_http_lua_ffi_*. In all of them a response is malloc'ed and freed by the
 * host, and one with `rsp_len` 0 is a NUL-terminated string.
 *
 * Queues and tasks are handles. They are passed as pointers because the
 * libraries declare pointers; they are not addresses.
 *
 * thread: any of the runtime
 */

#include "runtime/compat.h"
#include "runtime/task.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/*
 * The queue of a public library:
 *
 *   63  62  61  60       59..48  47..32      31..0
 *   0   1   1   endless  index   times used  length of the configuration
 *
 * A handle of nffi_queue_t has bit 62 only, an address has neither.
 *
 * The first two generations have the same entry name, so both are called with
 * (cfg, queue, queue). x86-64 and arm64 pass these in registers: a function
 * that expects `int cfg_len` as its second argument reads the low 32 bits, one
 * that expects the queue there reads all.
 */
#define PUBLIC_QUEUE (UINT64_C(3) << 61)
#define ENDLESS (UINT64_C(1) << 60)
#define INDEX_SHIFT 48
#define INDEX_MASK UINT64_C(0xfff)
#define TIMES_SHIFT 32
#define TIMES_MASK UINT64_C(0xffff)

NFFI_API void *ngx_http_lua_nonblocking_ffi_task_poll(void *tq);
NFFI_API char *ngx_http_lua_nonblocking_ffi_get_req(void *tsk, int *len);
NFFI_API void ngx_http_lua_nonblocking_ffi_respond(void *tsk, int rc,
    char *rsp, int rsp_len);

NFFI_API void *ngx_http_lua_ffi_task_poll(void *tq);
NFFI_API char *ngx_http_lua_ffi_get_req(void *tsk, int *len);
NFFI_API void ngx_http_lua_ffi_respond(void *tsk, int rc, char *rsp,
    int rsp_len);


void *
nffi__public_queue(const nffi_queue_t *queue, uint32_t length, int endless)
{
    return (void *) (uintptr_t)
        (PUBLIC_QUEUE | (endless ? ENDLESS : 0)
         | (uint64_t) queue->index << INDEX_SHIFT
         | (queue->times_used & TIMES_MASK) << TIMES_SHIFT | length);
}


static bool
is_endless(void *tq)
{
    return ((uintptr_t) tq & (PUBLIC_QUEUE | ENDLESS))
           == (PUBLIC_QUEUE | ENDLESS);
}


/*
 * The handle of the queue, NULL: it has ended. A module in Python is handed
 * the queue of its bridge, which is such a handle already.
 */
static nffi_queue_t *
find_queue(void *tq)
{
    uint64_t handle, value = (uintptr_t) tq;
    nffi_queue_t *queue;

    if ((value & PUBLIC_QUEUE) != PUBLIC_QUEUE) {
        return tq;
    }

    queue = nffi__task_queue((value >> INDEX_SHIFT & INDEX_MASK) << 52);
    if (queue == NULL) {
        return NULL;
    }

    handle = 0;
    pthread_mutex_lock(&queue->mutex);

    if (queue->handle != 0
        && (queue->times_used & TIMES_MASK)
           == (value >> TIMES_SHIFT & TIMES_MASK))
    {
        handle = queue->handle;

        /* its thread never leaves: the queue is never unused */
        if (is_endless(tq) && !queue->endless) {
            queue->endless = true;
            queue->inside++;
        }
    }

    pthread_mutex_unlock(&queue->mutex);

    return (nffi_queue_t *) (uintptr_t) handle;
}


/* A library of 2022-09 was never handed a NULL task and would follow it: its
   thread sleeps here until the process ends. */
static void
sleep_forever(void)
{
    for ( ;; ) {
        (void) pause();
    }
}


/* blocks: until a task comes; NULL: the runtime was unloaded */
static void *
poll_task(void *tq)
{
    int n;
    nffi_request_t request;

    do {
        n = nffi_queue_poll(find_queue(tq), &request, 1, -1);
    } while (n == 0);

    if (n == 1) {
        return (void *) (uintptr_t) request.task;
    }

    if (is_endless(tq)) {
        sleep_forever();
    }

    return NULL;
}


/* The request belongs to the task and ends with a NUL; NULL, and *len 0, when
   Lua passed nil. */
static char *
get_request(void *task, int *len)
{
    nffi_request_t request;

    if (nffi_task_request((nffi_task_t) (uintptr_t) task, &request) != NFFI_OK
        || request.size > INT_MAX)
    {
        request.data = NULL;
        request.size = 0;
    }

    if (len != NULL) {
        *len = (int) request.size;
    }

    return (char *) request.data;
}


static void
respond(void *task, int rc, char *response, int size)
{
    size_t bytes = size > 0 ? (size_t) size : 0;
    nffi_request_t request;
    nffi_task_t handle = (nffi_task_t) (uintptr_t) task;

    if (response == NULL) {
        (void) nffi_respond(handle, rc, NULL, 0);
        return;
    }

    /* only while the task is open: a task that was answered before, perhaps
       with this very pointer, may have had it freed */
    if (size <= 0 && nffi_task_request(handle, &request) == NFFI_OK) {
        bytes = strlen(response);
    }

    /* refused, for the same reason: left alone */
    (void) nffi_respond_owned(handle, rc, response, bytes, free);
}


void *
ngx_http_lua_nonblocking_ffi_task_poll(void *tq)
{
    return poll_task(tq);
}


char *
ngx_http_lua_nonblocking_ffi_get_req(void *tsk, int *len)
{
    return get_request(tsk, len);
}


void
ngx_http_lua_nonblocking_ffi_respond(void *tsk, int rc, char *rsp, int rsp_len)
{
    respond(tsk, rc, rsp, rsp_len);
}


void *
ngx_http_lua_ffi_task_poll(void *tq)
{
    return poll_task(tq);
}


char *
ngx_http_lua_ffi_get_req(void *tsk, int *len)
{
    return get_request(tsk, len);
}


void
ngx_http_lua_ffi_respond(void *tsk, int rc, char *rsp, int rsp_len)
{
    respond(tsk, rc, rsp, rsp_len);
}
