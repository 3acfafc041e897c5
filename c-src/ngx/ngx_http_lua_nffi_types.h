/*
 * ngx_http_lua_nffi_types.h - types that the files of the glue share. Most are
 * opaque: their fields are in the header of their file.
 */

#ifndef _NGX_HTTP_LUA_NFFI_TYPES_H_INCLUDED_
#define _NGX_HTTP_LUA_NFFI_TYPES_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include <nffi.h>
#include <host/nffi_host.h>


typedef struct ngx_http_lua_nffi_runtime_s  ngx_http_lua_nffi_runtime_t;
typedef struct ngx_http_lua_nffi_instance_s  ngx_http_lua_nffi_instance_t;
typedef struct ngx_http_lua_nffi_process_s  ngx_http_lua_nffi_process_t;
typedef struct ngx_http_lua_nffi_program_s  ngx_http_lua_nffi_program_t;
typedef struct ngx_http_lua_nffi_call_s  ngx_http_lua_nffi_call_t;


#endif /* _NGX_HTTP_LUA_NFFI_TYPES_H_INCLUDED_ */
