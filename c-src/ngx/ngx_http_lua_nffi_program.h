/*
 * ngx_http_lua_nffi_program.h - the program that the processes of a runtime
 * run, and its settings.
 */

#ifndef _NGX_HTTP_LUA_NFFI_PROGRAM_H_INCLUDED_
#define _NGX_HTTP_LUA_NFFI_PROGRAM_H_INCLUDED_


#include "ngx_http_lua_nffi_error.h"
#include "ngx_http_lua_nffi_output.h"
#include "ngx_http_lua_nffi_runtime.h"
#include "ngx_http_lua_nffi_types.h"


/* Settings to start and watch a process. The caller owns all of them. */

#define NGX_HTTP_LUA_NFFI_UNLIMITED  UINT64_MAX

typedef struct {
    const char                    *name;       /* of the runtime */
    const char                   **programs;   /* absolute paths; the first that
                                                  can be executed runs */
    const char                   **argv;
    const char                   **envp;
    const char                    *config;     /* NULL: none */
    size_t                         config_size;
    const char                    *directory;  /* NULL: the worker's own */
    const char                    *user;       /* NULL: the worker's */
    uint32_t                       flags;      /* NFFI_RESET_CPUS */
    uint32_t                       processes;
    int32_t                        nice;       /* 0: the worker's */
    uint32_t                       health_interval;  /* ms, 0: no check */
    uint32_t                       health_timeout;   /* ms */
    uint32_t                       idle_timeout;     /* ms, 0: none */
    uint32_t                       on_first_call;    /* 0: with load() */
    uint64_t                       memory;     /* bytes, or UNLIMITED: as */
    uint64_t                       files;      /* in the worker */
    uint64_t                       cpu;        /* seconds */
    uint64_t                       core;       /* bytes */
    const char                    *hint;       /* NULL: none */
} ngx_http_lua_nffi_process_options_t;


/* Stops the processes of a runtime without calls, see _idle.c */

typedef struct {
    ngx_msec_t                          timeout;     /* 0: none */
    ngx_event_t                         check;
    uint64_t                            calls;       /* at the last check */
    ngx_uint_t                          checks;      /* without a call */
    ngx_uint_t                          busy;        /* at the last check */
    unsigned                            on_first_call:1;

    /* adds an instance without a process */
    ngx_int_t                         (*add)(ngx_http_lua_nffi_runtime_t *rt,
                                            ngx_http_lua_nffi_process_t **p);
} ngx_http_lua_nffi_idle_t;


/* A copy of the settings in one block of memory, owned by the runtime. */

struct ngx_http_lua_nffi_program_s {
    nffi_spawn_options_t                spawn;
    nffi_spawn_limit_t                  rlimits[4];
    char                               *config;      /* NULL: none */
    size_t                              config_size;
    ngx_uint_t                          processes;
    ngx_msec_t                          health_interval;  /* 0: no check */
    ngx_msec_t                          health_timeout;
    ngx_http_lua_nffi_idle_t            idle;
    ngx_http_lua_nffi_limits_t          limits;
    ngx_http_lua_nffi_known_t           known;
    const char                         *hint;        /* a question: what may be
                                                        wrong if the process is
                                                        never ready; or NULL */
};


ngx_http_lua_nffi_program_t *ngx_http_lua_nffi_program_create(
    const ngx_http_lua_nffi_process_options_t *options,
    const ngx_http_lua_nffi_limits_t *limits, ngx_http_lua_nffi_error_t *err);
void ngx_http_lua_nffi_program_free(ngx_http_lua_nffi_program_t *program);
const char *ngx_http_lua_nffi_user_name(void);


#endif /* _NGX_HTTP_LUA_NFFI_PROGRAM_H_INCLUDED_ */
