/*
 * stream.c - responses in chunks, and messages for the log: one crossing for
 * each, since a chunk is there for its reader when it was written.
 */

#include "addon.h"

#include <stdlib.h>

#define ON_STACK 8192


/* The task of (low, high, ...); false: has thrown. */
static bool
task_of(napi_env env, napi_callback_info info, napi_value *argv, size_t count,
    nffi_task_t *task)
{
    size_t argc = count;
    uint32_t halves[2];

    if (napi_get_cb_info(env, info, &argc, argv, NULL, NULL) != napi_ok
        || argc < count
        || napi_get_value_uint32(env, argv[0], &halves[0]) != napi_ok
        || napi_get_value_uint32(env, argv[1], &halves[1]) != napi_ok)
    {
        addon_throw_code(env, NFFI_INVALID, "a task");
        return false;
    }

    *task = addon_task(halves);

    return true;
}


static napi_value
number(napi_env env, int code)
{
    napi_value value;

    return napi_create_int32(env, code, &value) == napi_ok ? value : NULL;
}


napi_value
addon_is_stream(napi_env env, napi_callback_info info)
{
    napi_value argv[2], value;
    nffi_task_t task;
    nffi_request_t request;

    if (!task_of(env, info, argv, 2, &task)
        || napi_get_boolean(env, nffi_task_request(task, &request) == NFFI_OK
                                 && (request.flags & NFFI_REQUEST_STREAM),
                            &value) != napi_ok)
    {
        return NULL;
    }

    return value;
}


napi_value
addon_may_write(napi_env env, napi_callback_info info)
{
    napi_value argv[2];
    nffi_task_t task;

    return task_of(env, info, argv, 2, &task)
           ? number(env, nffi_stream_wait(task, 0)) : NULL;
}


/*
 * Passes the bytes of a string, or of a Buffer, to `use`. The text is put on
 * the stack or on the heap; Node-API ends it with a NUL.
 */
static int
with_bytes(napi_env env, napi_value value, nffi_task_t task, int level,
    int (*use)(nffi_task_t task, int level, const void *data, size_t size))
{
    int code;
    void *data;
    size_t size;
    napi_valuetype type;
    char stack[ON_STACK], *text = stack;

    if (napi_typeof(env, value, &type) != napi_ok) {
        return NFFI_INVALID;
    }

    if (type != napi_string) {
        return napi_get_buffer_info(env, value, &data, &size) == napi_ok
               ? use(task, level, data, size) : NFFI_INVALID;
    }

    if (napi_get_value_string_utf8(env, value, NULL, 0, &size) != napi_ok) {
        return NFFI_INVALID;
    }

    if (size >= sizeof(stack)) {
        text = malloc(size + 1);
        if (text == NULL) {
            return NFFI_NO_MEMORY;
        }
    }

    code = napi_get_value_string_utf8(env, value, text, size + 1, NULL)
           == napi_ok ? use(task, level, text, size) : NFFI_INVALID;

    if (text != stack) {
        free(text);
    }

    return code;
}


static int
write_bytes(nffi_task_t task, int level, const void *data, size_t size)
{
    (void) level;

    return nffi_stream_write(task, data, size);
}


/* The codes after which the call needs no response are numbers, as is a lack of
   credit. The others are errors of the call. */
static napi_value
sent(napi_env env, int code, const char *what)
{
    switch (code) {
    case NFFI_OK:
    case NFFI_WOULD_BLOCK:
    case NFFI_CANCELLED:
    case NFFI_STALE:
    case NFFI_CLOSED:
        return number(env, code);
    default:
        addon_throw_code(env, code, what);
        return NULL;
    }
}


napi_value
addon_write(napi_env env, napi_callback_info info)
{
    napi_value argv[3];
    nffi_task_t task;

    return task_of(env, info, argv, 3, &task)
           ? sent(env, with_bytes(env, argv[2], task, 0, write_bytes),
                  "the chunk cannot be sent")
           : NULL;
}


napi_value
addon_end(napi_env env, napi_callback_info info)
{
    napi_value argv[2];
    nffi_task_t task;

    return task_of(env, info, argv, 2, &task)
           ? sent(env, nffi_stream_end(task), "the response cannot be sent")
           : NULL;
}


napi_value
addon_log(napi_env env, napi_callback_info info)
{
    int32_t level;
    napi_value argv[4];
    nffi_task_t task;

    if (!task_of(env, info, argv, 4, &task)) {
        return NULL;
    }

    return number(env, napi_get_value_int32(env, argv[2], &level) == napi_ok
                       ? with_bytes(env, argv[3], task, level, nffi_log)
                       : NFFI_INVALID);
}
