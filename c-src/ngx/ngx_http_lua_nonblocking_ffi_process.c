/*
 * ngx_http_lua_nonblocking_ffi_process.c - the glue for a runtime that is a
 * child process of the worker: what is started, and starting it.
 *
 * All of it runs in the event loop.
 */

#ifndef DDEBUG
#define DDEBUG 0
#endif
#include "ddebug.h"


#include "ngx_http_lua_nonblocking_ffi_process.h"

#include <pwd.h>


#define NGX_HTTP_LUA_NFFI_GRACE         1000     /* ms, after it let go */


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


/* a copy of everything that is needed to start a process */

static ngx_http_lua_nffi_program_t *
ngx_http_lua_nffi_program_create(const char *program, const char **argv,
    const char **envp, const char *directory, uint32_t flags,
    const ngx_http_lua_nffi_limits_t *limits)
{
    char                         *at;
    size_t                        size;
    ngx_uint_t                    i, nargs, nenv;
    ngx_http_lua_nffi_program_t  *copy;

    size = sizeof(ngx_http_lua_nffi_program_t)
           + ngx_http_lua_nffi_strings_size(argv, &nargs)
           + ngx_http_lua_nffi_strings_size(envp, &nenv)
           + ngx_strlen(program) + 1
           + (directory ? ngx_strlen(directory) + 1 : 0);

    copy = ngx_calloc(size, ngx_cycle->log);
    if (copy == NULL) {
        return NULL;
    }

    copy->argv = (char **) (copy + 1);
    copy->envp = copy->argv + nargs + 1;
    at = (char *) (copy->envp + nenv + 1);

    for (i = 0; i < nargs; i++) {
        copy->argv[i] = ngx_http_lua_nffi_copy_string(&at, argv[i]);
    }

    for (i = 0; i < nenv; i++) {
        copy->envp[i] = ngx_http_lua_nffi_copy_string(&at, envp[i]);
    }

    copy->program = ngx_http_lua_nffi_copy_string(&at, program);

    if (directory) {
        copy->directory = ngx_http_lua_nffi_copy_string(&at, directory);
    }

    copy->flags = flags;
    copy->limits = *limits;

    return copy;
}


/* gives an instance the structure of its process, which is then spawned */

static ngx_int_t
ngx_http_lua_nffi_process_create(ngx_http_lua_nffi_instance_t *inst)
{
    ngx_http_lua_nffi_process_t  *p;

    if (inst->process) {
        return NGX_OK;
    }

    p = ngx_calloc(sizeof(ngx_http_lua_nffi_process_t), ngx_cycle->log);
    if (p == NULL) {
        return NGX_ERROR;
    }

    p->instance = inst;
    p->program = inst->runtime->program;
    p->name = &inst->runtime->name;
    p->leaving.pidfd = -1;

    p->out.output.name = inst->runtime->name;
    p->out.output.level = NGX_LOG_NOTICE;
    p->out.output.last_words = &p->last_words;
    p->err.output = p->out.output;
    p->err.output.level = NGX_LOG_ERR;

    ngx_http_lua_nffi_supervise(p);
    inst->process = p;

    return NGX_OK;
}


void *
ngx_http_lua_nonblocking_ffi_start(const u_char *key, size_t key_size,
    const char *name, const char *program, const char **argv,
    const char **envp, const char *directory, uint32_t flags,
    const ngx_http_lua_nffi_limits_t *limits, ngx_http_lua_nffi_error_t *err)
{
    ngx_str_t                      rt_key, rt_name;
    ngx_http_lua_nffi_runtime_t   *rt;
    ngx_http_lua_nffi_instance_t  *inst;

    if (ngx_http_lua_nffi_may_load(err) != NGX_OK) {
        return NULL;
    }

    rt = ngx_http_lua_nonblocking_ffi_find(key, key_size);
    if (rt) {
        return rt;
    }

    rt_key.data = (u_char *) key;
    rt_key.len = key_size;
    rt_name.data = (u_char *) name;
    rt_name.len = ngx_strlen(name);

    inst = NULL;
    rt = ngx_http_lua_nffi_register(&rt_key, &rt_name);

    if (rt) {
        rt->program = ngx_http_lua_nffi_program_create(program, argv, envp,
                                                       directory, flags,
                                                       limits);
    }

    if (rt && rt->program) {
        inst = ngx_http_lua_nffi_instance_add(rt);
    }

    if (inst == NULL || ngx_http_lua_nffi_process_create(inst) != NGX_OK) {
        ngx_http_lua_nffi_fail(err, "no_memory", "not enough memory");
        goto failed;
    }

    if (ngx_http_lua_nffi_process_spawn(inst->process, err) == NGX_OK) {
        return rt;
    }

failed:

    if (inst) {
        ngx_http_lua_nffi_instance_remove(inst);
    }

    if (rt) {
        ngx_free(rt->program);
        ngx_http_lua_nffi_unregister(rt);
    }

    return NULL;
}


static void
ngx_http_lua_nffi_reap(ngx_http_lua_nffi_process_t *p)
{
    if (p->reap.timer_set) {
        ngx_del_timer(&p->reap);
    }

    if (p->leaving.pidfd != -1) {
        nffi_child_kill(&p->leaving);
        (void) close(p->leaving.pidfd);
        p->leaving.pidfd = -1;
    }
}


void
ngx_http_lua_nffi_process_reap_handler(ngx_event_t *ev)
{
    ngx_http_lua_nffi_reap(ev->data);
}


static const char *
ngx_http_lua_nffi_user(void)
{
    struct passwd  *pw;

    pw = getpwuid(geteuid());

    return pw ? pw->pw_name : "?";
}


ngx_int_t
ngx_http_lua_nffi_process_spawn(ngx_http_lua_nffi_process_t *p,
    ngx_http_lua_nffi_error_t *err)
{
    int                           rc;
    const char                   *stage;
    ngx_err_t                     e;
    nffi_host_t                  *host;
    nffi_host_options_t           options;
    nffi_spawn_options_t          spawn;
    ngx_http_lua_nffi_program_t  *program = p->program;

    ngx_memzero(&options, sizeof(options));
    options.process = 1;
    options.max_queue = program->limits.max_queue;
    options.max_tasks = program->limits.max_tasks;
    options.request_arena = program->limits.arena;
    options.response_arena = program->limits.arena;
    options.spin_us = program->limits.spin_us;
    nffi_spin_init(&p->instance->spinner, program->limits.spin_us);

    rc = nffi_host_create(&host, &options);

    if (rc != NFFI_OK) {
        e = ngx_errno;
        return ngx_http_lua_nffi_fail(err, "load_failed",
                   "no shared memory for the runtime \"%V\": %s%s%s",
                   p->name, nffi_error_text(rc),
                   rc == NFFI_SYSTEM ? ": " : "",
                   rc == NFFI_SYSTEM ? strerror(e) : "");
    }

    ngx_http_lua_nffi_reap(p);

    ngx_memzero(&spawn, sizeof(spawn));
    spawn.program = program->program;
    spawn.argv = program->argv;
    spawn.envp = program->envp;
    spawn.directory = program->directory;
    spawn.flags = program->flags;

    rc = nffi_host_spawn(host, &spawn, &p->child, &stage);

    if (rc != NFFI_OK) {
        e = ngx_errno;
        nffi_host_destroy(host);

        return ngx_http_lua_nffi_fail(err, "load_failed",
                   "the runtime \"%V\" cannot be started: %s(\"%s\") as user "
                   "\"%s\" failed (%d: %s)", p->name, stage,
                   ngx_strcmp(stage, "chdir") == 0 ? program->directory
                                                  : program->program,
                   ngx_http_lua_nffi_user(), e, strerror(e));
    }

    p->instance->host = host;
    p->out.output.size = 0;
    p->err.output.size = 0;

    ngx_http_lua_nffi_process_started(p);
    (void) nffi_host_park(host);

    if (ngx_http_lua_nffi_channels_open(p) != NGX_OK) {
        /* nobody would hear it, nor learn of its death */
        nffi_child_kill(&p->child);
        ngx_http_lua_nffi_process_release(p);
        ngx_http_lua_nffi_reap(p);
        p->state = NGX_HTTP_LUA_NFFI_DOWN;

        return ngx_http_lua_nffi_fail(err, "load_failed",
                   "the runtime \"%V\" cannot be watched: the event method "
                   "refused a descriptor, see the error log", p->name);
    }

    ngx_log_error(NGX_LOG_INFO, ngx_cycle->log, 0,
                  "nffi: runtime \"%V\": process %P started", p->name,
                  p->child.pid);

    return NGX_OK;
}


void
ngx_http_lua_nffi_process_release(ngx_http_lua_nffi_process_t *p)
{
    ngx_http_lua_nffi_instance_t  *inst = p->instance;

    ngx_http_lua_nffi_channels_close(p);

    if (inst->drain.posted) {
        ngx_delete_posted_event(&inst->drain);
    }

    if (p->kill.timer_set) {
        ngx_del_timer(&p->kill);
    }

    /* whoever has let go of its end of the control socket is ending: its exit
       code is worth more than a signal 9 in the log. One that does not end is
       of no use any more, and the next ones would add up */

    if (p->child.pidfd != -1) {
        p->leaving.pidfd = p->child.pidfd;
        p->child.pidfd = -1;
        ngx_add_timer(&p->reap, NGX_HTTP_LUA_NFFI_GRACE);
    }

    p->child.pid = 0;

    nffi_host_destroy(inst->host);
    inst->host = NULL;
}
