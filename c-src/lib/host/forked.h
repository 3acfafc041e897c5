/*
 * forked.h - what a forked process does between fork and exec, where only
 * async-signal-safe functions may be called. For the library and the bridges,
 * each of which has it compiled in.
 */

#ifndef NFFI_LIB_FORKED_H
#define NFFI_LIB_FORKED_H

#include <stdbool.h>
#include <sys/types.h>

/* Closes this descriptor and all above it: not all of nginx's are CLOEXEC. */
void nffi__close_from(unsigned first);

/* No handler and no mask is inherited. */
void nffi__reset_signals(void);

/*
 * Is killed when the thread that called fork ends, in any way; the kernel
 * resets this when the user changes. Returns false if `parent`, the process of
 * that thread, has already ended.
 */
bool nffi__die_with(pid_t parent);

#endif /* NFFI_LIB_FORKED_H */
