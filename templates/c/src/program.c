/*
 * program.c - the runtime as a process that the nginx worker starts and watches:
 * nffi.load("process", { program = "/path/of/it", codec = "json", config = { ... } })
 */

#include "runtime.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

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

    /* the worker ends us, not the terminal or the service manager it runs under */
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    signal(SIGQUIT, SIG_IGN);
    signal(SIGHUP, SIG_IGN);

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
