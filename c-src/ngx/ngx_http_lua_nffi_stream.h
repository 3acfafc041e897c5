/*
 * ngx_http_lua_nffi_stream.h - a stream: its task, the chunks that Lua has not
 * read, and its error. _reader.c has the functions that Lua calls.
 *
 * thread: event loop; blocks: no
 */

#ifndef _NGX_HTTP_LUA_NFFI_STREAM_H_INCLUDED_
#define _NGX_HTTP_LUA_NFFI_STREAM_H_INCLUDED_


#include "ngx_http_lua_nffi_call.h"
#include "ngx_http_lua_nffi_error.h"
#include "ngx_http_lua_nffi_types.h"


typedef struct ngx_http_lua_nffi_chunk_s  ngx_http_lua_nffi_chunk_t;

struct ngx_http_lua_nffi_chunk_s {
    ngx_http_lua_nffi_chunk_t     *next;
    size_t                         size;
    u_char                         data[];
};


typedef struct ngx_http_lua_nffi_stream_s  ngx_http_lua_nffi_stream_t;

struct ngx_http_lua_nffi_stream_s {
    ngx_http_lua_nffi_call_t       call;     /* its task and its reader */
    ngx_http_lua_nffi_runtime_t   *runtime;  /* a handle: its instance may end
                                                before the stream is freed */
    ngx_http_cleanup_pt           *cleanup;  /* of its request, or NULL */
    ngx_event_t                    client;   /* checks for a disconnect */

    ngx_http_lua_nffi_chunk_t     *first;    /* unread chunks */
    ngx_http_lua_nffi_chunk_t    **last;
    ngx_http_lua_nffi_chunk_t     *lent;     /* the chunk that Lua uses */

    ngx_http_lua_nffi_chunk_t     *failure;  /* message, then detail */
    size_t                         message_size;
    const char                    *code;     /* NULL: no error */
    int32_t                        rc;

    unsigned                       open:1;   /* its task is unanswered */
    unsigned                       waiting:1;
    unsigned                       given:1;  /* Lua has its error */
    unsigned                       closed:1; /* by Lua, or with its request */
};


/* Submits `request` to `inst`. Returns NULL with `err` on failure, without a
   side effect. The current coroutine does not wait. */
ngx_http_lua_nffi_stream_t *ngx_http_lua_nffi_stream_open(
    ngx_http_request_t *r, ngx_http_lua_nffi_instance_t *inst,
    const nffi_host_request_t *request, ngx_http_lua_nffi_error_t *err);

/* Cancels the stream and discards its unread chunks. Reads return the error
   `client_gone`. */
void ngx_http_lua_nffi_stream_client_gone(ngx_http_lua_nffi_stream_t *s);

/* Cancels the stream and discards its unread chunks. A coroutine that waits
   for a chunk is resumed in the next turn of the event loop. */
void ngx_http_lua_nffi_stream_close(ngx_http_lua_nffi_stream_t *s);

/* Closes the stream and frees it. */
void ngx_http_lua_nffi_stream_free(ngx_http_lua_nffi_stream_t *s);


#endif /* _NGX_HTTP_LUA_NFFI_STREAM_H_INCLUDED_ */
