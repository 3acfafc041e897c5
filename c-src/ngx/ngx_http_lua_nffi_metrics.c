/*
 * ngx_http_lua_nffi_metrics.c - the glue: what became of a
 * runtime's calls, counted in this worker. The counts live as long as the
 * runtime: a VM that goes (lua_code_cache off) takes none along.
 *
 * All of it runs in the event loop.
 */

#ifndef DDEBUG
#define DDEBUG 0
#endif
#include "ddebug.h"


#include "ngx_http_lua_nffi_process.h"


/* NGX_HTTP_LUA_NFFI_CODES of them, as Lua gets them; the last is for others */

static const char  *ngx_http_lua_nffi_codes[NGX_HTTP_LUA_NFFI_CODES] = {
    "runtime_error", "runtime_down", "exiting", "closed", "no_memory",
    "queue_full", "invalid"
};


static void
ngx_http_lua_nffi_count(uint64_t *counts, const char *code)
{
    ngx_uint_t  i;

    for (i = 0; i < NGX_HTTP_LUA_NFFI_CODES - 1; i++) {
        if (ngx_strcmp(ngx_http_lua_nffi_codes[i], code) == 0) {
            break;
        }
    }

    counts[i]++;
}


void
ngx_http_lua_nffi_count_rejected(ngx_http_lua_nffi_runtime_t *rt,
    const char *code)
{
    ngx_http_lua_nffi_count(rt->counts.rejected, code);
}


ngx_uint_t
ngx_http_lua_nffi_is_error(const nffi_host_response_t *response)
{
    return response->rc != 0 || (response->flags & NFFI_HOST_ERROR);
}


/* the runtime has answered; of a stream, its last answer */

void
ngx_http_lua_nffi_count_answer(ngx_http_lua_nffi_runtime_t *rt,
    const nffi_host_response_t *response)
{
    if (ngx_http_lua_nffi_is_error(response)) {
        ngx_http_lua_nffi_count(rt->counts.errors, "runtime_error");

    } else {
        rt->counts.answers++;
    }
}


/* each kind is logged once for each runtime, and counted from then on */

void
ngx_http_lua_nffi_count_misuse(ngx_http_lua_nffi_instance_t *inst)
{
    ngx_uint_t                    kind;
    ngx_http_lua_nffi_runtime_t  *rt = inst->runtime;

    static const char  *kinds[NFFI_HOST_MISUSES] = {
        "answered a task a second time", "answered a task that does not exist"
    };

    for (kind = 0; kind < NFFI_HOST_MISUSES; kind++) {

        if (nffi_host_misuse(inst->host, kind, &rt->counts.refused[kind])
            && !(rt->misused & (1u << kind)))
        {
            rt->misused |= 1u << kind;

            ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                          "nffi: runtime \"%V\" %s; this was refused, and "
                          "the next ones are only counted", &rt->name,
                          kinds[kind]);
        }
    }
}


/* the wait is over, and there is no answer */

void
ngx_http_lua_nffi_count_failed(ngx_http_lua_nffi_runtime_t *rt,
    const char *code)
{
    if (ngx_strcmp(code, "timeout") == 0) {
        rt->counts.timeouts++;

    } else {
        ngx_http_lua_nffi_count(rt->counts.errors, code);
    }
}


const char *
ngx_http_lua_nonblocking_ffi_code(uint32_t index)
{
    return index < NGX_HTTP_LUA_NFFI_CODES ? ngx_http_lua_nffi_codes[index]
                                           : NULL;
}


/* the counts of one runtime; they change as it works */

const ngx_http_lua_nffi_counts_t *
ngx_http_lua_nonblocking_ffi_counts(void *runtime)
{
    ngx_http_lua_nffi_runtime_t  *rt = runtime;

    return &rt->counts;
}


/* which runtime, as a person and as a program tells it from others */

void
ngx_http_lua_nonblocking_ffi_identity(void *runtime,
    ngx_http_lua_nffi_identity_t *identity)
{
    ngx_http_lua_nffi_runtime_t  *rt = runtime;

    identity->name = rt->name.data;
    identity->name_size = rt->name.len;
    identity->id = rt->id;
    identity->process = rt->program != NULL;
}


/* the process of the instance at `index`; NGX_DONE: there are no more */

int
ngx_http_lua_nonblocking_ffi_process(void *runtime, uint32_t index,
    ngx_http_lua_nffi_process_info_t *info)
{
    ngx_uint_t                     i;
    ngx_queue_t                   *q;
    nffi_host_state_t              state;
    ngx_http_lua_nffi_process_t   *p;
    ngx_http_lua_nffi_runtime_t   *rt = runtime;
    ngx_http_lua_nffi_instance_t  *inst;
    ngx_queue_t                   *lists[] = { &rt->serving, &rt->leaving };

    for (i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        for (q = ngx_queue_head(lists[i]);
             q != ngx_queue_sentinel(lists[i]);
             q = ngx_queue_next(q))
        {
            inst = ngx_queue_data(q, ngx_http_lua_nffi_instance_t, queue);

            if (inst->process == NULL || index-- > 0) {
                continue;
            }

            p = inst->process;
            ngx_memzero(info, sizeof(*info));
            info->pid = inst->host ? p->child.pid : 0;
            info->state = inst->closed && inst->host ? "leaving"
                          : p->state == NGX_HTTP_LUA_NFFI_READY ? "ready"
                          : p->state == NGX_HTTP_LUA_NFFI_STARTING ? "starting"
                          : "down";
            info->restarts = p->restarts;

            if (inst->host) {
                nffi_host_state(inst->host, &state);
                info->queued = state.queued;
                info->unanswered = state.unanswered;
            }

            return NGX_OK;
        }
    }

    return NGX_DONE;
}
