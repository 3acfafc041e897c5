/*
 * runtime.h - what a runtime of this project is, however it is hosted: library.c
 * puts it into the nginx worker, program.c into a process of its own, and the
 * tests give it the queue of a mock worker. threads.c and loop.c are two of them.
 */

#ifndef RUNTIME_H
#define RUNTIME_H

#include <nffi.h>

#include <stddef.h>

typedef struct runtime runtime_t;

/*
 * Starts threads that serve the queue. `config` is what Lua gave, as JSON. NULL
 * on failure, with a NUL-terminated reason in `error`.
 * blocks: no, it is called in the event loop of nginx
 */
runtime_t *runtime_start(nffi_queue_t *queue, const char *config,
    size_t config_size, char *error, size_t error_size);

/* Waits until the queue is closed and all is answered; frees the runtime. */
void runtime_join(runtime_t *runtime);

#endif /* RUNTIME_H */
