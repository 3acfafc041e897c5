/*
 * ngx_http_lua_nonblocking_ffi_program.c - the glue: what the processes of a
 * runtime are started with, copied and checked once when it is loaded.
 *
 * All of it runs in the event loop.
 */

#ifndef DDEBUG
#define DDEBUG 0
#endif
#include "ddebug.h"


#include "ngx_http_lua_nonblocking_ffi_process.h"

#include <grp.h>
#include <pwd.h>


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


const char *
ngx_http_lua_nffi_user_name(void)
{
    struct passwd  *pw;

    pw = getpwuid(geteuid());

    return pw ? pw->pw_name : "?";
}


/* user, its groups, and a nice value that only root may have */

static ngx_int_t
ngx_http_lua_nffi_program_privileges(ngx_http_lua_nffi_program_t *program,
    const ngx_http_lua_nffi_process_options_t *options,
    ngx_http_lua_nffi_error_t *err)
{
    int             n;
    struct passwd  *pw;

    if ((options->user || options->nice < 0) && geteuid() != 0) {
        return ngx_http_lua_nffi_fail(err, "not_permitted",
                   "%s of a runtime wants a worker that runs as root, this "
                   "one runs as \"%s\"", options->user ? "the option user"
                                                       : "a negative nice",
                   ngx_http_lua_nffi_user_name());
    }

    if (options->user == NULL) {
        return NGX_OK;
    }

    pw = getpwnam(options->user);

    if (pw == NULL) {
        return ngx_http_lua_nffi_fail(err, "load_failed",
                                      "there is no user \"%s\"",
                                      options->user);
    }

    program->user.uid = pw->pw_uid;
    program->user.gid = pw->pw_gid;

    n = NGX_HTTP_LUA_NFFI_GROUPS;

    if (getgrouplist(options->user, pw->pw_gid, program->groups, &n) == -1) {
        return ngx_http_lua_nffi_fail(err, "load_failed",
                   "user \"%s\" is in more than %d groups", options->user,
                   NGX_HTTP_LUA_NFFI_GROUPS);
    }

    program->user.groups = program->groups;
    program->user.groups_count = n;
    program->spawn.user = &program->user;

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


/* a copy of everything that is needed to start a process; NULL: err says why
   there will be none */

ngx_http_lua_nffi_program_t *
ngx_http_lua_nffi_program_create(
    const ngx_http_lua_nffi_process_options_t *options,
    const ngx_http_lua_nffi_limits_t *limits, ngx_http_lua_nffi_error_t *err)
{
    char                          *at, **argv, **envp;
    size_t                         size;
    ngx_uint_t                     i, nargs, nenv;
    ngx_http_lua_nffi_program_t   *program;

    /* the configuration is last, and copied once: it may be large */

    size = sizeof(ngx_http_lua_nffi_program_t)
           + ngx_http_lua_nffi_strings_size(options->argv, &nargs)
           + ngx_http_lua_nffi_strings_size(options->envp, &nenv)
           + ngx_strlen(options->program) + 1
           + (options->user ? ngx_strlen(options->user) + 1 : 0)
           + (options->directory ? ngx_strlen(options->directory) + 1 : 0);

    program = ngx_alloc(size + options->config_size, ngx_cycle->log);
    if (program == NULL) {
        ngx_http_lua_nffi_fail(err, "no_memory", "not enough memory");
        return NULL;
    }

    ngx_memzero(program, size);

    argv = (char **) (program + 1);
    envp = argv + nargs + 1;
    at = (char *) (envp + nenv + 1);

    for (i = 0; i < nargs; i++) {
        argv[i] = ngx_http_lua_nffi_copy_string(&at, options->argv[i]);
    }

    for (i = 0; i < nenv; i++) {
        envp[i] = ngx_http_lua_nffi_copy_string(&at, options->envp[i]);
    }

    program->spawn.program = ngx_http_lua_nffi_copy_string(&at,
                                                           options->program);
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
        program->user_name = ngx_http_lua_nffi_copy_string(&at, options->user);
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

    if (ngx_http_lua_nffi_program_privileges(program, options, err) != NGX_OK) {
        ngx_free(program);
        return NULL;
    }

    return program;
}
