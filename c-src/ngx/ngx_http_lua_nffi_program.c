/*
 * ngx_http_lua_nffi_program.c - the glue: the program that the processes of a
 * runtime run, and its settings: checked and copied once when the runtime is
 * loaded.
 *
 * Everything runs in the event loop.
 */

#ifndef DDEBUG
#define DDEBUG 0
#endif
#include "ddebug.h"


#include "ngx_http_lua_nffi_program.h"
#include "ngx_http_lua_nffi_core.h"
#include "ngx_http_lua_nffi_error.h"
#include "ngx_http_lua_nffi_runtime.h"
#include "ngx_http_lua_nffi_types.h"


static size_t
ngx_http_lua_nffi_strings_size(const char **strings, ngx_uint_t *count)
{
    size_t  size;

    size = 0;

    for (*count = 0; strings[*count]; (*count)++) {
        size += ngx_strlen(strings[*count]) + 1;
    }

    return size + (*count + 1) * sizeof(char *);
}


static char *
ngx_http_lua_nffi_copy_string(char **to, const char *s)
{
    char    *copy = *to;
    size_t   size = ngx_strlen(s) + 1;

    ngx_memcpy(copy, s, size);
    *to += size;

    return copy;
}


/* Returns the name of the worker's user, without a look-up, which could
   block. */

const char *
ngx_http_lua_nffi_user_name(void)
{
    uid_t          uid;
    const char    *name;

    static u_char  number[sizeof("uid ") + NGX_INT64_LEN];

    uid = geteuid();

    if (uid == 0) {
        return "root";
    }

    name = ngx_http_lua_nffi_configured_user(uid);

    if (name) {
        return name;
    }

    *ngx_snprintf(number, sizeof(number) - 1, "uid %ui", (ngx_uint_t) uid)
        = '\0';

    return (char *) number;
}


/* Checks the user, and a nice value that only root may set. */

static ngx_int_t
ngx_http_lua_nffi_program_privileges(
    const ngx_http_lua_nffi_process_options_t *options,
    ngx_http_lua_nffi_error_t *err)
{
    if ((options->user || options->nice < 0) && geteuid() != 0) {
        return ngx_http_lua_nffi_fail(err, "not_permitted",
                   "%s of a runtime requires a worker that runs as root, this "
                   "one runs as \"%s\"", options->user ? "the option user"
                                                       : "a negative nice",
                   ngx_http_lua_nffi_user_name());
    }

    return NGX_OK;
}


static void
ngx_http_lua_nffi_program_limit(ngx_http_lua_nffi_program_t *program,
    int resource, uint64_t value)
{
    if (value != NGX_HTTP_LUA_NFFI_UNLIMITED) {
        program->rlimits[program->spawn.limits_count].resource = resource;
        program->rlimits[program->spawn.limits_count++].value = value;
    }
}


/* Copies everything that is needed to start a process. Returns NULL with `err`
   if no process can be started. */

ngx_http_lua_nffi_program_t *
ngx_http_lua_nffi_program_create(
    const ngx_http_lua_nffi_process_options_t *options,
    const ngx_http_lua_nffi_limits_t *limits, ngx_http_lua_nffi_error_t *err)
{
    char                          *at, **programs, **argv, **envp;
    size_t                         size;
    ngx_uint_t                     i, nprograms, nargs, nenv;
    ngx_http_lua_nffi_program_t   *program;

    if (ngx_http_lua_nffi_program_privileges(options, err) != NGX_OK) {
        return NULL;
    }

    /* the configuration is last and copied once, since it may be large */

    size = sizeof(ngx_http_lua_nffi_program_t)
           + ngx_http_lua_nffi_strings_size(options->programs, &nprograms)
           + ngx_http_lua_nffi_strings_size(options->argv, &nargs)
           + ngx_http_lua_nffi_strings_size(options->envp, &nenv)
           + (options->user ? ngx_strlen(options->user) + 1 : 0)
           + (options->directory ? ngx_strlen(options->directory) + 1 : 0)
           + (options->hint ? ngx_strlen(options->hint) + 1 : 0);

    program = ngx_alloc(size + options->config_size, ngx_cycle->log);
    if (program == NULL) {
        ngx_http_lua_nffi_fail(err, "no_memory", "not enough memory");
        return NULL;
    }

    ngx_memzero(program, size);

    programs = (char **) (program + 1);
    argv = programs + nprograms + 1;
    envp = argv + nargs + 1;
    at = (char *) (envp + nenv + 1);

    for (i = 0; i < nprograms; i++) {
        programs[i] = ngx_http_lua_nffi_copy_string(&at, options->programs[i]);
    }

    for (i = 0; i < nargs; i++) {
        argv[i] = ngx_http_lua_nffi_copy_string(&at, options->argv[i]);
    }

    for (i = 0; i < nenv; i++) {
        envp[i] = ngx_http_lua_nffi_copy_string(&at, options->envp[i]);
    }

    program->spawn.programs = programs;
    program->spawn.argv = argv;
    program->spawn.envp = envp;
    program->spawn.flags = options->flags;
    program->spawn.nice = options->nice;
    program->spawn.limits = program->rlimits;

    if (options->directory) {
        program->spawn.directory = ngx_http_lua_nffi_copy_string(&at,
                                                           options->directory);
    }

    if (options->user) {
        program->spawn.user = ngx_http_lua_nffi_copy_string(&at, options->user);
    }

    if (options->hint) {
        program->hint = ngx_http_lua_nffi_copy_string(&at, options->hint);
    }

    if (options->config) {
        program->config = (char *) program + size;
        program->config_size = options->config_size;
        ngx_memcpy(program->config, options->config, options->config_size);
    }

    ngx_http_lua_nffi_program_limit(program, RLIMIT_DATA, options->memory);
    ngx_http_lua_nffi_program_limit(program, RLIMIT_NOFILE, options->files);
    ngx_http_lua_nffi_program_limit(program, RLIMIT_CPU, options->cpu);
    ngx_http_lua_nffi_program_limit(program, RLIMIT_CORE, options->core);

    program->limits = *limits;
    program->processes = options->processes;
    program->health_interval = options->health_interval;
    program->health_timeout = options->health_timeout;
    program->idle.timeout = options->idle_timeout;
    program->idle.on_first_call = options->on_first_call != 0;

    return program;
}


void
ngx_http_lua_nffi_program_free(ngx_http_lua_nffi_program_t *program)
{
    if (program->idle.check.timer_set) {
        ngx_del_timer(&program->idle.check);
    }

    ngx_free(program);
}
