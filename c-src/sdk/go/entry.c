/*
 * entry.c - what nginx looks for in a library.
 */

#include <nffi.h>

NFFI_RUNTIME_ABI;

extern int nffiGoStart(void *queue, void *config, size_t size, void *error,
    size_t error_size);

NFFI_API int nffi_runtime_start(nffi_queue_t *queue, const char *config,
    size_t config_size, char *error, size_t error_size);


int
nffi_runtime_start(nffi_queue_t *queue, const char *config, size_t config_size,
    char *error, size_t error_size)
{
    return nffiGoStart(queue, (void *) config, config_size, error, error_size);
}
