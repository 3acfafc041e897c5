/*
 * ngx_http_lua_nffi_events.h - what the descriptors of a process report.
 */

#ifndef _NGX_HTTP_LUA_NFFI_EVENTS_H_INCLUDED_
#define _NGX_HTTP_LUA_NFFI_EVENTS_H_INCLUDED_


#include "ngx_http_lua_nffi_types.h"


#define NGX_HTTP_LUA_NFFI_EVENTS        64       /* messages of a process in one
                                                    turn */

ngx_int_t ngx_http_lua_nffi_channels_open(ngx_http_lua_nffi_process_t *p);


#endif /* _NGX_HTTP_LUA_NFFI_EVENTS_H_INCLUDED_ */
