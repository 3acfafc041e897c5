/*
 * library.c - the runtime as a shared library of the nginx worker:
 * nffi.load("/path/of/it.so", { codec = "json", config = { ... } })
 */

#include "runtime.h"

#include <pthread.h>

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


/* thread: event loop */
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

    /* without it the runtime serves all the same, and is not freed */
    if (pthread_create(&thread, NULL, join, runtime) == 0) {
        pthread_detach(thread);
    }

    return 0;
}
