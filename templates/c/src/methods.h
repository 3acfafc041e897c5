/* methods.h - what the runtime of threads does. It knows nothing of threads. */

#ifndef METHODS_H
#define METHODS_H

#include "json.h"

#define MAX_BATCH 64

typedef struct {
    json_t *source;           /* owns what the others point into */
    const char *greeting;
    int threads;
    int batch;
} config_t;

/* Returns 0, or -1 with a reason in `error`. Free the result with
   config_free(). */
int config_read(config_t *config, const char *text, size_t size, char *error,
    size_t error_size);
void config_free(config_t *config);

/*
 * Computes the value for one request, which the caller owns; NULL on failure,
 * with a reason in `message`, of MESSAGE_SIZE bytes.
 * thread: any of the runtime, several concurrently; blocks: while it computes
 */
json_t *methods_call(const config_t *config, const nffi_request_t *request,
    char *message);

#endif /* METHODS_H */
