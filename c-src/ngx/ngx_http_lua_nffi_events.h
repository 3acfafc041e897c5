/*
 * ngx_http_lua_nffi_events.h - handles events on the descriptors of a process.
 */

#ifndef _NGX_HTTP_LUA_NFFI_EVENTS_H_INCLUDED_
#define _NGX_HTTP_LUA_NFFI_EVENTS_H_INCLUDED_


#include "ngx_http_lua_nffi_types.h"


#define NGX_HTTP_LUA_NFFI_EVENTS        64       /* max messages of a process
                                                    per turn */

ngx_int_t ngx_http_lua_nffi_channels_open(ngx_http_lua_nffi_process_t *p);
void ngx_http_lua_nffi_process_message(void *data);


#endif /* _NGX_HTTP_LUA_NFFI_EVENTS_H_INCLUDED_ */
