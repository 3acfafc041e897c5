/*
 * runtime.h - the interface of a runtime of this project: library.c runs it in
 * the nginx worker, program.c in a process, and the tests with the queue of a
 * mock worker. threads.c and loop.c implement it.
 */

#ifndef RUNTIME_H
#define RUNTIME_H

#include <nffi.h>

#include <stddef.h>

typedef struct runtime runtime_t;

/*
 * Starts threads that serve the queue. `config` is the configuration that Lua
 * passed, as JSON. NULL on failure, with a NUL-terminated reason in `error`.
 * blocks: no, it is called in the event loop of nginx
 */
runtime_t *runtime_start(nffi_queue_t *queue, const char *config,
    size_t config_size, char *error, size_t error_size);

/* Waits until the queue is closed and all is answered; frees the runtime. */
void runtime_join(runtime_t *runtime);

#endif /* RUNTIME_H */
