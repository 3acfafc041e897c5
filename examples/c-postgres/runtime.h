/*
 * runtime.h - the runtime: one thread with an event loop that waits for tasks
 * of nginx and for the sockets of PostgreSQL. All that is not said to be
 * otherwise belongs to that thread, so there is no lock.
 */

#ifndef RUNTIME_H
#define RUNTIME_H

#include <nffi.h>

typedef struct runtime runtime_t;

/* `config` is JSON. NULL on failure, with a reason. blocks: no */
runtime_t *runtime_start(nffi_queue_t *queue, const char *config,
    size_t config_size, char *error, size_t error_size);

/* Waits until the queue is closed and all is answered; frees the runtime. */
void runtime_join(runtime_t *runtime);

#endif /* RUNTIME_H */
