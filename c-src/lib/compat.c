/*
 * compat.c - the runtime calls of the two public generations of this ABI, so
 * that libraries written to them load unchanged. A library finds the symbols
 * through the nginx executable, which links libnffi.
 *
 *   2022-09  ngx_http_lua_nonblocking_ffi_*   entry lib_nonblocking_ffi_init
 *   later    ngx_http_lua_ffi_*               entry libffi_init
 *
 * The handle of a task travels as a pointer, since that is what they declare;
 * it is not an address. In both, a response is malloc'ed and freed by the
 * host, and one with `rsp_len` 0 is a NUL-terminated string.
 *
 * thread: any of the runtime
 */

#include "nffi.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

NFFI_API void *ngx_http_lua_nonblocking_ffi_task_poll(void *tq);
NFFI_API char *ngx_http_lua_nonblocking_ffi_get_req(void *tsk, int *len);
NFFI_API void ngx_http_lua_nonblocking_ffi_respond(void *tsk, int rc,
    char *rsp, int rsp_len);

NFFI_API void *ngx_http_lua_ffi_task_poll(void *tq);
NFFI_API char *ngx_http_lua_ffi_get_req(void *tsk, int *len);
NFFI_API void ngx_http_lua_ffi_respond(void *tsk, int rc, char *rsp,
    int rsp_len);


/* blocks: until a task comes; NULL: the runtime was unloaded */
static void *
poll_task(void *tq)
{
    nffi_request_t request;

    if (nffi_queue_poll(tq, &request, 1, -1) != 1) {
        return NULL;
    }

    return (void *) (uintptr_t) request.task;
}


/* The request stays the task's; NULL with *len 0 when it has no bytes. */
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
