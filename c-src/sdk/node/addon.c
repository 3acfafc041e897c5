/*
 * addon.c - nffi.node: what Node's program in a runtime process calls of
 * libnffi. It attaches to the queue of the worker, watches it in Node's own
 * loop (take.c) and sends responses (respond.c).
 *
 * Node-API only, so that one binary serves every Node from 20 on.
 */

#include "addon.h"

#include <stdlib.h>
#include <string.h>


/* The addon of this environment and up to `max` arguments; NULL: has thrown. */
static addon_t *
arguments(napi_env env, napi_callback_info info, napi_value *argv, size_t max)
{
    void *data;
    size_t argc = max;

    if (napi_get_cb_info(env, info, &argc, argv, NULL, &data) != napi_ok) {
        addon_throw_code(env, NFFI_INVALID, "nffi.node");
        return NULL;
    }

    return data;
}


static addon_t *
attached(napi_env env, napi_callback_info info, napi_value *argv, size_t max)
{
    addon_t *addon = arguments(env, info, argv, max);

    if (addon != NULL && addon->queue == NULL) {
        addon_throw_code(env, NFFI_INVALID, "not attached");
        return NULL;
    }

    return addon;
}


/* The same for what only needs the memory. */
static addon_t *
joined(napi_env env, napi_callback_info info, napi_value *argv, size_t max)
{
    addon_t *addon = arguments(env, info, argv, max);

    if (addon != NULL && addon->memory == NULL) {
        addon_throw_code(env, NFFI_INVALID, "neither attached nor joined");
        return NULL;
    }

    return addon;
}


static bool
reference_function(napi_env env, napi_value object, const char *name,
    napi_ref *reference)
{
    napi_value function;
    napi_valuetype type;

    return napi_get_named_property(env, object, name, &function) == napi_ok
           && napi_typeof(env, function, &type) == napi_ok
           && type == napi_function
           && napi_create_reference(env, function, 1, reference) == napi_ok;
}


static bool
set_offset(napi_env env, napi_value object, const char *name, size_t offset)
{
    napi_value number;

    return napi_create_uint32(env, (uint32_t) offset, &number) == napi_ok
           && napi_set_named_property(env, object, name, number) == napi_ok;
}


/* Where the parts of the memory begin, so that only addon.h knows sizes. */
static bool
describe_memory(napi_env env, napi_value object)
{
    return set_offset(env, object, "batch", ADDON_BATCH)
           && set_offset(env, object, "bytes", ADDON_BYTES)
           && set_offset(env, object, "responsesUsed",
                         offsetof(addon_memory_t, responses_used))
           && set_offset(env, object, "inBatch",
                         offsetof(addon_memory_t, in_batch))
           && set_offset(env, object, "requests",
                         offsetof(addon_memory_t, requests))
           && set_offset(env, object, "responses",
                         offsetof(addon_memory_t, responses))
           && set_offset(env, object, "noted", offsetof(addon_memory_t, noted))
           && set_offset(env, object, "requestBytes",
                         offsetof(addon_memory_t, request_bytes))
           && set_offset(env, object, "responseBytes",
                         offsetof(addon_memory_t, response_bytes));
}


/* Makes the memory and {memory, ...offsets}; NULL: could not. */
static napi_value
make_memory(addon_t *addon)
{
    void *memory;
    napi_env env = addon->env;
    napi_value buffer, result;

    if (napi_create_arraybuffer(env, sizeof(addon_memory_t), &memory,
                                &buffer) != napi_ok
        || napi_create_reference(env, buffer, 1, &addon->buffer) != napi_ok
        || napi_create_object(env, &result) != napi_ok
        || napi_set_named_property(env, result, "memory", buffer) != napi_ok
        || !describe_memory(env, result))
    {
        return NULL;
    }

    addon->memory = memory;

    return result;
}


/* attach({onBatch, onCancelled, onWritable, onClosed}): {memory, ...offsets} */
static napi_value
attach(napi_env env, napi_callback_info info)
{
    int code;
    addon_t *addon;
    napi_value receiver, name, result;

    addon = arguments(env, info, &receiver, 1);
    if (addon == NULL) {
        return NULL;
    }

    if (addon->memory != NULL) {
        addon_throw_code(env, NFFI_INVALID, "attached already");
        return NULL;
    }

    if (napi_create_reference(env, receiver, 1, &addon->receiver) != napi_ok
        || !reference_function(env, receiver, "onBatch", &addon->on_batch)
        || !reference_function(env, receiver, "onCancelled",
                               &addon->on_cancelled)
        || !reference_function(env, receiver, "onWritable",
                               &addon->on_writable)
        || !reference_function(env, receiver, "onClosed", &addon->on_closed)
        || napi_create_string_utf8(env, "nffi", NAPI_AUTO_LENGTH, &name)
           != napi_ok
        || napi_async_init(env, NULL, name, &addon->context) != napi_ok
        || (result = make_memory(addon)) == NULL)
    {
        addon_throw_code(env, NFFI_INVALID, "attach");
        return NULL;
    }

    code = nffi_attach(&addon->queue);

    if (code != NFFI_OK) {
        addon->queue = NULL;
        addon_throw_code(env, code, "attach");
        return NULL;
    }

    addon_keep_memory();

    return result;
}


/* config(): the configuration of the worker, as JSON; undefined: none. */
static napi_value
config(napi_env env, napi_callback_info info)
{
    size_t size;
    const char *bytes;
    napi_value text;
    addon_t *addon = attached(env, info, NULL, 0);

    if (addon == NULL) {
        return NULL;
    }

    bytes = nffi_queue_config(addon->queue, &size);

    if (bytes == NULL) {
        return NULL;
    }

    if (napi_create_string_utf8(env, bytes, size, &text) != napi_ok) {
        addon_throw_code(env, NFFI_NO_MEMORY, "a string for the configuration");
        return NULL;
    }

    return text;
}


/* join(): {memory, ...offsets}, in a thread beside the one that attaches. */
static napi_value
join(napi_env env, napi_callback_info info)
{
    napi_value result;
    addon_t *addon = arguments(env, info, NULL, 0);

    if (addon == NULL) {
        return NULL;
    }

    if (addon->memory != NULL || (result = make_memory(addon)) == NULL) {
        addon_throw_code(env, NFFI_INVALID, "join");
        return NULL;
    }

    return result;
}


/* take(low, high): puts the request of a task that the main thread has taken
   into the memory, as a batch of one; 0 or a code. */
static napi_value
take(napi_env env, napi_callback_info info)
{
    uint32_t halves[2];
    napi_value argv[2], code;
    addon_t *addon = joined(env, info, argv, 2);

    if (addon == NULL
        || napi_get_value_uint32(env, argv[0], &halves[0]) != napi_ok
        || napi_get_value_uint32(env, argv[1], &halves[1]) != napi_ok
        || napi_create_int32(env, addon_take(addon, addon_task(halves)),
                             &code) != napi_ok)
    {
        return NULL;
    }

    return code;
}


/* serve(): from now on tasks come, and the worker knows it. */
static napi_value
serve(napi_env env, napi_callback_info info)
{
    int code;
    uv_loop_t *loop;
    addon_t *addon = attached(env, info, NULL, 0);

    if (addon == NULL || addon->open_handles > 0) {
        return NULL;
    }

    if (napi_get_uv_event_loop(env, &loop) != napi_ok) {
        addon_throw_code(env, NFFI_INVALID, "no event loop");
        return NULL;
    }

    code = addon_watch(addon, loop);
    if (code == NFFI_OK) {
        code = nffi_attach_ready(addon->queue);
    }

    if (code != NFFI_OK) {
        addon_throw_code(env, code, "serve");
    }

    return NULL;
}


/* failed(message): reports to the worker why this process cannot serve. */
static napi_value
failed(napi_env env, napi_callback_info info)
{
    char text[2048];
    size_t size;
    napi_value message;
    addon_t *addon = attached(env, info, &message, 1);

    if (addon != NULL
        && napi_get_value_string_utf8(env, message, text, sizeof(text), &size)
           == napi_ok)
    {
        nffi_attach_failed(addon->queue, text, size);
    }

    return NULL;
}


/* flush(): sends the responses that were collected. */
static napi_value
flush(napi_env env, napi_callback_info info)
{
    addon_t *addon = joined(env, info, NULL, 0);

    if (addon != NULL) {
        addon_flush(addon);
    }

    return NULL;
}


/* The request of large(index) and largeText(index); NULL: has thrown. */
static const nffi_request_t *
large_request(napi_env env, napi_callback_info info)
{
    uint32_t index;
    napi_value argument;
    addon_t *addon = joined(env, info, &argument, 1);

    if (addon == NULL) {
        return NULL;
    }

    if (napi_get_value_uint32(env, argument, &index) != napi_ok
        || index >= addon->batch_size)
    {
        addon_throw_code(env, NFFI_INVALID, "large");
        return NULL;
    }

    return &addon->batch[index];
}


/* large(index): the payload that found no room in the memory, as a Buffer. */
static napi_value
large(napi_env env, napi_callback_info info)
{
    napi_value buffer;
    const nffi_request_t *request = large_request(env, info);

    if (request == NULL) {
        return NULL;
    }

    if (napi_create_buffer_copy(env, request->size, request->data, NULL,
                                &buffer) != napi_ok)
    {
        addon_throw_code(env, NFFI_NO_MEMORY, "a buffer for the request");
        return NULL;
    }

    return buffer;
}


static bool
is_ascii(const char *bytes, size_t size)
{
    size_t i;
    uint64_t word, all = 0;

    for (i = 0; i + sizeof(word) <= size; i += sizeof(word)) {
        memcpy(&word, bytes + i, sizeof(word));
        all |= word;
    }

    for ( ; i < size; i++) {
        all |= (unsigned char) bytes[i];
    }

    return (all & UINT64_C(0x8080808080808080)) == 0;
}


/* largeText(index): the same as a string, with U+FFFD for what is not UTF-8. No
   Buffer is made, and ASCII, as JSON mostly is, is copied without decoding. */
static napi_value
large_text(napi_env env, napi_callback_info info)
{
    napi_value text;
    napi_status status;
    const nffi_request_t *request = large_request(env, info);

    if (request == NULL) {
        return NULL;
    }

    status = is_ascii(request->data, request->size)
             ? napi_create_string_latin1(env, request->data, request->size,
                                         &text)
             : napi_create_string_utf8(env, request->data, request->size,
                                       &text);

    if (status != napi_ok) {
        addon_throw_code(env, NFFI_NO_MEMORY, "a string for the request");
        return NULL;
    }

    return text;
}


/* isCancelled(low, high): whether the task was cancelled. */
static napi_value
is_cancelled(napi_env env, napi_callback_info info)
{
    uint32_t halves[2];
    napi_value argv[2], result;

    if (arguments(env, info, argv, 2) == NULL
        || napi_get_value_uint32(env, argv[0], &halves[0]) != napi_ok
        || napi_get_value_uint32(env, argv[1], &halves[1]) != napi_ok
        || napi_get_boolean(env, nffi_task_cancelled(addon_task(halves)) == 1,
                            &result) != napi_ok)
    {
        return NULL;
    }

    return result;
}


/* reportCancelled(): checks immediately; after the end no event would. */
static napi_value
report_cancelled(napi_env env, napi_callback_info info)
{
    addon_t *addon = attached(env, info, NULL, 0);

    if (addon != NULL) {
        addon_report_cancelled(addon);
    }

    return NULL;
}


static void
free_addon(addon_t *addon)
{
    napi_remove_async_cleanup_hook(addon->cleanup);
    free(addon);
}


static void
drop_reference(napi_env env, napi_ref reference)
{
    if (reference != NULL) {
        napi_delete_reference(env, reference);
    }
}


/* Node's loop lives until the hook was removed, so the handles can be closed
   in order. The queue stays: its native thread watches the worker. */
static void
clean_up(napi_async_cleanup_hook_handle handle, void *data)
{
    addon_t *addon = data;
    napi_env env = addon->env;
    napi_handle_scope scope;

    (void) handle;
    addon->closing = true;

    if (napi_open_handle_scope(env, &scope) == napi_ok) {
        drop_reference(env, addon->receiver);
        drop_reference(env, addon->on_batch);
        drop_reference(env, addon->on_cancelled);
        drop_reference(env, addon->on_writable);
        drop_reference(env, addon->on_closed);
        drop_reference(env, addon->buffer);

        if (addon->context != NULL) {
            napi_async_destroy(env, addon->context);
        }

        napi_close_handle_scope(env, scope);
    }

    addon_unwatch(addon, free_addon);
}


static napi_value
define(napi_env env, napi_value exports, addon_t *addon)
{
#define METHOD(name, function) \
    { name, NULL, function, NULL, NULL, NULL, napi_enumerable, addon }

    const napi_property_descriptor methods[] = {
        METHOD("attach", attach),
        METHOD("config", config),
        METHOD("join", join),
        METHOD("take", take),
        METHOD("serve", serve),
        METHOD("failed", failed),
        METHOD("flush", flush),
        METHOD("large", large),
        METHOD("largeText", large_text),
        METHOD("respondLarge", addon_respond_large),
        METHOD("isCancelled", is_cancelled),
        METHOD("reportCancelled", report_cancelled),
        METHOD("isStream", addon_is_stream),
        METHOD("mayWrite", addon_may_write),
        METHOD("write", addon_write),
        METHOD("end", addon_end),
        METHOD("log", addon_log),
    };

#undef METHOD

    if (napi_define_properties(env, exports,
                               sizeof(methods) / sizeof(methods[0]), methods)
        != napi_ok)
    {
        addon_throw_code(env, NFFI_INVALID, "nffi.node");
        return NULL;
    }

    return exports;
}


/* the macro below defines it without a prototype */
NAPI_MODULE_EXPORT int32_t NODE_API_MODULE_GET_API_VERSION(void);

NAPI_MODULE_INIT()
{
    addon_t *addon;

    if (nffi_abi_version() != NFFI_ABI_VERSION) {
        addon_throw_code(env, NFFI_ABI_MISMATCH, "nffi.node and libnffi.so");
        return NULL;
    }

    addon = calloc(1, sizeof(addon_t));

    if (addon == NULL) {
        addon_throw_code(env, NFFI_NO_MEMORY, "nffi.node");
        return NULL;
    }

    addon->env = env;

    if (napi_add_async_cleanup_hook(env, clean_up, addon, &addon->cleanup)
        != napi_ok)
    {
        free(addon);
        addon_throw_code(env, NFFI_NO_MEMORY, "nffi.node");
        return NULL;
    }

    return define(env, exports, addon);
}
