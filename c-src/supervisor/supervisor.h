/*
 * supervisor.h - what the files of nffi-supervisor share.
 */

#ifndef NFFI_SUPERVISOR_H
#define NFFI_SUPERVISOR_H

#include <stdbool.h>
#include <stddef.h>

#include "host/launch.h"

/* An order in memory of this process. */
typedef struct order {
    nffi__order_t head;
    char **programs;          /* end with NULL, like the other two */
    char **argv;
    char **envp;
    const char *directory;    /* NULL: inherited */
    const char *user;
} order_t;

/* order.c: reads what a worker sent; false: malformed, or no memory. */
bool order_read(order_t *order, int fd, size_t size);

/*
 * execute.c: becomes the program. `fds`: the descriptors of the start,
 * `error_fd`: a failed stage is written there as two ints, stage and errno.
 * Runs in a fork of the keeper, which may block: NSS, directories, files.
 */
_Noreturn void execute(const order_t *order, const int *fds, int error_fd);

/* keeper.c: starts one process and looks after it. Runs in a fork of the
   supervisor. */
_Noreturn void keep(const nffi__start_t *start, const int *fds);

/* Sends that the start failed. */
void report_failure(int fd, int stage, int error);

/* descendants.c: SIGKILL to all that descend from this process; returns how
   many were found alive, -1 without /proc. */
int kill_descendants(void);

/* Kills them until none is left, or for some seconds at most: not all of them
   may be ours to kill. */
void end_descendants(void);

#endif /* NFFI_SUPERVISOR_H */
