/* json.c - between the bytes of the queue and jansson's values. */

#include "json.h"

#include <stdio.h>
#include <string.h>

#define FLAGS (JSON_COMPACT | JSON_ENCODE_ANY)


json_t *
json_read(const void *data, size_t size, char *message)
{
    json_t *value;
    json_error_t error;

    if (size == 0) {
        return json_object();
    }

    value = json_loadb(data, size, JSON_DECODE_ANY, &error);
    if (value == NULL) {
        snprintf(message, MESSAGE_SIZE, "no JSON at byte %d: %s",
                 error.position, error.text);
    }

    return value;
}


/* It is written straight into memory of the queue: no copy is made. */
void
json_response(nffi_response_t *response, nffi_task_t task, json_t *value)
{
    static char no_memory[] = "no memory for the response";
    size_t size = json_dumpb(value, NULL, 0, FLAGS);
    void *buffer = size > 0 ? nffi_response_alloc(task, size) : NULL;

    if (buffer == NULL) {
        json_failure(response, task, no_memory);

    } else {
        json_dumpb(value, buffer, size, FLAGS);
        memset(response, 0, sizeof(*response));
        response->task = task;
        response->data = buffer;
        response->size = size;
        response->flags = NFFI_RESPONSE_BUFFER;
    }

    json_decref(value);
}


void
json_failure(nffi_response_t *response, nffi_task_t task, char *message)
{
    memset(response, 0, sizeof(*response));
    response->task = task;
    response->data = message;
    response->size = strlen(message);
    response->flags = NFFI_RESPONSE_ERROR;
}


int
json_is_method(const nffi_request_t *request, const char *name)
{
    size_t size = strlen(name);

    return request->method_size == size
           && memcmp(request->method, name, size) == 0;
}
