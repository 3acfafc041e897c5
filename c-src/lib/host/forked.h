/*
 * forked.h - steps of a forked process between fork and exec, where only
 * async-signal-safe functions may be called. The library and the bridges each
 * compile it in.
 */

#ifndef NFFI_LIB_FORKED_H
#define NFFI_LIB_FORKED_H

#include <stdbool.h>
#include <sys/types.h>

/* Closes this descriptor and all above it: some of nginx's are not CLOEXEC. */
void nffi__close_from(unsigned first);

/* Resets the signal handlers and the signal mask. */
void nffi__reset_signals(void);

/*
 * Makes the kernel kill this process when the thread that called fork ends. A
 * change of the user resets this. Returns false if `parent`, the process of
 * that thread, has already ended.
 */
bool nffi__die_with(pid_t parent);

#endif /* NFFI_LIB_FORKED_H */
