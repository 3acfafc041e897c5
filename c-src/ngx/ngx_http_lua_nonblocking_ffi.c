/*
 * ngx_http_lua_nonblocking_ffi.c - the glue: a call queues a task and yields
 * its coroutine; the response, an error, a timeout or the end of the worker
 * resumes it.
 *
 * Everything runs in the event loop.
 */

#ifndef DDEBUG
#define DDEBUG 0
#endif
#include "ddebug.h"


#include "ngx_http_lua_nonblocking_ffi.h"
#include "ngx_http_lua_contentby.h"


/* responses above this are made Lua strings in a protected call: running out
   of memory fails the call, not the worker */
#define NGX_HTTP_LUA_NFFI_LARGE        65536


static ngx_int_t ngx_http_lua_nffi_resume_handler(ngx_http_request_t *r);
static void ngx_http_lua_nffi_abort(void *data);
static void ngx_http_lua_nffi_timed_out(ngx_event_t *ev);

static ngx_http_lua_nffi_call_t  *ngx_http_lua_nffi_free_calls;


static ngx_http_lua_nffi_call_t *
ngx_http_lua_nffi_get_call(void)
{
    ngx_http_lua_nffi_call_t  *call;

    call = ngx_http_lua_nffi_free_calls;

    if (call) {
        ngx_http_lua_nffi_free_calls = call->next;
        return call;
    }

    call = ngx_calloc(sizeof(ngx_http_lua_nffi_call_t), ngx_cycle->log);
    if (call == NULL) {
        return NULL;
    }

    call->timeout.data = call;
    call->timeout.handler = ngx_http_lua_nffi_timed_out;
    call->timeout.log = ngx_cycle->log;

    return call;
}


/* a task that keeps a leaving worker, and one that does so no more */

void
ngx_http_lua_nffi_awaited(ngx_http_lua_nffi_instance_t *inst)
{
    inst->awaited++;
    ngx_http_lua_nffi_instance_keep(inst);
}


void
ngx_http_lua_nffi_not_awaited(ngx_http_lua_nffi_instance_t *inst)
{
    inst->awaited--;

    if (inst->awaited == 0) {
        ngx_http_lua_nffi_instance_let_go(inst);

        if (inst->reaping) {
            ngx_http_lua_nffi_reap_soon();
        }
    }
}


static uint64_t
ngx_http_lua_nffi_now(void)
{
    struct timespec  now;

    clock_gettime(CLOCK_MONOTONIC, &now);

    return (uint64_t) now.tv_sec * 1000000000 + now.tv_nsec;
}


/* 0: there is none */

uint64_t
ngx_http_lua_nffi_deadline(uint32_t timeout_ms)
{
    return timeout_ms ? ngx_http_lua_nffi_now() + (uint64_t) timeout_ms * 1000000
                      : 0;
}


/* to the millisecond that nginx's timers have; by the clock of now, since that
   of nginx stands still during a turn of the event loop */

ngx_uint_t
ngx_http_lua_nffi_is_over(ngx_http_lua_nffi_call_t *call)
{
    return call->deadline_ns
           && ngx_http_lua_nffi_now() + 1000000 >= call->deadline_ns;
}


/*
 * The timer has fired. Returns 1, and sets it again, if that was too early: it
 * was set late in a long turn of the event loop, or the turn was so long that
 * responses which came in time are not yet looked at.
 */

ngx_uint_t
ngx_http_lua_nffi_is_early(ngx_http_lua_nffi_call_t *call)
{
    uint64_t  now;

    now = ngx_http_lua_nffi_now();

    if (now + 1000000 < call->deadline_ns) {
        ngx_add_timer(&call->timeout,
                      (call->deadline_ns - now + 999999) / 1000000);
        return 1;
    }

    if (!call->marked) {
        call->marked = 1;
        call->mark = nffi_host_mark(call->host);
    }

    if (nffi_host_is_past(call->host, call->mark)) {
        return 0;
    }

    ngx_add_timer(&call->timeout, 1);
    ngx_http_lua_nffi_drain_soon(call->instance);

    return 1;
}


/* the coroutine is about to yield, until it is resumed or goes */

void
ngx_http_lua_nffi_wait(ngx_http_lua_nffi_call_t *call,
    ngx_http_lua_co_ctx_t *coctx, uint32_t timeout_ms, uint64_t deadline_ns)
{
    ngx_http_lua_co_ctx_t  *thread;

    for (thread = coctx;
         thread->co_ref == LUA_NOREF && thread->parent_co_ctx;
         thread = thread->parent_co_ctx)
    { /* void */ }

    call->coctx = coctx;
    call->thread = thread;

    ngx_http_lua_cleanup_pending_operation(coctx);
    coctx->cleanup = ngx_http_lua_nffi_abort;
    coctx->data = call;
    thread->cleanup = ngx_http_lua_nffi_abort;
    thread->data = call;

    call->deadline_ns = deadline_ns;
    call->marked = 0;

    if (timeout_ms > 0) {
        ngx_add_timer(&call->timeout, timeout_ms);
    }
}


void
ngx_http_lua_nffi_stop_waiting(ngx_http_lua_nffi_call_t *call)
{
    if (call->timeout.timer_set) {
        ngx_del_timer(&call->timeout);
    }

    call->coctx->cleanup = NULL;
    call->thread->cleanup = NULL;
}


/* the call waits no more; its coroutine may be resumed, or is gone */

static void
ngx_http_lua_nffi_end_call(ngx_http_lua_nffi_call_t *call)
{
    ngx_http_lua_nffi_stop_waiting(call);
    ngx_http_lua_nffi_not_awaited(call->instance);

    call->next = ngx_http_lua_nffi_free_calls;
    ngx_http_lua_nffi_free_calls = call;
}


/*
 * The coroutine goes: client gone, thread killed, ngx.exit() elsewhere. A
 * coroutine inside a light thread is not asked to clean up by ngx_lua, so the
 * thread that runs it carries this handler too.
 */

static void
ngx_http_lua_nffi_abort(void *data)
{
    ngx_http_lua_co_ctx_t     *coctx = data;
    ngx_http_lua_nffi_call_t  *call = coctx->data;

    if (call->stream) {
        ngx_http_lua_nffi_stream_abort(call->stream);
        return;
    }

    call->instance->runtime->counts.cancelled++;
    nffi_host_cancel(call->host, call->task);
    ngx_http_lua_nffi_end_call(call);
}


/*
 * ngx_lua counts the phases of a TLS handshake among those that may yield, but
 * an nginx without OpenResty's patches does not wait there: it would end the
 * handshake. NULL: a call may wait.
 */

static const char *
ngx_http_lua_nffi_handshake_phase(ngx_http_lua_ctx_t *ctx)
{
#ifndef NGX_HTTP_LUA_NFFI_WAITS_FOR_CERT
    if (ctx->context == NGX_HTTP_LUA_CONTEXT_SSL_CERT) {
        return "ssl_certificate_by_lua*";
    }
#endif

#ifndef NGX_HTTP_LUA_NFFI_WAITS_FOR_CLIENT_HELLO
    if (ctx->context == NGX_HTTP_LUA_CONTEXT_SSL_CLIENT_HELLO) {
        return "ssl_client_hello_by_lua*";
    }
#endif

#if !defined(NGX_HTTP_LUA_NFFI_WAITS_FOR_SESSION)                             \
    || !defined(SSL_ERROR_PENDING_SESSION)
    if (ctx->context == NGX_HTTP_LUA_CONTEXT_SSL_SESS_FETCH) {
        return "ssl_session_fetch_by_lua*";
    }
#endif

    return NULL;
}


/* the current coroutine if it may yield, else NULL and why not */

ngx_http_lua_co_ctx_t *
ngx_http_lua_nffi_may_wait(ngx_http_request_t *r,
    ngx_http_lua_nffi_error_t *err)
{
    const char             *phase;
    ngx_http_lua_ctx_t     *ctx;
    ngx_http_lua_co_ctx_t  *coctx;

    if (ngx_http_lua_nffi_check_thread(err) != NGX_OK) {
        return NULL;
    }

    ctx = ngx_http_get_module_ctx(r, ngx_http_lua_module);
    if (ctx == NULL) {
        (void) ngx_http_lua_nffi_fail(err, "wrong_phase", "no request ctx "
                                      "found");
        return NULL;
    }

    err->size = sizeof(err->message);

    if (ngx_http_lua_ffi_check_context(ctx, NGX_HTTP_LUA_CONTEXT_YIELDABLE,
                                       err->message, &err->size)
        != NGX_OK)
    {
        err->code = "wrong_phase";
        return NULL;
    }

    phase = ngx_http_lua_nffi_handshake_phase(ctx);
    if (phase) {
        (void) ngx_http_lua_nffi_fail(err, "wrong_phase", "API disabled in the "
                                      "context of %s: this nginx lacks "
                                      "OpenResty's patch with which its TLS "
                                      "handshake can wait there", phase);
        return NULL;
    }

    coctx = ctx->cur_co_ctx;
    if (coctx == NULL) {
        (void) ngx_http_lua_nffi_fail(err, "wrong_phase", "no co ctx found");
        return NULL;
    }

    /* a yield would only raise an error, and leave the task behind: its
       response would resume the coroutine wherever it waits by then */

    if (!lua_isyieldable(coctx->co)) {
        (void) ngx_http_lua_nffi_fail(err, "wrong_phase", "attempt to yield "
                                      "across C-call boundary (a callback of "
                                      "string.gsub() or table.sort(), "
                                      "require())");
        return NULL;
    }

    return coctx;
}


/* why a task could not be queued */

ngx_int_t
ngx_http_lua_nffi_refused(ngx_http_lua_nffi_error_t *err,
    ngx_http_lua_nffi_instance_t *inst, int rc)
{
    uint64_t     used;
    const char  *limit;

    switch (rc) {

    case NFFI_QUEUE_FULL:
        limit = nffi_host_full(inst->host, &used);

        return ngx_http_lua_nffi_fail(err, "queue_full",
                   "the queue of the runtime \"%V\" is full: %uL %s",
                   &inst->runtime->name, used,
                   limit == NULL ? "bytes of requests are unanswered"
                   : ngx_strcmp(limit, "max_queue") == 0
                   ? "calls wait (max_queue)"
                   : "calls are unanswered (max_tasks)");

    case NFFI_NO_MEMORY:
        return ngx_http_lua_nffi_fail(err, "no_memory", "%s",
                                      nffi_error_text(rc));

    case NFFI_INVALID:
        return ngx_http_lua_nffi_fail(err, "invalid",
                   "the payload is larger than a queue takes, or the "
                   "method has more than 255 bytes");

    default:
        /* nobody has closed it: the runtime has broken the rules, or gone a
           moment ago */
        return ngx_http_lua_nffi_fail(err, "runtime_down",
                                      "the runtime \"%V\" is down: %s",
                                      &inst->runtime->name,
                                      nffi_error_text(rc));
    }
}


/* NGX_OK where the current coroutine may wait for a runtime */

int
ngx_http_lua_nonblocking_ffi_may_wait(ngx_http_request_t *r,
    ngx_http_lua_nffi_error_t *err)
{
    return ngx_http_lua_nffi_may_wait(r, err) ? NGX_OK : NGX_ERROR;
}


/*
 * Queues a task for the current coroutine. NGX_AGAIN: yield now; NGX_ERROR:
 * `err` says why not, and nothing is left behind.
 */

int
ngx_http_lua_nonblocking_ffi_call(ngx_http_request_t *r, void *runtime,
    const u_char *method, size_t method_size, const u_char *data, size_t size,
    uint32_t timeout_ms, ngx_http_lua_nffi_error_t *err)
{
    int                            rc;
    nffi_host_request_t            request;
    ngx_http_lua_co_ctx_t         *coctx;
    ngx_http_lua_nffi_call_t      *call;
    ngx_http_lua_nffi_runtime_t   *rt = runtime;
    ngx_http_lua_nffi_instance_t  *inst;

    coctx = ngx_http_lua_nffi_may_wait(r, err);
    if (coctx == NULL) {
        return NGX_ERROR;
    }

    rt->counts.calls++;

    inst = ngx_http_lua_nffi_instance_choose(rt, err);
    if (inst == NULL) {
        goto rejected;
    }

    call = ngx_http_lua_nffi_get_call();
    if (call == NULL) {
        (void) ngx_http_lua_nffi_fail(err, "no_memory", "not enough memory");
        goto rejected;
    }

    request.data = data;
    request.size = size;
    request.method = (const char *) method;
    request.method_size = method_size;
    request.deadline_ns = ngx_http_lua_nffi_deadline(timeout_ms);
    request.window = 0;

    rc = nffi_host_submit(inst->host, &request, call, &call->task);

    if (rc != NFFI_OK) {
        call->next = ngx_http_lua_nffi_free_calls;
        ngx_http_lua_nffi_free_calls = call;

        (void) ngx_http_lua_nffi_refused(err, inst, rc);
        goto rejected;
    }

    call->request = r;
    call->instance = inst;
    call->host = inst->host;
    ngx_http_lua_nffi_awaited(inst);
    ngx_http_lua_nffi_wait(call, coctx, timeout_ms, request.deadline_ns);

    return NGX_AGAIN;

rejected:

    ngx_http_lua_nffi_count_rejected(rt, err->code);

    return NGX_ERROR;
}


static int
ngx_http_lua_nffi_push_large(lua_State *L)
{
    ngx_str_t  *bytes;

    bytes = lua_touserdata(L, 1);
    lua_pushlstring(L, (char *) bytes->data, bytes->len);

    return 1;
}


/*
 * Pushes bytes; NGX_ERROR when there is no memory for them. A coroutine that
 * has yielded takes values but no calls, so the protected one is the VM's.
 */

static ngx_int_t
ngx_http_lua_nffi_push_bytes(lua_State *vm, lua_State *co, const void *data,
    size_t size)
{
    ngx_str_t  bytes;

    if (size < NGX_HTTP_LUA_NFFI_LARGE) {
        lua_pushlstring(co, data, size);
        return NGX_OK;
    }

    bytes.data = (u_char *) data;
    bytes.len = size;

    lua_pushcfunction(vm, ngx_http_lua_nffi_push_large);
    lua_pushlightuserdata(vm, &bytes);

    if (lua_pcall(vm, 1, 1, 0) != 0) {
        lua_pop(vm, 1);
        return NGX_ERROR;
    }

    lua_xmove(vm, co, 1);

    return NGX_OK;
}


int
ngx_http_lua_nffi_push_failure(lua_State *L, const u_char *message,
    size_t size, const char *code)
{
    lua_pushinteger(L, NGX_HTTP_LUA_NFFI_FAILED);
    lua_pushlstring(L, (const char *) message, size);
    lua_pushstring(L, code);

    return 3;
}


/* pushes what the Lua side makes its results of; returns how many values */

int
ngx_http_lua_nffi_push_response(ngx_http_lua_nffi_call_t *call,
    const nffi_host_response_t *response)
{
    int                  top;
    lua_State           *L, *vm;
    const u_char        *data;
    ngx_http_lua_ctx_t  *ctx;

    static u_char  no_memory[] = "not enough memory for the response";

    ctx = ngx_http_get_module_ctx(call->request, ngx_http_lua_module);
    vm = ngx_http_lua_get_lua_vm(call->request, ctx);
    L = call->coctx->co;

    data = response->data;
    top = lua_gettop(L);

    if (response->flags & NFFI_HOST_ERROR) {
        lua_pushinteger(L, NGX_HTTP_LUA_NFFI_FAILED);

        if (ngx_http_lua_nffi_push_bytes(vm, L, data, response->message_size)
            != NGX_OK)
        {
            goto no_memory;
        }

        lua_pushliteral(L, "runtime_error");

        if (response->size == response->message_size) {
            return 3;
        }

        if (ngx_http_lua_nffi_push_bytes(vm, L, data + response->message_size,
                response->size - response->message_size)
            == NGX_OK)
        {
            return 4;
        }

    } else if (response->rc == 0) {
        lua_pushinteger(L, NGX_HTTP_LUA_NFFI_OK);

        if (data == NULL) {
            return 1;
        }

        if (ngx_http_lua_nffi_push_bytes(vm, L, data, response->size)
            == NGX_OK)
        {
            return 2;
        }

    } else {
        lua_pushinteger(L, NGX_HTTP_LUA_NFFI_RC);
        lua_pushinteger(L, response->rc);

        if (data == NULL) {
            return 2;
        }

        if (ngx_http_lua_nffi_push_bytes(vm, L, data, response->size)
            == NGX_OK)
        {
            return 3;
        }
    }

no_memory:

    lua_settop(L, top);

    return ngx_http_lua_nffi_push_failure(L, no_memory, sizeof(no_memory) - 1,
                                          "no_memory");
}


void
ngx_http_lua_nffi_resume_coroutine(ngx_http_request_t *r,
    ngx_http_lua_co_ctx_t *coctx, int nrets)
{
    ngx_connection_t    *c = r->connection;
    ngx_http_log_ctx_t  *log_ctx;
    ngx_http_lua_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_lua_module);
    if (ctx == NULL) {
        return;
    }

    if (c->fd != (ngx_socket_t) -1) {    /* not a fake connection */
        log_ctx = c->log->data;
        log_ctx->current_request = r;
    }

    /* for the handler; no call uses it any more */
    coctx->data = (void *) (intptr_t) nrets;
    ctx->cur_co_ctx = coctx;

    if (ctx->entered_content_phase) {
        (void) ngx_http_lua_nffi_resume_handler(r);

    } else {
        ctx->resume_handler = ngx_http_lua_nffi_resume_handler;
        ngx_http_core_run_phases(r);
    }

    ngx_http_run_posted_requests(c);
}


void
ngx_http_lua_nffi_resume(ngx_http_lua_nffi_call_t *call, int nrets)
{
    ngx_http_request_t     *r = call->request;
    ngx_http_lua_co_ctx_t  *coctx = call->coctx;

    ngx_http_lua_nffi_end_call(call);
    ngx_http_lua_nffi_resume_coroutine(r, coctx, nrets);
}


static ngx_int_t
ngx_http_lua_nffi_resume_handler(ngx_http_request_t *r)
{
    int                  nrets;
    lua_State           *vm;
    ngx_int_t            rc;
    ngx_uint_t           nreqs;
    ngx_connection_t    *c;
    ngx_http_lua_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_lua_module);
    if (ctx == NULL) {
        return NGX_ERROR;
    }

    ctx->resume_handler = ngx_http_lua_wev_handler;

    c = r->connection;
    vm = ngx_http_lua_get_lua_vm(r, ctx);
    nreqs = c->requests;
    nrets = (int) (intptr_t) ctx->cur_co_ctx->data;
    ctx->cur_co_ctx->data = NULL;

    rc = ngx_http_lua_run_thread(vm, r, ctx, nrets);

    if (rc == NGX_AGAIN) {
        return ngx_http_lua_run_posted_threads(c, vm, r, ctx, nreqs);
    }

    if (rc == NGX_DONE) {
        ngx_http_lua_finalize_request(r, NGX_DONE);
        return ngx_http_lua_run_posted_threads(c, vm, r, ctx, nreqs);
    }

    if (ctx->entered_content_phase) {
        ngx_http_lua_finalize_request(r, rc);
        return NGX_DONE;
    }

    return rc;
}


void
ngx_http_lua_nffi_resume_failed(ngx_http_lua_nffi_call_t *call,
    ngx_str_t *message, const char *code)
{
    lua_State  *co;

    if (call->stream) {
        ngx_http_lua_nffi_stream_fail(call->stream, message, code);
        return;
    }

    ngx_http_lua_nffi_count_failed(call->instance->runtime, code);
    co = call->coctx->co;

    ngx_http_lua_nffi_resume(call,
        ngx_http_lua_nffi_push_failure(co, message->data, message->len, code));
}


/* of a call that has no task any more, or whose task is cancelled */

void
ngx_http_lua_nffi_time_is_over(ngx_http_lua_nffi_call_t *call)
{
    static ngx_str_t  message = ngx_string("timeout");

    ngx_http_lua_nffi_resume_failed(call, &message, "timeout");
}


static void
ngx_http_lua_nffi_timed_out(ngx_event_t *ev)
{
    ngx_http_lua_nffi_call_t  *call = ev->data;

    if (ngx_http_lua_nffi_is_early(call)) {
        return;
    }

    nffi_host_cancel(call->host, call->task);
    ngx_http_lua_nffi_time_is_over(call);
}
