/*
 * respond.c - responses: many small ones with one call into libnffi, out of the
 * memory shared with JavaScript, and large ones separately.
 *
 * A response that cannot be delivered becomes an error of its call. If even
 * that cannot be delivered, the process exits: the worker then fails the calls,
 * which would otherwise never end.
 */

#include "addon.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>


static bool
settled(int code)
{
    return code >= 0 || code == NFFI_STALE || code == NFFI_CLOSED;
}


static void
fail_undelivered(nffi_task_t task, size_t size, int code)
{
    char message[160];

    snprintf(message, sizeof(message),
             "a response of %zu bytes could not be delivered: %s", size,
             nffi_error_text(code));
    addon_fail(task, message);
}


void
addon_fail(nffi_task_t task, const char *message)
{
    int code;

    code = nffi_respond_error(task, message, strlen(message), NULL, 0);
    if (settled(code)) {
        return;
    }

    /* the marks of src/node-runtime/console.ts */
    fprintf(stderr, "\001error\002%s; nor could this be reported (%s), "
            "the runtime ends\n", message, nffi_error_text(code));
    _exit(70);
}


void
addon_flush(addon_t *addon)
{
    size_t count, i;
    addon_memory_t *memory = addon->memory;
    const addon_response_t *from;
    nffi_response_t responses[ADDON_BATCH];

    count = (size_t) memory->responses_used;
    memory->responses_used = 0;

    if (count == 0 || count > ADDON_BATCH) {
        return;
    }

    memset(responses, 0, count * sizeof(responses[0]));

    for (i = 0; i < count; i++) {
        from = &memory->responses[i];
        responses[i].task = addon_task(from->task);
        responses[i].data = memory->response_bytes + from->offset;
        responses[i].size = (size_t) from->size;
        responses[i].rc = from->rc;

        if (from->failed) {
            responses[i].flags = NFFI_RESPONSE_ERROR;
            responses[i].detail = memory->response_bytes + from->offset
                                  + from->size;
            responses[i].detail_size = (size_t) from->detail_size;
        }
    }

    if (nffi_respond_batch(responses, count) == (int) count) {
        return;
    }

    for (i = 0; i < count; i++) {
        if (!settled(responses[i].result)) {
            fail_undelivered(responses[i].task, responses[i].size,
                             responses[i].result);
        }
    }
}


/* The text goes into the response's own memory, without a copy between. */
static int
respond_string(napi_env env, napi_value value, nffi_task_t task, size_t *size)
{
    int code;
    char *buffer;

    if (napi_get_value_string_utf8(env, value, NULL, 0, size) != napi_ok) {
        return NFFI_INVALID;
    }

    /* one more: Node-API ends the text with a NUL */
    buffer = nffi_response_alloc(task, *size + 1);
    if (buffer == NULL) {
        return NFFI_NO_MEMORY;
    }

    if (napi_get_value_string_utf8(env, value, buffer, *size + 1, NULL)
        != napi_ok)
    {
        nffi_response_discard(task, buffer);
        return NFFI_INVALID;
    }

    code = nffi_respond_buffer(task, 0, buffer, *size);
    if (!settled(code)) {
        nffi_response_discard(task, buffer);
    }

    return code;
}


static int
respond_bytes(napi_env env, napi_value value, nffi_task_t task, size_t *size)
{
    void *data;

    if (napi_get_buffer_info(env, value, &data, size) != napi_ok) {
        return NFFI_INVALID;
    }

    return nffi_respond(task, 0, data, *size);
}


napi_value
addon_respond_large(napi_env env, napi_callback_info info)
{
    int code;
    size_t argc = 3, size = 0;
    uint32_t halves[2];
    napi_value argv[3];
    napi_valuetype type;
    nffi_task_t task;

    if (napi_get_cb_info(env, info, &argc, argv, NULL, NULL) != napi_ok
        || napi_get_value_uint32(env, argv[0], &halves[0]) != napi_ok
        || napi_get_value_uint32(env, argv[1], &halves[1]) != napi_ok
        || napi_typeof(env, argv[2], &type) != napi_ok)
    {
        addon_throw_code(env, NFFI_INVALID, "respondLarge");
        return NULL;
    }

    task = addon_task(halves);
    code = type == napi_string ? respond_string(env, argv[2], task, &size)
                               : respond_bytes(env, argv[2], task, &size);

    if (!settled(code)) {
        fail_undelivered(task, size, code);
    }

    return NULL;
}
