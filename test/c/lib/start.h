/*
 * start.h - a process of a runtime for programs without an event loop: starts
 * it by nffi-supervisor and waits until it runs, or until it is known why not.
 */

#ifndef TEST_START_H
#define TEST_START_H

#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include "host/nffi_host.h"

#define START_MS 10000

/* One for each process that asks: a case is a fork of the test program. */
static int start_supervisor_fd = -1;
static pid_t start_supervisor_of;


/* The socket of the supervisor at `path`, -1 with errno. */
static inline int
start_supervisor(const char *path, const char **stage)
{
    if (start_supervisor_of != getpid()) {
        start_supervisor_fd = nffi_supervisor_start(path, stage);
        start_supervisor_of = start_supervisor_fd == -1 ? 0 : getpid();
    }

    return start_supervisor_fd;
}


/* The next report that is not NONE; NONE when none comes. */
static inline int
start_report(nffi_process_t *process, nffi_process_report_t *report)
{
    int event, left;
    struct pollfd pollfd = { .fd = process->keeper_fd, .events = POLLIN };

    for (left = START_MS; left > 0; left -= 20) {
        event = nffi_process_report(process, report);

        if (event != NFFI_PROCESS_NONE) {
            return event;
        }

        (void) poll(&pollfd, 1, 20);
    }

    return NFFI_PROCESS_NONE;
}


/* NFFI_OK: it runs. Otherwise `stage` and errno say what failed, and of the
   host only nffi_host_destroy may be called where it got so far. */
static inline int
start_process(const char *supervisor, nffi_host_t *host,
    const nffi_spawn_options_t *options, nffi_process_t *process,
    const char **stage)
{
    int fd, rc;
    nffi_process_report_t report;

    fd = start_supervisor(supervisor, stage);
    if (fd == -1) {
        return NFFI_SYSTEM;
    }

    rc = nffi_host_spawn(host, fd, options, process, stage);
    if (rc != NFFI_OK) {
        return rc;
    }

    switch (start_report(process, &report)) {
    case NFFI_PROCESS_STARTED:
        return NFFI_OK;
    case NFFI_PROCESS_NOT_STARTED:
        *stage = report.stage;
        errno = report.error;
        break;
    default:
        *stage = "report";
        errno = ETIMEDOUT;
    }

    rc = errno;
    close(process->stdout_fd);
    close(process->stderr_fd);
    nffi_process_release(process);
    errno = rc;

    return NFFI_SYSTEM;
}

#endif /* TEST_START_H */
