/*
 * ngx_http_lua_nffi_entry.c - the glue: calls the entry of a native library: of
 * nffi.h or of a public generation.
 *
 * Everything runs in the event loop.
 */

#ifndef DDEBUG
#define DDEBUG 0
#endif
#include "ddebug.h"


#include "ngx_http_lua_nffi_entry.h"

#include <dlfcn.h>


typedef int (*ngx_http_lua_nffi_start_pt)(nffi_queue_t *queue,
    const char *config, size_t config_size, char *error, size_t error_size);

/* The entries of the public generations. libffi_init is the later one.
   lib_nonblocking_ffi_init takes (cfg, cfg_len, tq) in 2022-09 and (cfg, tq) in
   2022-10; its second argument serves as both, see compat.c. */
typedef int (*ngx_http_lua_nffi_init_2022_pt)(char *cfg, void *tq_and_length,
    void *tq);
typedef int (*ngx_http_lua_nffi_init_later_pt)(char *cfg, void *tq);


/* Resolves a name as LuaJIT's ffi.load() does: "demo" is libdemo.so. */

ngx_int_t
ngx_http_lua_nffi_entry_file(const u_char *library, size_t size, char *file)
{
    ngx_uint_t  path, dot, prefixed;

    if (size == 0 || size > NGX_HTTP_LUA_NFFI_FILE - 8
        || ngx_strlchr((u_char *) library, (u_char *) library + size, '\0'))
    {
        return NGX_ERROR;
    }

    path = ngx_strlchr((u_char *) library, (u_char *) library + size, '/')
           != NULL;
    dot = ngx_strlchr((u_char *) library, (u_char *) library + size, '.')
          != NULL;
    prefixed = size >= 3 && ngx_strncmp(library, "lib", 3) == 0;

    *ngx_snprintf((u_char *) file, NGX_HTTP_LUA_NFFI_FILE - 1, "%s%*s%s",
                  path || prefixed ? "" : "lib", size, library,
                  path || dot ? "" : ".so") = '\0';

    return NGX_OK;
}


/* Calls the entry of a public generation. */

static ngx_int_t
ngx_http_lua_nffi_entry_call_public(void *handle, const char *file,
    nffi_host_t *host, const u_char *config, size_t config_size,
    ngx_http_lua_nffi_error_t *err)
{
    int                               rc;
    char                             *copy;
    ngx_http_lua_nffi_init_2022_pt    init_2022;
    ngx_http_lua_nffi_init_later_pt   init_later;

    init_later = (ngx_http_lua_nffi_init_later_pt)
                     dlsym(handle, "libffi_init");
    init_2022 = (ngx_http_lua_nffi_init_2022_pt)
                    dlsym(handle, "lib_nonblocking_ffi_init");

    if (init_later == NULL && init_2022 == NULL) {
        (void) ngx_http_lua_nffi_fail(err, "no_entry",
                   "%s is not a runtime: it exports none of "
                   "nffi_runtime_start, libffi_init and "
                   "lib_nonblocking_ffi_init", file);
        return NGX_DECLINED;
    }

    if (config_size > NGX_MAX_INT32_VALUE) {
        (void) ngx_http_lua_nffi_fail(err, "load_failed",
                   "the configuration of %s is too large: %uz bytes, and its "
                   "entry takes at most 2 GiB", file, config_size);
        return NGX_DECLINED;
    }

    copy = NULL;

    if (config) {
        copy = malloc(config_size + 1);
        if (copy == NULL) {
            (void) ngx_http_lua_nffi_fail(err, "no_memory",
                                          "not enough memory");
            return NGX_DECLINED;
        }

        /* includes the trailing NUL */
        ngx_memcpy(copy, config, config_size + 1);
    }

    if (init_later) {
        rc = init_later(copy, nffi_host_public_queue(host, config_size, 0));
        free(copy);

    } else {
        /* not freed: the library of 2022-09 owns it, and cannot be
           distinguished from one of 2022-10 */
        rc = init_2022(copy, nffi_host_public_queue(host, config_size, 0),
                       nffi_host_public_queue(host, config_size, 1));
    }

    if (rc != 0) {
        (void) ngx_http_lua_nffi_fail(err, "load_failed",
                   "%s did not start: its entry returned %d", file, rc);
        err->rc = rc;
        return NGX_ERROR;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_lua_nffi_entry_call(void *handle, const char *file, nffi_host_t *host,
    nffi_queue_t *queue, const u_char *config, size_t config_size,
    const ngx_str_t *module, ngx_http_lua_nffi_error_t *err)
{
    int                          rc;
    char                         reason[512];
    const uint32_t              *abi;
    ngx_http_lua_nffi_start_pt   start;

    start = (ngx_http_lua_nffi_start_pt) dlsym(handle, "nffi_runtime_start");

    if (start) {
        abi = dlsym(handle, "nffi_runtime_abi");

        if (abi == NULL || *abi != NFFI_ABI_VERSION) {
            (void) ngx_http_lua_nffi_fail(err, "abi_mismatch",
                       "%s is built for ABI %s%uD, this nginx has ABI %d",
                       file, abi ? "" : "unknown ", abi ? *abi : 0,
                       NFFI_ABI_VERSION);
            return NGX_DECLINED;
        }

        reason[0] = '\0';
        rc = start(queue, (const char *) config, config_size, reason,
                   sizeof(reason));
        reason[sizeof(reason) - 1] = '\0';

        if (rc == 0) {
            return NGX_OK;
        }

        return ngx_http_lua_nffi_fail(err, "load_failed",
                   "%*s did not start: %s (%d)",
                   module ? module->len : ngx_strlen(file),
                   module ? (char *) module->data : file,
                   reason[0] ? reason : "no reason given", rc);
    }

    return ngx_http_lua_nffi_entry_call_public(handle, file, host, config,
                                               config_size, err);
}
