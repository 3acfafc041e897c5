/*
 * ngx_http_lua_nffi_entry.h - calls the entry of a native library.
 */

#ifndef _NGX_HTTP_LUA_NFFI_ENTRY_H_INCLUDED_
#define _NGX_HTTP_LUA_NFFI_ENTRY_H_INCLUDED_


#include "ngx_http_lua_nffi_error.h"
#include "ngx_http_lua_nffi_types.h"


#define NGX_HTTP_LUA_NFFI_FILE  4096      /* max bytes of a path */


/* Writes the name of the file of `library` to `file`, of NGX_HTTP_LUA_NFFI_FILE
   bytes. NGX_ERROR: it cannot be a name of a file. */
ngx_int_t ngx_http_lua_nffi_entry_file(const u_char *library, size_t size,
    char *file);

/* Calls the entry of the library that dlopen() returned as `handle`. Returns
   NGX_ERROR if the entry failed, NGX_DECLINED if it was not called, so that the
   library does not know the queue. `module`: the name for messages, or NULL for
   `file`. */
ngx_int_t ngx_http_lua_nffi_entry_call(void *handle, const char *file,
    nffi_host_t *host, nffi_queue_t *queue, const u_char *config,
    size_t config_size, const ngx_str_t *module,
    ngx_http_lua_nffi_error_t *err);


#endif /* _NGX_HTTP_LUA_NFFI_ENTRY_H_INCLUDED_ */
