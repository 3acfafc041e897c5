/*
 * ngx_http_lua_nffi_unread.c - the glue: logs the error of a stream if the
 * request ends before Lua has read it. A loop over a stream ends in the same
 * way after an error and after the last chunk.
 *
 * Lua owns a note, and its garbage collector frees it. Everything runs in the
 * event loop.
 */

#ifndef DDEBUG
#define DDEBUG 0
#endif
#include "ddebug.h"


#include "ngx_http_lua_nffi_unread.h"
#include "ngx_http_lua_nffi_client.h"
#include "ngx_http_lua_nffi_coroutine.h"
#include "ngx_http_lua_nffi_log.h"
#include "ngx_http_lua_nonblocking_ffi.h"


typedef struct {
    ngx_http_request_t            *request;  /* NULL: it has ended */
    ngx_http_cleanup_pt           *cleanup;  /* of the request */
    ngx_http_lua_nffi_runtime_t   *runtime;  /* a handle */
    size_t                         size;
    u_char                         message[];
} ngx_http_lua_nffi_unread_t;


void
ngx_http_lua_nffi_log_unread(ngx_http_request_t *r,
    ngx_http_lua_nffi_runtime_t *rt, const u_char *message, size_t size,
    const char *code)
{
    u_char                      text[1024];
    ngx_http_lua_nffi_waiter_t  waiter;

    ngx_memzero(&waiter, sizeof(waiter));
    waiter.request = r;
    size = ngx_http_lua_nffi_escape(text, sizeof(text), (u_char *) message,
                                    size);

    ngx_log_error(NGX_LOG_WARN, ngx_http_lua_nffi_request_log(&waiter), 0,
                  "nffi: runtime \"%V\": a stream failed, and its error was "
                  "not read: %*s%s%s%s", &rt->label, size, text,
                  code ? " (" : "", code ? code : "", code ? ")" : "");
}


static void
ngx_http_lua_nffi_unread_end(void *data)
{
    ngx_http_lua_nffi_unread_t  *unread = data;

    ngx_http_lua_nffi_log_unread(unread->request, unread->runtime,
                                 unread->message, unread->size, NULL);
    unread->request = NULL;
}


/* Returns a note of an error of a stream, or NULL if there is not enough
   memory. The error is logged when the request ends. */

void *
ngx_http_lua_nonblocking_ffi_unread(ngx_http_request_t *r, void *runtime,
    const u_char *message, size_t size)
{
    ngx_http_lua_nffi_unread_t  *unread;

    unread = ngx_alloc(sizeof(ngx_http_lua_nffi_unread_t) + size,
                       ngx_cycle->log);
    if (unread == NULL) {
        return NULL;
    }

    unread->request = r;
    unread->runtime = ngx_http_lua_nffi_handle(runtime);
    unread->size = size;
    ngx_memcpy(unread->message, message, size);

    if (ngx_http_lua_nffi_on_request_end(r, &unread->cleanup,
                                         ngx_http_lua_nffi_unread_end, unread)
        != NGX_OK)
    {
        ngx_http_lua_nffi_release(runtime);
        ngx_free(unread);
        return NULL;
    }

    return unread;
}


/* Frees the note. Logs the error first if it was not `read` and the request has
   not ended. */

void
ngx_http_lua_nonblocking_ffi_unread_free(void *data, uint32_t read)
{
    ngx_http_request_t          *r;
    ngx_http_lua_nffi_unread_t  *unread = data;

    r = unread->request;

    if (r) {
        if (!read) {
            ngx_http_lua_nffi_unread_end(unread);
        }

        (void) ngx_http_lua_nffi_on_request_end(r, &unread->cleanup, NULL,
                                                NULL);
    }

    ngx_http_lua_nffi_release(unread->runtime);
    ngx_free(unread);
}
