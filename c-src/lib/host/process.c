/*
 * process.c - a runtime as a process that was started: its messages, the
 * reports of its keeper, its end. End of file on the control socket reports the
 * death of the process.
 */

#define _GNU_SOURCE

#include "shared/control.h"
#include "shared/descriptors.h"
#include "host/host.h"
#include "host/launch.h"
#include "host/receive.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char *stage_names[NFFI__STAGES] = {
    [NFFI__STAGE_VERSION] = "version", [NFFI__STAGE_KEEPER] = "keeper",
    [NFFI__STAGE_FORK] = "fork",
    [NFFI__STAGE_GROUP] = "setpgid", [NFFI__STAGE_DESCRIPTORS] = "dup2",
    [NFFI__STAGE_NICE] = "setpriority", [NFFI__STAGE_LIMITS] = "setrlimit",
    [NFFI__STAGE_NO_USER] = "getpwnam", [NFFI__STAGE_USER] = "setuid",
    [NFFI__STAGE_DIRECTORY] = "chdir", [NFFI__STAGE_EXEC] = "exec"
};


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
            nffi__close_all(&fd, 1);
            return event;
        }
    }

    for ( ;; ) {
        /* the end must not hide behind payloads that are left unread */
        if (host->kept >= NFFI__PAUSE_KEPT) {
            host->paused = true;
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
        nffi__close_all(&process->pidfd, 1);
        process->pidfd = pidfd;

        return NFFI_PROCESS_STARTED;

    case NFFI__REPORT_FAILED:
        nffi__close_all(&pidfd, 1);
        result->stage = report->stage > 0 && report->stage < NFFI__STAGES
                        ? stage_names[report->stage] : "start";
        result->error = report->error;
        return NFFI_PROCESS_NOT_STARTED;

    case NFFI__REPORT_ENDED:
        nffi__close_all(&pidfd, 1);
        result->status = report->status;
        return NFFI_PROCESS_ENDED;

    default:
        nffi__close_all(&pidfd, 1);
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
    nffi__close_all((int[]) { process->keeper_fd, process->pidfd }, 2);
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
