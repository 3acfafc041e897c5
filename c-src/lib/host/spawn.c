/*
 * spawn.c - a runtime as a process that is a child of the supervisor: its
 * start, its messages, its end.
 *
 * Nothing here waits: the worker sends descriptors and a start request, and
 * receives the result on the socket of the keeper (launch.h). The descriptors
 * of the queue work from the beginning, so calls may be made before that; end
 * of file on the control socket reports the death of the process.
 */

#define _GNU_SOURCE

#include "shared/descriptors.h"
#include "host/host.h"
#include "host/launch.h"
#include "host/receive.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char *stage_names[NFFI__STAGES] = {
    [NFFI__STAGE_VERSION] = "version", [NFFI__STAGE_KEEPER] = "keeper",
    [NFFI__STAGE_FORK] = "fork",
    [NFFI__STAGE_SESSION] = "setsid", [NFFI__STAGE_DESCRIPTORS] = "dup2",
    [NFFI__STAGE_NICE] = "setpriority", [NFFI__STAGE_LIMITS] = "setrlimit",
    [NFFI__STAGE_NO_USER] = "getpwnam", [NFFI__STAGE_USER] = "setuid",
    [NFFI__STAGE_DIRECTORY] = "chdir", [NFFI__STAGE_EXEC] = "exec"
};


static void
close_all(int *fds, size_t count)
{
    size_t i;

    for (i = 0; i < count; i++) {
        if (fds[i] != -1) {
            close(fds[i]);
        }
    }
}


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
    fd = nffi__memfd_open("nffi-order");
    n = fd == -1 ? -1 : write(fd, bytes, *size);
    saved = n == -1 ? errno : ENOSPC;
    free(bytes);

    if (n == (ssize_t) *size) {
        return fd;
    }

    close_all(&fd, 1);
    errno = saved;

    return -1;
}


static int
send_start(int supervisor, size_t size, const int *fds)
{
    ssize_t n;
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

    do {
        n = sendmsg(supervisor, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
    } while (n == -1 && errno == EINTR);

    if (n != -1) {
        return NFFI_OK;
    }

    return errno == EPIPE || errno == ECONNRESET ? NFFI_CLOSED : NFFI_SYSTEM;
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

    close_all((int[]) { order, sockets[1], keeper[1], out[1], err[1] }, 5);

    if (host->region.memfd == -1) {
        close(host->memory_fd);
        host->memory_fd = -1;
    }

    return NFFI_OK;

failed:

    saved = errno;

    for (i = 0; i < 2; i++) {
        close_all((int[]) { sockets[i], keeper[i], out[i], err[i] }, 4);
    }

    close_all(&order, 1);
    errno = saved;

    return rc;
}


/* The event that a message is; NONE for a payload. */
static int
read_message(const nffi__message_t *received, nffi_process_message_t *message)
{
    message->abi = received->abi;
    message->host_abi = NFFI__REGION_ABI;
    message->size = received->text_size < sizeof(message->text) - 1
                    ? received->text_size
                    : sizeof(message->text) - 1;
    memcpy(message->text, received->text, message->size);
    message->text[message->size] = '\0';

    switch (received->type) {
    case NFFI__MESSAGE_READY:
        return NFFI_PROCESS_READY;
    case NFFI__MESSAGE_FAILED:
        return NFFI_PROCESS_FAILED;
    case NFFI__MESSAGE_ABI:
        return NFFI_PROCESS_ABI_MISMATCH;
    default:
        return NFFI_PROCESS_NONE;
    }
}


static bool
has_hung_up(int socket)
{
    struct pollfd pollfd = { .fd = socket };

    return poll(&pollfd, 1, 0) == 1;
}


int
nffi_host_process_event(nffi_host_t *host, nffi_process_message_t *message)
{
    int rc, fd, event;
    nffi__message_t read;
    nffi__received_t **link;

    for (link = &host->received; *link != NULL; link = &(*link)->next) {
        event = read_message(&(*link)->message, message);

        if (event != NFFI_PROCESS_NONE) {
            fd = nffi__host_unkeep(host, link);
            close_all(&fd, 1);
            return event;
        }
    }

    for ( ;; ) {
        /* the end must not hide behind payloads that are left unread */
        if (host->kept >= NFFI__PAUSE_KEPT) {
            return has_hung_up(host->control_fd) ? NFFI_PROCESS_GONE
                                                 : NFFI_PROCESS_NONE;
        }

        rc = nffi__control_receive(host->control_fd, &read, &fd);

        if (rc == 0) {
            return NFFI_PROCESS_NONE;
        }

        if (rc != 1) {
            return NFFI_PROCESS_GONE;
        }

        event = read_message(&read, message);

        if (event != NFFI_PROCESS_NONE) {
            if (fd != -1) {
                close(fd);
            }

            return event;
        }

        if (nffi__host_keep(host, &read, fd) != NFFI_OK) {
            return NFFI_PROCESS_GONE;
        }
    }
}


/* The descriptor that came with a report, or -1; room for two, see
   control.c. */
static int
received_pidfd(struct msghdr *msg)
{
    int fds[2];
    size_t count;
    struct cmsghdr *cmsg = CMSG_FIRSTHDR(msg);

    if (cmsg == NULL || cmsg->cmsg_level != SOL_SOCKET
        || cmsg->cmsg_type != SCM_RIGHTS)
    {
        return -1;
    }

    count = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    memcpy(fds, CMSG_DATA(cmsg), count * sizeof(int));

    if (count == 2) {
        close(fds[1]);
    }

    return fds[0];
}


static int
read_report(nffi_process_t *process, const nffi__report_t *report,
    int pidfd, nffi_process_report_t *result)
{
    switch (report->type) {

    case NFFI__REPORT_STARTED:
        process->pid = report->pid;
        close_all(&process->pidfd, 1);
        process->pidfd = pidfd;

        return NFFI_PROCESS_STARTED;

    case NFFI__REPORT_FAILED:
        close_all(&pidfd, 1);
        result->stage = report->stage > 0 && report->stage < NFFI__STAGES
                        ? stage_names[report->stage] : "start";
        result->error = report->error;
        return NFFI_PROCESS_NOT_STARTED;

    case NFFI__REPORT_ENDED:
        close_all(&pidfd, 1);
        result->status = report->status;
        return NFFI_PROCESS_ENDED;

    default:
        close_all(&pidfd, 1);
        return NFFI_PROCESS_NONE;
    }
}


int
nffi_process_report(nffi_process_t *process, nffi_process_report_t *result)
{
    ssize_t n;
    nffi__report_t report;
    struct iovec iov = { &report, sizeof(report) };
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control;
    struct msghdr msg = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes,
        .msg_controllen = sizeof(control.bytes)
    };

    if (process->keeper_fd == -1) {
        return NFFI_PROCESS_NONE;
    }

    /* the reset is reported once, before the messages of the other side, if it
       ended without reading our last command */
    do {
        n = recvmsg(process->keeper_fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    } while (n == -1 && (errno == EINTR || errno == ECONNRESET));

    if (n == -1 && errno == EAGAIN) {
        return NFFI_PROCESS_NONE;
    }

    if (n != (ssize_t) sizeof(report) || report.magic != NFFI__LAUNCH_MAGIC) {
        return NFFI_PROCESS_GONE;
    }

    return read_report(process, &report, received_pidfd(&msg), result);
}


static bool
send_command(nffi_process_t *process, uint32_t type)
{
    nffi__command_t command = { NFFI__LAUNCH_MAGIC, type };

    return process->keeper_fd != -1
           && send(process->keeper_fd, &command, sizeof(command),
                   MSG_DONTWAIT | MSG_NOSIGNAL)
              == (ssize_t) sizeof(command);
}


void
nffi_process_release(nffi_process_t *process)
{
    (void) send_command(process, NFFI__COMMAND_RELEASE);
    close_all((int[]) { process->keeper_fd, process->pidfd }, 2);
    process->keeper_fd = -1;
    process->pidfd = -1;
    process->pid = 0;
}


/* Returns false if it has ended, or cannot be reached. */
static bool
signal_process(const nffi_process_t *process, int signal_number)
{
#ifdef SYS_pidfd_send_signal
    return process->pidfd != -1
           && syscall(SYS_pidfd_send_signal, process->pidfd, signal_number,
                      NULL, 0)
              == 0;
#else
    (void) process;
    (void) signal_number;

    return false;
#endif
}


void
nffi_process_kill(nffi_process_t *process)
{
    if (send_command(process, NFFI__COMMAND_KILL)) {
        (void) signal_process(process, SIGKILL);
        return;
    }

    /* without its keeper: as long as it is there, be it as a zombie, no other
       group has its number */
    if (process->pid > 1 && signal_process(process, 0)) {
        (void) kill(-process->pid, SIGKILL);
        (void) signal_process(process, SIGKILL);
    }
}
