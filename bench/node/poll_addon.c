/*
 * poll_addon.c - the part of libnffi that poll.mjs needs: attach(), poll(),
 * which blocks for one task, and respond(task, bytes).
 */

#include <node_api.h>
#include <stddef.h>

#include "nffi.h"

static nffi_queue_t *queue;


static napi_value
attach(napi_env env, napi_callback_info info)
{
    (void) info;

    if (nffi_attach(&queue) != NFFI_OK || nffi_attach_ready(queue) != NFFI_OK) {
        napi_throw_error(env, NULL, "nffi_attach");
    }

    return NULL;
}


/* { task, bytes }, undefined at the end. */
static napi_value
poll_one(napi_env env, napi_callback_info info)
{
    nffi_request_t request;
    napi_value result, task, bytes;

    (void) info;

    if (nffi_queue_poll(queue, &request, 1, -1) < 1) {
        return NULL;
    }

    napi_create_object(env, &result);
    napi_create_bigint_uint64(env, request.task, &task);
    napi_create_buffer_copy(env, request.size, request.data, NULL, &bytes);
    napi_set_named_property(env, result, "task", task);
    napi_set_named_property(env, result, "bytes", bytes);

    return result;
}


static napi_value
respond(napi_env env, napi_callback_info info)
{
    void *data;
    size_t size, count = 2;
    bool lossless;
    uint64_t task;
    napi_value arguments[2];

    napi_get_cb_info(env, info, &count, arguments, NULL, NULL);
    napi_get_value_bigint_uint64(env, arguments[0], &task, &lossless);
    napi_get_typedarray_info(env, arguments[1], NULL, &size, &data, NULL, NULL);
    nffi_respond(task, 0, data, size);

    return NULL;
}


NAPI_MODULE_INIT()
{
    static const struct { const char *name; napi_callback function; } all[] = {
        { "attach", attach }, { "poll", poll_one }, { "respond", respond }
    };
    napi_value function;

    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        napi_create_function(env, all[i].name, NAPI_AUTO_LENGTH,
                             all[i].function, NULL, &function);
        napi_set_named_property(env, exports, all[i].name, function);
    }

    return exports;
}
