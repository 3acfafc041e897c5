/*
 * ngx_http_lua_nffi_worker.h - the process and the thread that the glue runs
 * in.
 */

#ifndef _NGX_HTTP_LUA_NFFI_WORKER_H_INCLUDED_
#define _NGX_HTTP_LUA_NFFI_WORKER_H_INCLUDED_


#include "ngx_http_lua_nffi_error.h"


#define NGX_HTTP_LUA_NFFI_DRAIN_LIMIT  30000    /* ms */

/* a worker that leaves waits so long for those that work on what nobody waits
   for, so that they hear of it */
#define NGX_HTTP_LUA_NFFI_FAREWELL     100      /* ms */

ngx_int_t ngx_http_lua_nffi_may_serve(ngx_http_lua_nffi_error_t *err);
ngx_msec_t ngx_http_lua_nffi_drain_limit(void);

/* NGX_ERROR: this is not the thread of the event loop; `err` may be NULL */
ngx_int_t ngx_http_lua_nffi_check_thread(ngx_http_lua_nffi_error_t *err);


#endif /* _NGX_HTTP_LUA_NFFI_WORKER_H_INCLUDED_ */
