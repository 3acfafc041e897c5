/*
 * forked.c - what a forked process does between fork and exec:
 * async-signal-safe calls only.
 */

#include "host/forked.h"

#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>


void
nffi__close_from(unsigned first)
{
    long limit;
    unsigned fd;

#ifdef SYS_close_range
    if (syscall(SYS_close_range, first, ~0U, 0) == 0) {
        return;
    }
#endif

    limit = sysconf(_SC_OPEN_MAX);
    if (limit < 0 || limit > 65536) {
        limit = 65536;
    }

    for (fd = first; fd < (unsigned) limit; fd++) {
        close((int) fd);
    }
}


void
nffi__reset_signals(void)
{
    int signal_number;
    sigset_t none;
    struct sigaction action;

    memset(&action, 0, sizeof(action));
    action.sa_handler = SIG_DFL;

    for (signal_number = 1; signal_number < NSIG; signal_number++) {
        (void) sigaction(signal_number, &action, NULL);
    }

    sigemptyset(&none);
    (void) sigprocmask(SIG_SETMASK, &none, NULL);
}


bool
nffi__die_with(pid_t parent)
{
    (void) prctl(PR_SET_PDEATHSIG, SIGKILL);

    return getppid() == parent;
}
