/*
 * spawn.c - the start of a runtime as a process, which is a child of the
 * supervisor. process.c has the rest of its life.
 *
 * Nothing here waits: the worker sends descriptors and a start request, and
 * receives the result on the socket of the keeper (launch.h). The descriptors
 * of the queue work from the beginning, so calls may be made before that.
 */

#define _GNU_SOURCE

#include "shared/control.h"
#include "shared/descriptors.h"
#include "host/host.h"
#include "host/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>


/* Appends strings, each with its NUL; without room only counts their bytes. */
static size_t
put_strings(char *to, size_t at, char *const *strings, uint32_t *count)
{
    size_t size;

    for (*count = 0; strings[*count] != NULL; (*count)++) {
        size = strlen(strings[*count]) + 1;

        if (to != NULL) {
            memcpy(to + at, strings[*count], size);
        }

        at += size;
    }

    return at;
}


static size_t
put_order(char *to, const nffi_spawn_options_t *options)
{
    size_t i, at;
    nffi__order_t order;
    char *last[] = { NULL, NULL };
    uint32_t count;

    memset(&order, 0, sizeof(order));
    order.flags = options->flags;
    order.nice = options->nice;

    for (i = 0; i < options->limits_count; i++) {
        order.limits[i].resource = options->limits[i].resource;
        order.limits[i].value = options->limits[i].value;
    }

    order.limits_count = (uint32_t) i;
    at = sizeof(order);
    at = put_strings(to, at, options->programs, &order.programs);
    at = put_strings(to, at, options->argv, &order.arguments);
    at = put_strings(to, at, options->envp, &order.variables);

    if (options->directory != NULL) {
        order.fields |= NFFI__ORDER_DIRECTORY;
        last[0] = (char *) options->directory;
        at = put_strings(to, at, last, &count);
    }

    if (options->user != NULL) {
        order.fields |= NFFI__ORDER_USER;
        last[0] = (char *) options->user;
        at = put_strings(to, at, last, &count);
    }

    if (to != NULL) {
        memcpy(to, &order, sizeof(order));
    }

    return at;
}


/* The order in a memfd, written and not mapped: a shortage is an error. */
static int
make_order(const nffi_spawn_options_t *options, size_t *size)
{
    int fd, saved;
    char *bytes;
    ssize_t n;

    *size = put_order(NULL, options);
    bytes = malloc(*size);

    if (bytes == NULL) {
        errno = ENOMEM;
        return -1;
    }

    (void) put_order(bytes, options);
    fd = nffi__memfd_may_have(*size) ? nffi__memfd_open("nffi-order") : -1;
    n = fd == -1 ? -1 : write(fd, bytes, *size);
    saved = n == -1 ? errno : ENOSPC;
    free(bytes);

    if (n == (ssize_t) *size) {
        return fd;
    }

    nffi__close_all(&fd, 1);
    errno = saved;

    return -1;
}


static int
send_start(int supervisor, size_t size, const int *fds)
{
    nffi__start_t start = {
        .magic = NFFI__LAUNCH_MAGIC, .version = NFFI__LAUNCH_VERSION,
        .worker = (uint32_t) getpid(), .size = size
    };
    struct iovec iov = { &start, sizeof(start) };
    union {
        char bytes[CMSG_SPACE(NFFI__START_FDS * sizeof(int))];
        struct cmsghdr align;
    } control;
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

    nffi__add_descriptors(&msg, control.bytes, fds, NFFI__START_FDS);

    return nffi__send_packet(supervisor, &msg, MSG_DONTWAIT);
}


int
nffi_host_spawn(nffi_host_t *host, int supervisor,
    const nffi_spawn_options_t *options, nffi_process_t *process,
    const char **stage)
{
    int i, saved, rc, order = -1;
    size_t size;
    /* pairs: ours, the other side's */
    int sockets[2] = { -1, -1 }, keeper[2] = { -1, -1 };
    int out[2] = { -1, -1 }, err[2] = { -1, -1 };

    *stage = "spawn";
    if (!host->process || host->control_fd != -1
        || options->limits_count > NFFI__ORDER_LIMITS)
    {
        return NFFI_INVALID;
    }

    rc = NFFI_SYSTEM;

    *stage = "socketpair";
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) == -1
        || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, keeper) == -1)
    {
        goto failed;
    }

    *stage = "pipe";
    if (pipe2(out, O_CLOEXEC) == -1 || pipe2(err, O_CLOEXEC) == -1) {
        goto failed;
    }

    *stage = "fcntl";
    if (fcntl(out[0], F_SETFL, O_NONBLOCK) == -1
        || fcntl(err[0], F_SETFL, O_NONBLOCK) == -1)
    {
        goto failed;
    }

    *stage = "memfd";
    order = make_order(options, &size);
    if (order == -1) {
        goto failed;
    }

    *stage = "sendmsg";
    rc = send_start(supervisor, size, (int[NFFI__START_FDS]) {
        order, keeper[1], out[1], err[1], host->memory_fd, host->tasks_fd,
        host->done_fd, sockets[1]
    });

    if (rc != NFFI_OK) {
        goto failed;
    }

    host->control_fd = sockets[0];
    process->pid = 0;
    process->pidfd = -1;
    process->keeper_fd = keeper[0];
    process->control_fd = sockets[0];
    process->done_fd = host->done_fd;
    process->stdout_fd = out[0];
    process->stderr_fd = err[0];

    nffi__close_all((int[]) { order, sockets[1], keeper[1], out[1], err[1] },
                    5);

    if (host->region.memfd == -1) {
        close(host->memory_fd);
        host->memory_fd = -1;
    }

    return NFFI_OK;

failed:

    saved = errno;

    for (i = 0; i < 2; i++) {
        nffi__close_all((int[]) { sockets[i], keeper[i], out[i], err[i] }, 4);
    }

    nffi__close_all(&order, 1);
    errno = saved;

    return rc;
}
