/*
 * ngx_http_lua_nffi_coroutine.c - the glue: the door to ngx_lua. Only this file
 * can find, park and resume a coroutine, and knows the state of Lua's request.
 *
 * thread: event loop; blocks: no
 */

#ifndef DDEBUG
#define DDEBUG 0
#endif
#include "ddebug.h"


#include "ngx_http_lua_common.h"
#include "ngx_http_lua_util.h"
#include "ngx_http_lua_contentby.h"

#include "ngx_http_lua_nffi_coroutine.h"
#include "ngx_http_lua_nffi_error.h"
#include "ngx_http_lua_nffi_worker.h"


/* Larger responses are converted to Lua strings in a protected call. Without
   memory the call fails, not the worker. */
#define NGX_HTTP_LUA_NFFI_LARGE        65536


int ngx_http_lua_nonblocking_ffi_yield(lua_State *L);
static ngx_int_t ngx_http_lua_nffi_resume_handler(ngx_http_request_t *r);


/* yields next */
static ngx_http_lua_co_ctx_t  *ngx_http_lua_nffi_parked;


/* ngx_lua counts the phases of a TLS handshake among the phases that can yield.
   An nginx without OpenResty's patches does not wait there but ends the
   handshake. Returns NULL if a call can wait. */

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


ngx_http_lua_co_ctx_t *
ngx_http_lua_nffi_find_coroutine(ngx_http_request_t *r,
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

    /* a yield would only raise an error and leave the task behind: its response
       would resume the coroutine at the wrong place */

    if (!lua_isyieldable(coctx->co)) {
        (void) ngx_http_lua_nffi_fail(err, "wrong_phase", "attempt to yield "
                                      "across C-call boundary (a callback of "
                                      "string.gsub() or table.sort(), "
                                      "require())");
        return NULL;
    }

    return coctx;
}


/*
 * Called when the coroutine ends: the client disconnected, the thread was
 * killed, or ngx.exit() ran elsewhere. ngx_lua does not clean up a coroutine
 * inside a light thread, so the thread that runs it has this handler as well.
 */

static void
ngx_http_lua_nffi_coroutine_gone(void *data)
{
    ngx_http_lua_co_ctx_t       *coctx = data;
    ngx_http_lua_nffi_waiter_t  *waiter = coctx->data;

    waiter->cancel(waiter);
}


void
ngx_http_lua_nffi_park_coroutine(ngx_http_lua_nffi_waiter_t *waiter,
    ngx_http_lua_co_ctx_t *coctx)
{
    ngx_http_lua_co_ctx_t  *thread;

    if (waiter == NULL) {
        return;
    }

    for (thread = coctx;
         thread->co_ref == LUA_NOREF && thread->parent_co_ctx;
         thread = thread->parent_co_ctx)
    { /* void */ }

    waiter->coctx = coctx;
    waiter->thread = thread;
    waiter->ctx = ngx_http_get_module_ctx(waiter->request, ngx_http_lua_module);

    ngx_http_lua_cleanup_pending_operation(coctx);
    coctx->cleanup = ngx_http_lua_nffi_coroutine_gone;
    coctx->data = waiter;
    thread->cleanup = ngx_http_lua_nffi_coroutine_gone;
    thread->data = waiter;
    ngx_http_lua_nffi_parked = coctx;
}


/*
 * A function of Lua: yields the coroutine that was parked. In one that ngx_lua
 * does not know, as of coroutine._create(), ngx_lua sees the coroutine that has
 * resumed it, which would continue here while it is parked, and be resumed in
 * another place or after its end. Then the call is cancelled.
 */

int
ngx_http_lua_nonblocking_ffi_yield(lua_State *L)
{
    if (ngx_http_lua_nffi_parked->co == L) {
        return lua_yield(L, 0);
    }

    ngx_http_lua_cleanup_pending_operation(ngx_http_lua_nffi_parked);

    lua_pushinteger(L, NGX_HTTP_LUA_NFFI_FAILED);
    lua_pushliteral(L, "ngx_lua does not know this coroutine: use "
                    "coroutine.create() or coroutine.wrap()");
    lua_pushliteral(L, "wrong_phase");

    return 3;
}


void
ngx_http_lua_nffi_unpark_coroutine(ngx_http_lua_nffi_waiter_t *waiter)
{
    waiter->coctx->cleanup = NULL;
    waiter->thread->cleanup = NULL;
}


static int
ngx_http_lua_nffi_push_large(lua_State *L)
{
    ngx_str_t  *bytes;

    bytes = lua_touserdata(L, 1);
    lua_pushlstring(L, (char *) bytes->data, bytes->len);

    return 1;
}


/* Pushes bytes. Returns NGX_ERROR if there is not enough memory. Values can be
   pushed to a coroutine that has yielded, but it cannot make calls, so the
   protected call uses the VM's main state. */

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


/* Returns NGX_ERROR if there is not enough memory for the values. */

static ngx_int_t
ngx_http_lua_nffi_push_result(lua_State *vm, lua_State *L,
    const ngx_http_lua_nffi_result_t *result)
{
    lua_pushinteger(L, result->kind);

    if (result->kind == NGX_HTTP_LUA_NFFI_RC) {
        lua_pushinteger(L, result->rc);
    }

    if ((result->data || result->kind == NGX_HTTP_LUA_NFFI_FAILED)
        && ngx_http_lua_nffi_push_bytes(vm, L, result->data, result->size)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (result->kind != NGX_HTTP_LUA_NFFI_FAILED) {
        return NGX_OK;
    }

    lua_pushstring(L, result->code);

    return result->detail_size == 0
           ? NGX_OK
           : ngx_http_lua_nffi_push_bytes(vm, L, result->detail,
                                          result->detail_size);
}


/* Returns the context of the coroutine that waits, or NULL: an error_page of
   nginx itself clears or replaces it. Another context has another VM with
   `lua_code_cache off`. */

static ngx_http_lua_ctx_t *
ngx_http_lua_nffi_waiting_ctx(ngx_http_lua_nffi_waiter_t *waiter)
{
    ngx_http_lua_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(waiter->request, ngx_http_lua_module);

    return ctx == waiter->ctx ? ctx : NULL;
}


void
ngx_http_lua_nffi_give_result(ngx_http_lua_nffi_waiter_t *waiter,
    const ngx_http_lua_nffi_result_t *result, nffi_host_t *host,
    nffi_host_response_t *response)
{
    int                  top;
    lua_State           *L, *vm;
    ngx_http_lua_ctx_t  *ctx;

    static const ngx_http_lua_nffi_result_t  no_memory = {
        NGX_HTTP_LUA_NFFI_FAILED, 0,
        "not enough memory for the response",
        sizeof("not enough memory for the response") - 1,
        NULL, 0, "no_memory"
    };

    ctx = ngx_http_lua_nffi_waiting_ctx(waiter);

    /* without it the coroutine is never resumed */

    if (ctx) {
        vm = ngx_http_lua_get_lua_vm(waiter->request, ctx);
        L = waiter->coctx->co;
        top = lua_gettop(L);

        if (ngx_http_lua_nffi_push_result(vm, L, result) != NGX_OK) {
            lua_settop(L, top);
            (void) ngx_http_lua_nffi_push_result(vm, L, &no_memory);
        }

        waiter->nrets = lua_gettop(L) - top;
    }

    if (response) {
        nffi_host_release(host, response);
    }
}


void
ngx_http_lua_nffi_resume_coroutine(ngx_http_lua_nffi_waiter_t *waiter)
{
    ngx_connection_t       *c;
    ngx_http_request_t     *r = waiter->request;
    ngx_http_log_ctx_t     *log_ctx;
    ngx_http_lua_ctx_t     *ctx;
    ngx_http_lua_co_ctx_t  *coctx = waiter->coctx;

    c = r->connection;

    ctx = ngx_http_lua_nffi_waiting_ctx(waiter);

    if (ctx == NULL) {
        return;
    }

    if (c->fd != (ngx_socket_t) -1) {    /* not a fake connection */
        log_ctx = c->log->data;
        log_ctx->current_request = r;
    }

    /* for the handler; no call uses it now */
    coctx->data = (void *) (intptr_t) waiter->nrets;
    ctx->cur_co_ctx = coctx;

    if (ctx->entered_content_phase) {
        (void) ngx_http_lua_nffi_resume_handler(r);

    } else {
        ctx->resume_handler = ngx_http_lua_nffi_resume_handler;
        ngx_http_core_run_phases(r);
    }

    ngx_http_run_posted_requests(c);
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


ngx_int_t
ngx_http_lua_nffi_on_request_end(ngx_http_request_t *r,
    ngx_http_cleanup_pt **slot, ngx_http_cleanup_pt handler, void *data)
{
    ngx_http_cleanup_t  *cln;

    if (handler == NULL) {
        **slot = NULL;
        ngx_http_lua_cleanup_free(r, *slot);
        *slot = NULL;
        return NGX_OK;
    }

    cln = ngx_http_lua_cleanup_add(r, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    cln->handler = handler;
    cln->data = data;
    *slot = &cln->handler;

    return NGX_OK;
}


ngx_uint_t
ngx_http_lua_nffi_has_client(ngx_http_request_t *r)
{
    ngx_http_lua_ctx_t  *ctx;

    if (r->connection->fd == (ngx_socket_t) -1) {    /* a timer */
        return 0;
    }

    /* after ngx.eof() the client has its response, and Lua continues without
       it */

    ctx = ngx_http_get_module_ctx(r, ngx_http_lua_module);

    return ctx != NULL && (!ctx->eof || r->header_only);
}


void
ngx_http_lua_nffi_wake_flush(ngx_http_request_t *r)
{
    ngx_connection_t    *c = r->connection;
    ngx_http_lua_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_lua_module);

    if (c->error && ctx && ctx->flushing_coros) {
        c->write->ready = 1;
        ngx_post_event(c->write, &ngx_posted_events);
    }
}
