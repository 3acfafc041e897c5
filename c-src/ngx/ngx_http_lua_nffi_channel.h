/*
 * ngx_http_lua_nffi_channel.h - a descriptor that the event loop watches.
 */

#ifndef _NGX_HTTP_LUA_NFFI_CHANNEL_H_INCLUDED_
#define _NGX_HTTP_LUA_NFFI_CHANNEL_H_INCLUDED_


#include "ngx_http_lua_nffi_types.h"


typedef struct {
    ngx_connection_t                    connection;
    ngx_event_t                         read;
    ngx_event_t                         write;       /* never active */
    ngx_http_lua_nffi_process_t        *process;
} ngx_http_lua_nffi_channel_t;


void ngx_http_lua_nffi_channel_init(ngx_http_lua_nffi_process_t *p,
    ngx_http_lua_nffi_channel_t *ch, int fd, ngx_event_handler_pt handler);
void ngx_http_lua_nffi_channel_close(ngx_http_lua_nffi_channel_t *ch,
    ngx_uint_t close_fd);


#endif /* _NGX_HTTP_LUA_NFFI_CHANNEL_H_INCLUDED_ */
