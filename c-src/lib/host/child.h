/*
 * child.h - what a child does between fork and exec, where only
 * async-signal-safe functions may be called. For the library and the bridges,
 * each of which has it compiled in.
 */

#ifndef NFFI_LIB_CHILD_H
#define NFFI_LIB_CHILD_H

#include <stdbool.h>
#include <sys/types.h>

/* Closes this descriptor and all above it: not all of nginx's are CLOEXEC. */
void nffi__close_from(unsigned first);

/* No handler and no mask is inherited. */
void nffi__reset_signals(void);

/*
 * Is killed as the thread that called fork ends, in whatever way; the kernel
 * forgets it when the user changes. False: `parent`, the process of that
 * thread, has gone already.
 */
bool nffi__die_with(pid_t parent);

#endif /* NFFI_LIB_CHILD_H */
