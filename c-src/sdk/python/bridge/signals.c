/*
 * signals.c - signals that do not end the process, but end the programs that it
 * starts.
 *
 * SIG_IGN would be inherited over exec, a handler is not. A child that is
 * forked and executes nothing, such as one of multiprocessing, also ends by
 * those signals.
 */

#include "module.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Python ignores those after the first four. */
static const int signals[] = {
    SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGPIPE, SIGXFSZ
};

#define ENDING 4

static struct sigaction before[ENDING];


static void
do_nothing(int number)
{
    (void) number;
}


/* thread: the only one of a forked child */
static void
restore_signals(void)
{
    size_t i;
    struct sigaction current;

    for (i = 0; i < ENDING; i++) {
        if (sigaction(signals[i], NULL, &current) == 0
            && current.sa_handler == do_nothing)
        {
            (void) sigaction(signals[i], &before[i], NULL);
        }
    }
}


void
nffi_python_stay_alive(void)
{
    size_t i;
    struct sigaction action;

    memset(&action, 0, sizeof(action));
    action.sa_handler = do_nothing;
    action.sa_flags = SA_RESTART;

    for (i = 0; i < COUNT(signals); i++) {
        (void) sigaction(signals[i], &action, i < ENDING ? &before[i] : NULL);
    }

    /* without memory for it a forked child stays as it is */
    (void) pthread_atfork(NULL, NULL, restore_signals);
}
