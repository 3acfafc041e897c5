/*
 * trial.h - runs a program to see whether a virtual machine or an interpreter
 * can be made as it would be in the worker: one that cannot often ends the
 * process that it is in.
 */

#ifndef NFFI_BRIDGES_TRIAL_H
#define NFFI_BRIDGES_TRIAL_H

#include <stddef.h>

/*
 * Runs argv[0], an absolute path, until its end. 0 when it has said `word` on
 * stdout or stderr; else -1, and what it has said, or why it did not run, as
 * one line in `reason`. Its exit code does not count: nginx's handler of
 * SIGCHLD may take it before. It has none of nginx's descriptors, and is killed
 * when the calling thread ends. thread: of a bridge, never the event loop;
 * blocks: until the program ends, 62 s at most
 */
__attribute__((visibility("hidden")))
int nffi_bridge_try(const char *const *argv, char *const *environment,
    const char *word, char *reason, size_t size);

#endif /* NFFI_BRIDGES_TRIAL_H */
