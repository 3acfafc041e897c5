/*
 * program.c - the runtime as a process that the nginx worker starts and
 * watches:
 *
 *     nffi.load("process", {
 *         program = "/path/of/it", codec = "json", config = { ... },
 *     })
 */

#include "runtime.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

static void
do_nothing(int number)
{
    (void) number;
}

/* The worker ends us, not the terminal or the service manager it runs under.
   Programs that we start would inherit SIG_IGN; exec resets a handler. */
static void
stay_alive(void)
{
    size_t i;
    struct sigaction action;
    static const int signals[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM };

    memset(&action, 0, sizeof(action));
    action.sa_handler = do_nothing;
    action.sa_flags = SA_RESTART;
    for (i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
        sigaction(signals[i], &action, NULL);
    }
}

int
main(int argc, char **argv)
{
    int rc;
    char error[256];
    size_t config_size;
    const char *config;
    nffi_queue_t *queue;
    runtime_t *runtime;

    rc = nffi_attach(&queue);
    if (rc != NFFI_OK) {
        fprintf(stderr, "%s: %s\n", argc > 0 ? argv[0] : "runtime",
                nffi_error_text(rc));
        return 2;
    }

    stay_alive();

    config = nffi_queue_config(queue, &config_size);
    runtime = runtime_start(queue, config, config_size, error, sizeof(error));
    if (runtime == NULL) {
        nffi_attach_failed(queue, error, strlen(error));
        return 1;
    }

    if (nffi_attach_ready(queue) != NFFI_OK) {
        return 1;
    }

    runtime_join(runtime);

    return 0;
}
