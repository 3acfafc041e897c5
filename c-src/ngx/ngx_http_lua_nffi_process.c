/*
 * ngx_http_lua_nffi_process.c - the glue for a runtime that is hosted in
 * processes: creates their instances, starts and frees them.
 *
 * Everything runs in the event loop.
 */

#ifndef DDEBUG
#define DDEBUG 0
#endif
#include "ddebug.h"


#include "ngx_http_lua_nffi_process.h"
#include "ngx_http_lua_nffi_error.h"
#include "ngx_http_lua_nffi_events.h"
#include "ngx_http_lua_nffi_idle.h"
#include "ngx_http_lua_nffi_instance.h"
#include "ngx_http_lua_nffi_launch.h"
#include "ngx_http_lua_nffi_program.h"
#include "ngx_http_lua_nffi_runtime.h"
#include "ngx_http_lua_nffi_supervisor.h"
#include "ngx_http_lua_nffi_types.h"


static ngx_int_t ngx_http_lua_nffi_process_call(
    ngx_http_lua_nffi_instance_t *inst, ngx_http_lua_nffi_error_t *err);
static ngx_int_t ngx_http_lua_nffi_process_try_free(
    ngx_http_lua_nffi_instance_t *inst);
static ngx_pid_t ngx_http_lua_nffi_process_pid(
    ngx_http_lua_nffi_instance_t *inst);


static const ngx_http_lua_nffi_instance_ops_t  ngx_http_lua_nffi_process_ops = {
    ngx_http_lua_nffi_process_call,
    ngx_http_lua_nffi_process_finish,
    ngx_http_lua_nffi_process_broken,
    ngx_http_lua_nffi_process_try_free,
    ngx_http_lua_nffi_process_pid
};


static void ngx_http_lua_nffi_restart_handler(ngx_event_t *ev);


/* Allocates the process structure of an instance. The process is started
   later. */

static ngx_int_t
ngx_http_lua_nffi_process_create(ngx_http_lua_nffi_instance_t *inst,
    const ngx_http_lua_nffi_process_events_t *events)
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
    p->events = events;
    p->program = inst->runtime->program;
    p->name = &inst->runtime->name;
    p->label = &inst->runtime->label;

    p->out.output.rate.label = &inst->runtime->label;
    p->out.output.level = NGX_LOG_NOTICE;
    p->out.output.last_error = &p->last_error;
    p->err.output = p->out.output;
    p->err.output.level = NGX_LOG_ERR;

    ngx_http_lua_nffi_supervise(p, ngx_http_lua_nffi_restart_handler);
    inst->process = p;

    return NGX_OK;
}


/* Starts the process. Returns NGX_AGAIN with `err` if a later attempt may
   succeed. */

static ngx_int_t
ngx_http_lua_nffi_process_spawn(ngx_http_lua_nffi_process_t *p,
    ngx_http_lua_nffi_error_t *err)
{
    int                           rc;
    ngx_err_t                     e;
    nffi_host_t                  *host;
    nffi_host_options_t           options;
    ngx_http_lua_nffi_program_t  *program = p->program;

    ngx_memzero(&options, sizeof(options));
    options.process = 1;
    options.config = program->config;
    options.config_size = program->config_size;
    options.max_queue = program->limits.max_queue;
    options.max_tasks = program->limits.max_tasks;
    options.request_arena = program->limits.arena;
    options.response_arena = program->limits.arena;
    options.max_bytes = program->limits.max_bytes;
    options.spin_us = program->limits.spin_us;
    options.grown = ngx_http_lua_nffi_process_grown;
    options.grown_data = p;
    options.message = ngx_http_lua_nffi_process_message;
    options.message_data = p;
    options.times = &p->instance->runtime->counts.times;
    nffi_spin_init(&p->instance->spinner, program->limits.spin_us);

    rc = nffi_host_create(&host, &options);

    if (rc != NFFI_OK) {
        e = ngx_errno;

        if (rc != NFFI_SYSTEM) {
            return ngx_http_lua_nffi_fail(err, "load_failed",
                       "no shared memory for the runtime \"%V\": %s", p->name,
                       nffi_error_text(rc));
        }

        return ngx_http_lua_nffi_fail(err, "load_failed",
                   "no shared memory (memfd) for the runtime \"%V\" (%d: %s%s)",
                   p->name, e, strerror(e),
                   e == EFBIG ? "; raise the limit of nginx (ulimit -f) or "
                                "lower `arena` and `max_tasks`" : "");
    }

    rc = ngx_http_lua_nffi_launch(p, host, err);

    if (rc != NGX_OK) {
        nffi_host_destroy(host);
        return rc;
    }

    p->instance->host = host;
    p->out.output.size = 0;
    p->err.output.size = 0;
    p->err.output.in_stack = 0;

    ngx_http_lua_nffi_process_started(p);
    ngx_http_lua_nffi_idle_watch(p->instance->runtime);
    (void) nffi_host_park(host);

    if (ngx_http_lua_nffi_channels_open(p) != NGX_OK) {
        /* the glue could neither receive its events nor notice its exit */
        ngx_http_lua_nffi_process_abandon(p);

        return ngx_http_lua_nffi_fail(err, "load_failed",
                   "the runtime \"%V\" cannot be watched: the event method "
                   "refused a descriptor, see the error log", p->name);
    }

    return NGX_OK;
}


static void
ngx_http_lua_nffi_restart_handler(ngx_event_t *ev)
{
    ngx_http_lua_nffi_process_t  *p = ev->data;

    if (ngx_exiting || p->instance->closed) {
        return;
    }

    if (ngx_http_lua_nffi_process_spawn(p, &p->reason) != NGX_OK) {
        ngx_http_lua_nffi_process_not_restarted(p);
        return;
    }

    p->restarts++;
    p->instance->runtime->counts.restarts++;
}


/* Adds a process. On NGX_ERROR its instance is in the list of ended instances.
   A process that cannot be started for the moment is down and is started later.
   In a reload that is an error, because the old processes still serve. */

ngx_int_t
ngx_http_lua_nffi_process_add(ngx_http_lua_nffi_runtime_t *rt,
    ngx_queue_t *list, const ngx_http_lua_nffi_process_events_t *events,
    ngx_http_lua_nffi_error_t *err)
{
    ngx_int_t                      rc;
    ngx_http_lua_nffi_instance_t  *inst;

    inst = ngx_http_lua_nffi_instance_add(rt, list,
                                          &ngx_http_lua_nffi_process_ops);

    if (inst == NULL
        || ngx_http_lua_nffi_process_create(inst, events) != NGX_OK)
    {
        (void) ngx_http_lua_nffi_fail(err, "no_memory", "not enough memory");
        rc = NGX_ERROR;

    } else {
        rc = ngx_http_lua_nffi_process_spawn(inst->process, err);
    }

    if (rc == NGX_OK) {
        return NGX_OK;
    }

    if (rc == NGX_AGAIN && events == NULL) {
        inst->process->reason = *err;
        ngx_http_lua_nffi_process_not_restarted(inst->process);
        return NGX_OK;
    }

    if (inst) {
        ngx_http_lua_nffi_instance_end(inst);
    }

    return NGX_ERROR;
}


/* Adds an instance without a process. */

static ngx_int_t
ngx_http_lua_nffi_process_add_idle(ngx_http_lua_nffi_runtime_t *rt,
    ngx_http_lua_nffi_process_t **process)
{
    ngx_http_lua_nffi_instance_t  *inst;

    inst = ngx_http_lua_nffi_instance_add(rt, &rt->serving,
                                          &ngx_http_lua_nffi_process_ops);
    if (inst == NULL) {
        return NGX_ERROR;
    }

    if (ngx_http_lua_nffi_process_create(inst, NULL) != NGX_OK) {
        ngx_http_lua_nffi_instance_end(inst);
        return NGX_ERROR;
    }

    inst->process->state = NGX_HTTP_LUA_NFFI_IDLE;

    if (process) {
        *process = inst->process;
    }

    return NGX_OK;
}


/* Starts an idle process for a call. If that fails, the process is down. */

static ngx_int_t
ngx_http_lua_nffi_process_call(ngx_http_lua_nffi_instance_t *inst,
    ngx_http_lua_nffi_error_t *err)
{
    ngx_http_lua_nffi_process_t  *p = inst->process;

    if (p->state == NGX_HTTP_LUA_NFFI_IDLE) {
        p->state = NGX_HTTP_LUA_NFFI_DOWN;
        p->reason.size = 0;

        if (ngx_http_lua_nffi_process_spawn(p, &p->reason) != NGX_OK) {
            ngx_http_lua_nffi_process_not_restarted(p);
        }
    }

    return ngx_http_lua_nffi_process_available(inst, err);
}


ngx_http_lua_nffi_runtime_t *
ngx_http_lua_nffi_process_load(const u_char *key, size_t key_size,
    const ngx_http_lua_nffi_process_options_t *options,
    const ngx_http_lua_nffi_limits_t *limits, ngx_http_lua_nffi_error_t *err)
{
    ngx_str_t                      rt_key, rt_name;
    ngx_uint_t                     i;
    ngx_queue_t                   *q;
    ngx_http_lua_nffi_runtime_t   *rt;
    ngx_http_lua_nffi_program_t   *program;
    ngx_http_lua_nffi_instance_t  *inst;

    rt = ngx_http_lua_nffi_lookup(key, key_size);
    if (rt) {
        return rt;
    }

    program = ngx_http_lua_nffi_program_create(options, limits, err);
    if (program == NULL) {
        return NULL;
    }

    rt_key.data = (u_char *) key;
    rt_key.len = key_size;
    rt_name.data = (u_char *) options->name;
    rt_name.len = ngx_strlen(options->name);

    rt = ngx_http_lua_nffi_register(&rt_key, &rt_name);

    if (rt == NULL) {
        (void) ngx_http_lua_nffi_fail(err, "no_memory", "not enough memory");
        ngx_free(program);
        return NULL;
    }

    rt->program = program;
    program->idle.add = ngx_http_lua_nffi_process_add_idle;

    for (i = 0; i < options->processes; i++) {
        if (!program->idle.on_first_call) {
            if (ngx_http_lua_nffi_process_add(rt, &rt->serving, NULL, err)
                != NGX_OK)
            {
                goto failed;
            }

        } else if (ngx_http_lua_nffi_process_add_idle(rt, NULL) != NGX_OK) {
            (void) ngx_http_lua_nffi_fail(err, "no_memory",
                                          "not enough memory");
            goto failed;
        }
    }

    return rt;

failed:

    rt->failed = 1;

    while (!ngx_queue_empty(&rt->serving)) {
        q = ngx_queue_head(&rt->serving);
        inst = ngx_queue_data(q, ngx_http_lua_nffi_instance_t, queue);

        if (inst->host) {
            ngx_http_lua_nffi_process_abandon(inst->process);
        }

        ngx_http_lua_nffi_instance_end(inst);
    }

    ngx_http_lua_nffi_close_runtime(rt);

    return NULL;
}


/* Returns NGX_AGAIN while there is a process. */

static ngx_int_t
ngx_http_lua_nffi_process_try_free(ngx_http_lua_nffi_instance_t *inst)
{
    if (inst->host) {
        return NGX_AGAIN;
    }

    if (inst->process) {
        ngx_http_lua_nffi_process_free(inst->process);
    }

    return NGX_OK;
}


static ngx_pid_t
ngx_http_lua_nffi_process_pid(ngx_http_lua_nffi_instance_t *inst)
{
    return inst->process->process.pid;
}
