/*
 * json.h - converts between the bytes of the queue and jansson's values.
 * json_unpack_ex() checks names and types of members; Lua gets its messages.
 */

#ifndef JSON_H
#define JSON_H

#include <nffi.h>

#include <jansson.h>

#define MESSAGE_SIZE 256

/*
 * A value of `size` bytes; nothing is an empty object. The caller owns it. NULL
 * with a reason in `message` if that is no JSON.
 */
json_t *json_read(const void *data, size_t size, char *message);

/* Sets `response` to `value`, which it takes over, for nffi_respond_batch(). */
void json_response(nffi_response_t *response, nffi_task_t task, json_t *value);

/* The same of a failure; `message` is the caller's and is kept until then. */
void json_failure(nffi_response_t *response, nffi_task_t task, char *message);

/* Is the method of a request called so? */
int json_is_method(const nffi_request_t *request, const char *name);

#endif /* JSON_H */
