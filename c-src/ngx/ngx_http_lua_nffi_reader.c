/*
 * ngx_http_lua_nffi_reader.c - the glue: the functions that Lua calls to open,
 * read and close a stream.
 *
 * Everything runs in the event loop.
 */

#ifndef DDEBUG
#define DDEBUG 0
#endif
#include "ddebug.h"


#include "ngx_http_lua_nffi_call.h"
#include "ngx_http_lua_nffi_client.h"
#include "ngx_http_lua_nffi_coroutine.h"
#include "ngx_http_lua_nffi_error.h"
#include "ngx_http_lua_nffi_instance.h"
#include "ngx_http_lua_nffi_metrics.h"
#include "ngx_http_lua_nffi_runtime.h"
#include "ngx_http_lua_nffi_stream.h"
#include "ngx_http_lua_nonblocking_ffi.h"


/* Returns NULL with `err` if the task cannot be submitted. The current
   coroutine does not wait. */

void *
ngx_http_lua_nonblocking_ffi_stream(ngx_http_request_t *r, void *runtime,
    const u_char *method, size_t method_size, const u_char *data, size_t size,
    uint32_t window, ngx_http_lua_nffi_error_t *err)
{
    nffi_host_request_t            request;
    struct ngx_http_lua_co_ctx_s  *coctx;
    ngx_http_lua_nffi_stream_t    *s;
    ngx_http_lua_nffi_runtime_t   *rt = runtime;
    ngx_http_lua_nffi_instance_t  *inst;

    coctx = ngx_http_lua_nffi_find_coroutine(r, err);
    if (coctx == NULL) {
        return NULL;
    }

    ngx_http_lua_nffi_park_coroutine(NULL, coctx);
    rt->counts.calls++;

    ngx_memzero(&request, sizeof(request));
    request.data = data;
    request.size = size;
    request.method = (const char *) method;
    request.method_size = method_size;
    request.window = window;

    inst = ngx_http_lua_nffi_instance_choose(rt, err);
    s = inst ? ngx_http_lua_nffi_stream_open(r, inst, &request, err) : NULL;

    if (s == NULL) {
        ngx_http_lua_nffi_count_rejected(rt, err->code);
    }

    return s;
}


/*
 * Returns
 *   NGX_OK: `read` is a chunk;
 *   NGX_AGAIN: yield now; the coroutine is resumed as after a call, or with
 *     ENDED;
 *   NGX_DONE: the stream has ended;
 *   NGX_DECLINED: the stream has failed; `read` is the error;
 *   NGX_ERROR: this coroutine cannot read it now; see `err`.
 */

int
ngx_http_lua_nonblocking_ffi_stream_read(ngx_http_request_t *r, void *stream,
    uint32_t timeout_ms, ngx_http_lua_nffi_read_t *read,
    ngx_http_lua_nffi_error_t *err)
{
    uint64_t                       deadline_ns, now_ns;
    struct ngx_http_lua_co_ctx_s  *coctx;
    ngx_http_lua_nffi_chunk_t     *chunk;
    ngx_http_lua_nffi_stream_t    *s = stream;

    if (s->closed) {
        return ngx_http_lua_nffi_fail(err, "closed", "the stream is closed");
    }

    if (s->call.waiter.request != r) {
        return ngx_http_lua_nffi_fail(err, "wrong_request", "the stream "
                                      "belongs to another request");
    }

    if (s->waiting) {
        return ngx_http_lua_nffi_fail(err, "busy", "another coroutine reads "
                                      "the stream");
    }

    if (s->lent) {
        ngx_free(s->lent);
        s->lent = NULL;
    }

    if ((s->open || s->first) && ngx_http_lua_nffi_client_is_gone(r, 0)) {
        ngx_http_lua_nffi_stream_client_gone(s);
    }

    ngx_memzero(read, sizeof(*read));
    chunk = s->first;

    if (chunk) {
        s->first = chunk->next;

        if (s->first == NULL) {
            s->last = &s->first;
        }

        s->lent = chunk;
        read->data = chunk->data;
        read->size = chunk->size;

        if (s->open) {
            nffi_host_credit(s->call.host, s->call.task, chunk->size);
        }

        return NGX_OK;
    }

    if (s->code) {
        s->given = 1;
        read->code = s->code;
        read->rc = s->rc;

        if (s->failure) {
            read->data = s->failure->data;
            read->size = s->message_size;
            read->detail_size = s->failure->size - s->message_size;
            read->detail = read->detail_size ? read->data + read->size : NULL;
        }

        return NGX_DECLINED;
    }

    if (!s->open) {
        return NGX_DONE;
    }

    coctx = ngx_http_lua_nffi_find_coroutine(r, err);
    if (coctx == NULL) {
        return NGX_ERROR;
    }

    deadline_ns = ngx_http_lua_nffi_deadline(timeout_ms, &now_ns);
    ngx_http_lua_nffi_wait(&s->call, coctx, timeout_ms, deadline_ns);
    s->waiting = 1;

    return NGX_AGAIN;
}


void
ngx_http_lua_nonblocking_ffi_stream_close(void *stream)
{
    ngx_http_lua_nffi_stream_close(stream);
}


void
ngx_http_lua_nonblocking_ffi_stream_free(void *stream)
{
    ngx_http_lua_nffi_stream_free(stream);
}
