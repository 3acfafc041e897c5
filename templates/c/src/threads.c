/*
 * threads.c - a runtime of several threads that wait for tasks: for methods
 * that compute, or call blocking functions. Each thread takes up to `batch`
 * requests and responds to them together, which wakes nginx once. The requests
 * of a batch wait for each other: if calls are slow, load the runtime with
 * batch = 1.
 */

#include "methods.h"
#include "runtime.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

struct runtime {
    nffi_queue_t *queue;
    config_t config;          /* not changed once the threads run */
    int started;
    pthread_t threads[];
};


static void *
work(void *data)
{
    int i, n;
    json_t *value;
    runtime_t *runtime = data;
    nffi_request_t requests[MAX_BATCH];
    nffi_response_t responses[MAX_BATCH];
    char messages[MAX_BATCH][MESSAGE_SIZE];

    for ( ;; ) {
        n = nffi_queue_poll(runtime->queue, requests,
                            (size_t) runtime->config.batch, -1);
        if (n < 0) {
            return NULL;      /* NFFI_CLOSED: the end */
        }

        for (i = 0; i < n; i++) {
            value = methods_call(&runtime->config, &requests[i], messages[i]);

            if (value != NULL) {
                json_response(&responses[i], requests[i].task, value);
            } else {
                json_failure(&responses[i], requests[i].task, messages[i]);
            }
        }

        nffi_respond_batch(responses, (size_t) n);
    }
}


/* It also serves with fewer threads than configured, but not without any. */
runtime_t *
runtime_start(nffi_queue_t *queue, const char *config, size_t config_size,
    char *error, size_t error_size)
{
    config_t read;
    runtime_t *runtime;

    if (config_read(&read, config, config_size, error, error_size) != 0) {
        return NULL;
    }

    runtime = malloc(sizeof(*runtime)
                     + (size_t) read.threads * sizeof(pthread_t));
    if (runtime == NULL) {
        snprintf(error, error_size, "no memory");
        config_free(&read);
        return NULL;
    }

    runtime->queue = queue;
    runtime->config = read;

    for (runtime->started = 0; runtime->started < read.threads;
         runtime->started++)
    {
        if (pthread_create(&runtime->threads[runtime->started], NULL, work,
                           runtime)
            != 0)
        {
            break;
        }
    }

    if (runtime->started == 0) {
        snprintf(error, error_size, "no thread");
        config_free(&runtime->config);
        free(runtime);
        return NULL;
    }

    return runtime;
}


void
runtime_join(runtime_t *runtime)
{
    int i;

    for (i = 0; i < runtime->started; i++) {
        pthread_join(runtime->threads[i], NULL);
    }

    config_free(&runtime->config);
    free(runtime);
}
