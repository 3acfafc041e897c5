/*
 * ngx_http_lua_nffi_worker.h - the process and the thread in which the glue
 * runs.
 */

#ifndef _NGX_HTTP_LUA_NFFI_WORKER_H_INCLUDED_
#define _NGX_HTTP_LUA_NFFI_WORKER_H_INCLUDED_


#include "ngx_http_lua_nffi_error.h"


#define NGX_HTTP_LUA_NFFI_GRACE_PERIOD  30000    /* ms */

/* The time that an exiting worker leaves for threads that run cancelled tasks,
   so that they can react to the cancellation. */
#define NGX_HTTP_LUA_NFFI_CANCEL_GRACE  100      /* ms */

ngx_int_t ngx_http_lua_nffi_may_serve(ngx_http_lua_nffi_error_t *err);
ngx_msec_t ngx_http_lua_nffi_grace_period(void);

/* Returns NGX_ERROR if this is not the thread of the event loop. `err` may be
   NULL. */
ngx_int_t ngx_http_lua_nffi_check_thread(ngx_http_lua_nffi_error_t *err);


#endif /* _NGX_HTTP_LUA_NFFI_WORKER_H_INCLUDED_ */
