/*
 * ngx_http_lua_nffi_request.c - the attached glue: state of a request until it
 * ends, with one clean-up handler of nginx per request. A handler per stream
 * would grow without bound in an endless timer, because only a built glue can
 * reuse ngx_lua's free handlers.
 */

#include "ngx_http_lua_nffi_request.h"
#include "ngx_http_lua_nffi_attached.h"
#include "ngx_http_lua_nffi_layout.h"


typedef struct {
    ngx_rbtree_node_t              node;     /* by address of the request */
    ngx_queue_t                    ends;     /* to be called at its end */
    unsigned                       eof:1;
} ngx_http_lua_nffi_request_t;


typedef struct {
    ngx_http_cleanup_pt            handler;  /* first: the caller keeps it */
    void                          *data;
    ngx_queue_t                    queue;
} ngx_http_lua_nffi_end_t;


static ngx_rbtree_node_t  ngx_http_lua_nffi_requests_sentinel;
static ngx_rbtree_t       ngx_http_lua_nffi_requests = {
    &ngx_http_lua_nffi_requests_sentinel, &ngx_http_lua_nffi_requests_sentinel,
    ngx_rbtree_insert_value
};


static ngx_http_lua_nffi_request_t *
ngx_http_lua_nffi_find_request(ngx_http_request_t *r)
{
    ngx_rbtree_node_t  *node = ngx_http_lua_nffi_requests.root;

    while (node != &ngx_http_lua_nffi_requests_sentinel) {

        if (node->key == (ngx_rbtree_key_t) r) {
            return (ngx_http_lua_nffi_request_t *) node;
        }

        node = (ngx_rbtree_key_t) r < node->key ? node->left : node->right;
    }

    return NULL;
}


static void
ngx_http_lua_nffi_request_ends(void *data)
{
    ngx_queue_t                  *q;
    ngx_http_lua_nffi_end_t      *end;
    ngx_http_lua_nffi_request_t  *request = data;

    ngx_rbtree_delete(&ngx_http_lua_nffi_requests, &request->node);

    while (!ngx_queue_empty(&request->ends)) {
        q = ngx_queue_head(&request->ends);
        ngx_queue_remove(q);
        end = ngx_queue_data(q, ngx_http_lua_nffi_end_t, queue);
        end->handler(end->data);
        ngx_free(end);
    }

    ngx_free(request);
}


/* a session of stream {} ends with the pool of its connection */

static ngx_int_t
ngx_http_lua_nffi_await_end(ngx_http_request_t *r,
    ngx_http_lua_nffi_request_t *request)
{
    ngx_http_cleanup_t  *http;
    ngx_pool_cleanup_t  *stream;

    if (ngx_http_lua_nffi_is_stream(r)) {
        stream = ngx_pool_cleanup_add(ngx_http_lua_nffi_connection_of(r)->pool,
                                      0);
        if (stream == NULL) {
            return NGX_ERROR;
        }

        stream->handler = ngx_http_lua_nffi_request_ends;
        stream->data = request;

        return NGX_OK;
    }

    http = ngx_http_cleanup_add(r, 0);
    if (http == NULL) {
        return NGX_ERROR;
    }

    http->handler = ngx_http_lua_nffi_request_ends;
    http->data = request;

    return NGX_OK;
}


static ngx_http_lua_nffi_request_t *
ngx_http_lua_nffi_get_request(ngx_http_request_t *r)
{
    ngx_http_lua_nffi_request_t  *request;

    request = ngx_http_lua_nffi_find_request(r);
    if (request) {
        return request;
    }

    request = ngx_calloc(sizeof(ngx_http_lua_nffi_request_t), ngx_cycle->log);

    if (request == NULL || ngx_http_lua_nffi_await_end(r, request) != NGX_OK) {
        ngx_free(request);
        return NULL;
    }

    ngx_queue_init(&request->ends);
    request->node.key = (ngx_rbtree_key_t) r;
    ngx_rbtree_insert(&ngx_http_lua_nffi_requests, &request->node);

    return request;
}


ngx_int_t
ngx_http_lua_nffi_on_request_end(ngx_http_request_t *r,
    ngx_http_cleanup_pt **slot, ngx_http_cleanup_pt handler, void *data)
{
    ngx_http_lua_nffi_end_t      *end;
    ngx_http_lua_nffi_request_t  *request;

    if (handler == NULL) {
        end = (ngx_http_lua_nffi_end_t *) *slot;
        ngx_queue_remove(&end->queue);
        ngx_free(end);
        *slot = NULL;
        return NGX_OK;
    }

    request = ngx_http_lua_nffi_get_request(r);
    if (request == NULL) {
        return NGX_ERROR;
    }

    end = ngx_alloc(sizeof(ngx_http_lua_nffi_end_t), ngx_cycle->log);
    if (end == NULL) {
        return NGX_ERROR;
    }

    end->handler = handler;
    end->data = data;
    ngx_queue_insert_head(&request->ends, &end->queue);
    *slot = &end->handler;

    return NGX_OK;
}


void
ngx_http_lua_nonblocking_ffi_eof(ngx_http_request_t *r)
{
    ngx_http_lua_nffi_request_t  *request = ngx_http_lua_nffi_get_request(r);

    if (request) {
        request->eof = 1;
    }
}


ngx_uint_t
ngx_http_lua_nffi_request_has_eof(ngx_http_request_t *r)
{
    ngx_http_lua_nffi_request_t  *request = ngx_http_lua_nffi_find_request(r);

    return request && request->eof;
}
