/*
 * ngx_http_lua_nffi_stream.c - the glue: a response that Lua reads in chunks.
 *
 * The event loop copies a chunk out of the shared memory when it collects it,
 * or passes it directly to the coroutine that waits for it. So slow readers do
 * not fill the arena. Credit is sent when Lua has received the chunk, so the
 * window of the stream limits the size of the copies.
 *
 * Lua owns a stream and its garbage collector frees it. The end of the request
 * closes it. A stream also ends when the client of the request disconnects: a
 * loop over an endless stream that ignores the results of ngx.print() and
 * ngx.flush() would otherwise never end or yield. Everything runs in the event
 * loop.
 */

#ifndef DDEBUG
#define DDEBUG 0
#endif
#include "ddebug.h"


#include "ngx_http_lua_nffi_stream.h"
#include "ngx_http_lua_nffi_call.h"
#include "ngx_http_lua_nffi_client.h"
#include "ngx_http_lua_nffi_core.h"
#include "ngx_http_lua_nffi_coroutine.h"
#include "ngx_http_lua_nffi_error.h"
#include "ngx_http_lua_nffi_instance.h"
#include "ngx_http_lua_nffi_metrics.h"
#include "ngx_http_lua_nffi_runtime.h"
#include "ngx_http_lua_nffi_unread.h"


/* ms between checks for a disconnected client: without a read or a write, only
   the kernel knows */
#define NGX_HTTP_LUA_NFFI_CLIENT       1000


static void ngx_http_lua_nffi_stream_deliver(ngx_http_lua_nffi_call_t *call,
    nffi_host_response_t *response);
static void ngx_http_lua_nffi_stream_fail(ngx_http_lua_nffi_call_t *call,
    ngx_str_t *message, const char *code);
static void ngx_http_lua_nffi_stream_abort(ngx_http_lua_nffi_call_t *call);
static void ngx_http_lua_nffi_stream_timed_out(ngx_event_t *ev);
static void ngx_http_lua_nffi_stream_client(ngx_event_t *ev);
static void ngx_http_lua_nffi_stream_cleanup(void *data);


static const ngx_http_lua_nffi_call_ops_t  ngx_http_lua_nffi_stream_ops = {
    ngx_http_lua_nffi_stream_deliver,
    ngx_http_lua_nffi_stream_fail,
    ngx_http_lua_nffi_stream_abort
};


static ngx_http_lua_nffi_chunk_t *
ngx_http_lua_nffi_chunk(const void *data, size_t size)
{
    ngx_http_lua_nffi_chunk_t  *chunk;

    chunk = ngx_alloc(sizeof(ngx_http_lua_nffi_chunk_t) + size, ngx_cycle->log);

    if (chunk) {
        chunk->next = NULL;
        chunk->size = size;
        ngx_memcpy(chunk->data, data, size);
    }

    return chunk;
}


static void
ngx_http_lua_nffi_stream_drop_chunks(ngx_http_lua_nffi_stream_t *s)
{
    ngx_http_lua_nffi_chunk_t  *chunk;

    while (s->first) {
        chunk = s->first;
        s->first = chunk->next;
        ngx_free(chunk);
    }

    s->last = &s->first;
}


/* Marks the stream as answered. The runtime sends nothing more. */

static void
ngx_http_lua_nffi_stream_end(ngx_http_lua_nffi_stream_t *s)
{
    if (s->open) {
        s->open = 0;
        ngx_http_lua_nffi_not_awaited(s->call.instance);

        if (s->client.timer_set) {
            ngx_del_timer(&s->client);
        }
    }
}


/* Cancels the task. The stream has no reader. */

static void
ngx_http_lua_nffi_stream_cancel(ngx_http_lua_nffi_stream_t *s)
{
    if (s->open) {
        s->call.instance->runtime->counts.cancelled++;
        nffi_host_cancel(s->call.host, s->call.task);
        ngx_http_lua_nffi_stream_end(s);
    }
}


static void
ngx_http_lua_nffi_stream_resume(ngx_http_lua_nffi_stream_t *s)
{
    s->waiting = 0;
    ngx_http_lua_nffi_stop_waiting(&s->call);

    /* this may free the stream */
    ngx_http_lua_nffi_resume_coroutine(&s->call.waiter);
}


/* Stores the error for a later read. Chunks that came before are read first. */

static void
ngx_http_lua_nffi_stream_set_failure(ngx_http_lua_nffi_stream_t *s,
    const void *data, size_t size, size_t message_size, const char *code,
    int32_t rc)
{
    if (s->code) {
        return;
    }

    s->failure = ngx_http_lua_nffi_chunk(data, size);
    s->message_size = s->failure ? message_size : 0;
    s->code = s->failure ? code : "no_memory";
    s->rc = rc;
}


static void
ngx_http_lua_nffi_stream_fail(ngx_http_lua_nffi_call_t *call,
    ngx_str_t *message, const char *code)
{
    ngx_http_lua_nffi_stream_t  *s = (ngx_http_lua_nffi_stream_t *) call;

    if (s->open) {
        ngx_http_lua_nffi_count_failed(s->call.instance->runtime, code);
        nffi_host_cancel(s->call.host, s->call.task);
        ngx_http_lua_nffi_stream_end(s);
    }

    ngx_http_lua_nffi_stream_set_failure(s, message->data, message->len,
                                         message->len, code, 0);

    if (s->waiting) {
        s->given = 1;
        ngx_http_lua_nffi_give_failure(call, message, code);
        ngx_http_lua_nffi_stream_resume(s);
    }
}


void
ngx_http_lua_nffi_stream_client_gone(ngx_http_lua_nffi_stream_t *s)
{
    static ngx_str_t  gone = ngx_string("the client is gone");

    ngx_http_lua_nffi_stream_cancel(s);
    ngx_http_lua_nffi_stream_drop_chunks(s);
    ngx_http_lua_nffi_stream_set_failure(s, gone.data, gone.len, gone.len,
                                         "client_gone", 0);

    if (s->waiting) {
        ngx_http_lua_nffi_give_failure(&s->call, &gone, "client_gone");
        ngx_http_lua_nffi_stream_resume(s);
    }
}


/* Checks the client even if no read is pending, since the runtime works on the
   stream. Wakes a coroutine in ngx.flush(): nginx does not wake it when an
   HTTP/2 stream is reset, so it would wait until send_timeout. */

static void
ngx_http_lua_nffi_stream_client(ngx_event_t *ev)
{
    ngx_http_lua_nffi_call_t    *call = ev->data;
    ngx_http_lua_nffi_stream_t  *s = (ngx_http_lua_nffi_stream_t *) call;

    if (!s->open) {
        return;
    }

    if (!ngx_http_lua_nffi_client_is_gone(call->waiter.request, 1)) {
        ngx_add_timer(ev, NGX_HTTP_LUA_NFFI_CLIENT);
        return;
    }

    ngx_http_lua_nffi_wake_flush(call->waiter.request);
    ngx_http_lua_nffi_stream_client_gone(s);
}


static void
ngx_http_lua_nffi_stream_take_chunk(ngx_http_lua_nffi_stream_t *s,
    nffi_host_response_t *response)
{
    size_t                      size = response->size;
    nffi_host_t                *host = s->call.host;
    ngx_http_lua_nffi_chunk_t  *chunk;

    static ngx_str_t  no_memory = ngx_string("not enough memory for a chunk");

    if (s->waiting) {
        ngx_http_lua_nffi_give_response(&s->call, response);
        nffi_host_release(host, response);
        nffi_host_credit(host, s->call.task, size);
        ngx_http_lua_nffi_stream_resume(s);
        return;
    }

    chunk = ngx_http_lua_nffi_chunk(response->data, size);
    nffi_host_release(host, response);

    if (chunk == NULL) {
        ngx_http_lua_nffi_stream_fail(&s->call, &no_memory, "no_memory");
        return;
    }

    *s->last = chunk;
    s->last = &chunk->next;
}


/* Handles a plain response, or the end of a stream. */

static void
ngx_http_lua_nffi_stream_take_end(ngx_http_lua_nffi_stream_t *s,
    nffi_host_response_t *response)
{
    ngx_http_lua_nffi_chunk_t  *chunk;

    static const ngx_http_lua_nffi_result_t  ended = {
        .kind = NGX_HTTP_LUA_NFFI_ENDED
    };

    ngx_http_lua_nffi_count_response(s->call.instance->runtime, response);
    ngx_http_lua_nffi_stream_end(s);

    if (s->waiting) {
        if (response->flags & NFFI_HOST_END) {
            ngx_http_lua_nffi_give_result(&s->call.waiter, &ended, NULL, NULL);

        } else {
            ngx_http_lua_nffi_give_response(&s->call, response);
        }

        nffi_host_release(s->call.host, response);
        ngx_http_lua_nffi_stream_resume(s);
        return;
    }

    if (response->flags & NFFI_HOST_ERROR) {
        ngx_http_lua_nffi_stream_set_failure(s, response->data, response->size,
                                             response->message_size,
                                             "runtime_error", 0);

    } else if (response->rc != 0) {
        ngx_http_lua_nffi_stream_set_failure(s, response->data, response->size,
                                             response->size, "runtime_error",
                                             response->rc);

    } else if (!(response->flags & NFFI_HOST_END)) {
        chunk = ngx_http_lua_nffi_chunk(response->data, response->size);

        if (chunk) {
            *s->last = chunk;
            s->last = &chunk->next;

        } else {
            ngx_http_lua_nffi_stream_set_failure(s, "", 0, 0, "no_memory", 0);
        }
    }

    nffi_host_release(s->call.host, response);
}


static void
ngx_http_lua_nffi_stream_deliver(ngx_http_lua_nffi_call_t *call,
    nffi_host_response_t *response)
{
    ngx_str_t                    message;
    ngx_http_lua_nffi_stream_t  *s = (ngx_http_lua_nffi_stream_t *) call;

    if (!(response->flags & NFFI_HOST_CHUNK)) {
        ngx_http_lua_nffi_stream_take_end(s, response);

    } else if (response->flags & NFFI_HOST_ERROR) {
        message.data = (u_char *) response->data;
        message.len = response->message_size;
        nffi_host_release(s->call.host, response);
        ngx_http_lua_nffi_stream_fail(&s->call, &message, "runtime_error");

    } else {
        ngx_http_lua_nffi_stream_take_chunk(s, response);
    }
}


/* Called when the waiting coroutine ends: the client disconnected, or the
   thread was killed. */

static void
ngx_http_lua_nffi_stream_abort(ngx_http_lua_nffi_call_t *call)
{
    ngx_http_lua_nffi_stream_t  *s = (ngx_http_lua_nffi_stream_t *) call;

    s->waiting = 0;
    ngx_http_lua_nffi_stop_waiting(&s->call);
    ngx_http_lua_nffi_stream_close(s);
}


/* Called when the timeout of a read has passed, or when the stream was closed
   during a read. */

static void
ngx_http_lua_nffi_stream_timed_out(ngx_event_t *ev)
{
    ngx_http_lua_nffi_call_t    *call = ev->data;
    ngx_http_lua_nffi_stream_t  *s = (ngx_http_lua_nffi_stream_t *) call;

    static ngx_str_t  timeout = ngx_string("timeout");
    static ngx_str_t  closed = ngx_string("the stream is closed");

    if (s->closed) {
        ngx_http_lua_nffi_stream_fail(&s->call, &closed, "closed");

    } else if (!ngx_http_lua_nffi_is_early(call)) {
        ngx_http_lua_nffi_stream_fail(&s->call, &timeout, "timeout");
    }
}


ngx_http_lua_nffi_stream_t *
ngx_http_lua_nffi_stream_open(ngx_http_request_t *r,
    ngx_http_lua_nffi_instance_t *inst, const nffi_host_request_t *request,
    ngx_http_lua_nffi_error_t *err)
{
    int                          rc;
    ngx_http_lua_nffi_stream_t  *s;

    s = ngx_calloc(sizeof(ngx_http_lua_nffi_stream_t), ngx_cycle->log);

    if (s == NULL
        || ngx_http_lua_nffi_on_request_end(r, &s->cleanup,
                                            ngx_http_lua_nffi_stream_cleanup, s)
           != NGX_OK)
    {
        if (s) {
            ngx_free(s);
        }

        (void) ngx_http_lua_nffi_fail(err, "no_memory", "not enough memory");
        return NULL;
    }

    rc = nffi_host_submit(inst->host, request, &s->call, &s->call.task);

    if (rc != NFFI_OK) {
        (void) ngx_http_lua_nffi_on_request_end(r, &s->cleanup, NULL, NULL);
        ngx_free(s);
        (void) ngx_http_lua_nffi_refused(err, inst, rc);
        return NULL;
    }

    s->call.waiter.request = r;
    s->runtime = ngx_http_lua_nffi_handle(inst->runtime);
    s->call.instance = inst;
    s->call.host = inst->host;
    s->call.ops = &ngx_http_lua_nffi_stream_ops;
    s->call.timeout.data = &s->call;
    s->call.timeout.handler = ngx_http_lua_nffi_stream_timed_out;
    s->call.timeout.log = ngx_cycle->log;
    s->client.data = &s->call;
    s->client.handler = ngx_http_lua_nffi_stream_client;
    s->client.log = ngx_cycle->log;
    ngx_http_lua_nffi_set_cancelable(&s->client, 1);
    s->last = &s->first;
    s->open = 1;

    if (ngx_http_lua_nffi_has_client(r)) {
        ngx_add_timer(&s->client, NGX_HTTP_LUA_NFFI_CLIENT);
    }

    ngx_http_lua_nffi_awaited(inst);

    return s;
}


void
ngx_http_lua_nffi_stream_close(ngx_http_lua_nffi_stream_t *s)
{
    if (s->closed) {
        return;
    }

    s->closed = 1;
    ngx_http_lua_nffi_stream_cancel(s);
    ngx_http_lua_nffi_stream_drop_chunks(s);

    if (s->cleanup) {
        (void) ngx_http_lua_nffi_on_request_end(s->call.waiter.request,
                                                &s->cleanup, NULL, NULL);
    }

    /* a coroutine cannot resume another one */

    if (s->waiting) {
        if (s->call.timeout.timer_set) {
            ngx_del_timer(&s->call.timeout);
        }

        ngx_add_timer(&s->call.timeout, 0);
    }
}


/* Logs an error that Lua has not read. A client that disconnects is none. */

static void
ngx_http_lua_nffi_stream_log_unread(ngx_http_lua_nffi_stream_t *s)
{
    if (s->closed || s->given || s->code == NULL
        || ngx_strcmp(s->code, "client_gone") == 0)
    {
        return;
    }

    ngx_http_lua_nffi_log_unread(s->call.waiter.request,
                                 s->runtime,
                                 s->failure ? s->failure->data : (u_char *) "",
                                 s->message_size, s->code);
}


/* Called at the end of the request, during the walk through its list of
   handlers. */

static void
ngx_http_lua_nffi_stream_cleanup(void *data)
{
    ngx_http_lua_nffi_stream_t  *s = data;

    s->cleanup = NULL;
    ngx_http_lua_nffi_stream_log_unread(s);

    if (s->waiting) {
        s->waiting = 0;
        ngx_http_lua_nffi_stop_waiting(&s->call);
    }

    ngx_http_lua_nffi_stream_close(s);
    s->call.waiter.request = NULL;
}


void
ngx_http_lua_nffi_stream_free(ngx_http_lua_nffi_stream_t *s)
{
    if (s->waiting) {
        s->waiting = 0;
        ngx_http_lua_nffi_stop_waiting(&s->call);
    }

    ngx_http_lua_nffi_stream_log_unread(s);
    ngx_http_lua_nffi_stream_close(s);

    if (s->lent) {
        ngx_free(s->lent);
    }

    if (s->failure) {
        ngx_free(s->failure);
    }

    ngx_http_lua_nffi_release(s->runtime);
    ngx_free(s);
}
