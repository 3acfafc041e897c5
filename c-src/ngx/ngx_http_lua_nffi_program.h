/*
 * ngx_http_lua_nffi_program.h - what the processes of a runtime are started
 * with.
 */

#ifndef _NGX_HTTP_LUA_NFFI_PROGRAM_H_INCLUDED_
#define _NGX_HTTP_LUA_NFFI_PROGRAM_H_INCLUDED_


#include "ngx_http_lua_nffi_error.h"
#include "ngx_http_lua_nffi_output.h"
#include "ngx_http_lua_nffi_runtime.h"
#include "ngx_http_lua_nffi_types.h"


/* what a process is started with, and how it is looked after; all of it is the
   caller's */

#define NGX_HTTP_LUA_NFFI_UNLIMITED  UINT64_MAX

typedef struct {
    const char                    *name;       /* of the runtime */
    const char                   **programs;   /* absolute; the first that can
                                                  be executed is */
    const char                   **argv;
    const char                   **envp;
    const char                    *config;     /* NULL: none */
    size_t                         config_size;
    const char                    *directory;  /* NULL: nginx's own */
    const char                    *user;       /* NULL: the worker's */
    uint32_t                       flags;      /* NFFI_RESET_CPUS */
    uint32_t                       processes;
    int32_t                        nice;       /* 0: the worker's */
    uint32_t                       health_interval;  /* ms, 0: never asked */
    uint32_t                       health_timeout;   /* ms */
    uint64_t                       memory;     /* bytes; or UNLIMITED, which */
    uint64_t                       files;      /* leaves what the worker has */
    uint64_t                       cpu;        /* seconds */
    uint64_t                       core;       /* bytes */
} ngx_http_lua_nffi_process_options_t;


/* what is started; one block of memory, owned by the runtime */

struct ngx_http_lua_nffi_program_s {
    nffi_spawn_options_t                spawn;
    nffi_spawn_limit_t                  rlimits[4];
    char                               *config;      /* NULL: none */
    size_t                              config_size;
    ngx_uint_t                          processes;
    ngx_msec_t                          health_interval;  /* 0: never asked */
    ngx_msec_t                          health_timeout;
    ngx_http_lua_nffi_limits_t          limits;
    ngx_http_lua_nffi_known_t           known;
};


ngx_http_lua_nffi_program_t *ngx_http_lua_nffi_program_create(
    const ngx_http_lua_nffi_process_options_t *options,
    const ngx_http_lua_nffi_limits_t *limits, ngx_http_lua_nffi_error_t *err);
const char *ngx_http_lua_nffi_user_name(void);


#endif /* _NGX_HTTP_LUA_NFFI_PROGRAM_H_INCLUDED_ */
