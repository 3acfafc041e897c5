/*
 * hosting.c - the runtime as a library of the nginx worker (nffi_runtime_start)
 * and as a process (main): both use the same objects.
 */

#include "runtime.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

NFFI_RUNTIME_ABI;

NFFI_API int nffi_runtime_start(nffi_queue_t *queue, const char *config,
    size_t config_size, char *error, size_t error_size);


/* The worker does not wait for the end of a runtime, so this thread does. */
static void *
join(void *runtime)
{
    runtime_join(runtime);

    return NULL;
}


/* thread: event loop of nginx */
int
nffi_runtime_start(nffi_queue_t *queue, const char *config, size_t config_size,
    char *error, size_t error_size)
{
    pthread_t thread;
    runtime_t *runtime;

    runtime = runtime_start(queue, config, config_size, error, error_size);
    if (runtime == NULL) {
        return -1;
    }

    if (pthread_create(&thread, NULL, join, runtime) == 0) {
        pthread_detach(thread);
    }

    return 0;
}


int
main(void)
{
    int rc;
    char error[512];
    size_t config_size;
    const char *config;
    nffi_queue_t *queue;
    runtime_t *runtime;

    rc = nffi_attach(&queue);
    if (rc != NFFI_OK) {
        fprintf(stderr, "c-postgres: %s\n", nffi_error_text(rc));
        return 2;
    }

    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    signal(SIGQUIT, SIG_IGN);

    config = nffi_queue_config(queue, &config_size);
    runtime = runtime_start(queue, config, config_size, error, sizeof(error));
    if (runtime == NULL) {
        nffi_attach_failed(queue, error, strlen(error));
        return 1;
    }

    if (nffi_attach_ready(queue) != NFFI_OK) {
        return 1;
    }

    runtime_join(runtime);

    return 0;
}
