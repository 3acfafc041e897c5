/* methods.c - what the runtime of threads does, method by method. */

#include "methods.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define MAX_THREADS 64

typedef json_t *(*method_t)(const config_t *config, json_t *params,
    nffi_task_t task, char *message);


/* An unknown name is an error as well: JSON_STRICT. */
int
config_read(config_t *config, const char *text, size_t size, char *error,
    size_t error_size)
{
    char message[MESSAGE_SIZE];
    json_error_t what;

    config->greeting = "hello";
    config->threads = 4;
    config->batch = 16;

    config->source = json_read(text, size, message);
    if (config->source == NULL) {
        snprintf(error, error_size, "configuration: %s", message);
        return -1;
    }

    if (json_unpack_ex(config->source, &what, JSON_STRICT, "{s?s s?i s?i}",
                       "greeting", &config->greeting,
                       "threads", &config->threads,
                       "batch", &config->batch)
        != 0)
    {
        snprintf(error, error_size, "configuration: %s", what.text);

    } else if (config->threads < 1 || config->threads > MAX_THREADS) {
        snprintf(error, error_size,
                 "configuration: threads is a number from 1 to %d",
                 MAX_THREADS);

    } else if (config->batch < 1 || config->batch > MAX_BATCH) {
        snprintf(error, error_size,
                 "configuration: batch is a number from 1 to %d", MAX_BATCH);

    } else {
        return 0;
    }

    config_free(config);

    return -1;
}


void
config_free(config_t *config)
{
    json_decref(config->source);
}


static json_t *
hello(const config_t *config, json_t *params, nffi_task_t task, char *message)
{
    const char *name;
    size_t size;
    json_error_t what;

    (void) task;

    if (json_unpack_ex(params, &what, 0, "{s:s%}", "name", &name, &size) != 0) {
        snprintf(message, MESSAGE_SIZE, "request: %s", what.text);
        return NULL;
    }

    while (size > 0 && isspace((unsigned char) *name)) {
        name++;
        size--;
    }

    while (size > 0 && isspace((unsigned char) name[size - 1])) {
        size--;
    }

    if (size == 0) {
        snprintf(message, MESSAGE_SIZE, "the name is empty");
        return NULL;
    }

    return json_pack("{s:o}", "greeting",
                     json_sprintf("%s %.*s", config->greeting, (int) size,
                                  name));
}


/* Keeps a CPU busy, and stops when the call is cancelled. */
static json_t *
primes(const config_t *config, json_t *params, nffi_task_t task, char *message)
{
    json_int_t below, count, n, d;
    json_error_t what;

    (void) config;

    if (json_unpack_ex(params, &what, 0, "{s:I}", "below", &below) != 0) {
        snprintf(message, MESSAGE_SIZE, "request: %s", what.text);
        return NULL;
    }

    for (count = 0, n = 2; n < below; n++) {
        if (n % 1024 == 0 && nffi_task_cancelled(task)) {
            snprintf(message, MESSAGE_SIZE, "the call was cancelled");
            return NULL;
        }

        for (d = 2; d * d <= n && n % d != 0; d++) { /* void */ }
        count += d * d > n;
    }

    return json_pack("{s:I}", "count", count);
}


static const struct {
    const char *name;
    method_t method;
} methods[] = {
    { "hello", hello },
    { "primes", primes },
};


json_t *
methods_call(const config_t *config, const nffi_request_t *request,
    char *message)
{
    size_t i;
    json_t *params, *value;

    for (i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        if (json_is_method(request, methods[i].name)) {
            break;
        }
    }

    if (i == sizeof(methods) / sizeof(methods[0])) {
        snprintf(message, MESSAGE_SIZE, "unknown method \"%.*s\"",
                 (int) request->method_size, request->method);
        return NULL;
    }

    params = json_read(request->data, request->size, message);
    if (params == NULL) {
        return NULL;
    }

    snprintf(message, MESSAGE_SIZE, "no memory");
    value = methods[i].method(config, params, request->task, message);
    json_decref(params);

    return value;
}
