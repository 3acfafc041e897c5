/*
 * keeper.c - parent and subreaper of one process of a runtime: starts it, says
 * how it ended, and kills what it has left behind.
 *
 * Everything here may take its time: the event loop of nginx waits for none of
 * it. A keeper that dies harms no call, since calls do not pass through it.
 */

#define _GNU_SOURCE

#include "supervisor.h"
#include "shared/control.h"
#include "shared/descriptors.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define GRACE_MS 1000         /* for what a process that ended left behind */
#define ROUND_MS 5            /* between two rounds of killing */
#define LAST_MS 5000          /* then it stops: not ours to kill */

typedef struct keeper {
    int fd;                   /* to the worker, -1: it has left */
    int error_fd;             /* what execute() writes, -1: was read */
    int signal_fd;
    int memory_fd;            /* kept, so that its pages are freed here */
    int worker_fd;            /* its pidfd, -1: the kernel has none */
    pid_t pid;
    bool failed;              /* the start; its status is not reported */
    bool ended;               /* the process itself */
    bool killing;
    int64_t deadline;         /* of the grace period or of killing, 0: none */
} keeper_t;


static int64_t
now_ms(void)
{
    struct timespec now;

    (void) clock_gettime(CLOCK_MONOTONIC, &now);

    return (int64_t) now.tv_sec * 1000 + now.tv_nsec / 1000000;
}


static int
open_pidfd(pid_t pid)
{
#ifdef SYS_pidfd_open
    return (int) syscall(SYS_pidfd_open, pid, 0);
#else
    (void) pid;
    return -1;
#endif
}


/* With the pidfd of the process when `pidfd` is not -1. */
static void
send_report(int fd, const nffi__report_t *report, int pidfd)
{
    struct iovec iov = { (void *) report, sizeof(*report) };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control;

    if (pidfd != -1) {
        nffi__add_descriptors(&msg, control.bytes, &pidfd, 1);
    }

    if (sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) == -1 && pidfd != -1) {
        /* more descriptors in flight than this user may have: without it */
        msg.msg_control = NULL;
        msg.msg_controllen = 0;
        (void) sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
    }
}


static nffi__report_t
report_of(int type)
{
    nffi__report_t report;

    memset(&report, 0, sizeof(report));
    report.magic = NFFI__LAUNCH_MAGIC;
    report.version = NFFI__LAUNCH_VERSION;
    report.type = (uint32_t) type;

    return report;
}


void
report_failure(int fd, int stage, int error)
{
    nffi__report_t report = report_of(NFFI__REPORT_FAILED);

    report.stage = stage;
    report.error = error;
    send_report(fd, &report, -1);
}


static void
give_up(const int *fds, int stage)
{
    report_failure(fds[NFFI__START_KEEPER], stage, errno);
    _exit(0);
}


static void
fork_process(keeper_t *keeper, const order_t *order, const int *fds)
{
    int i, error_fds[2];
    sigset_t child;

    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    (void) signal(SIGCHLD, SIG_DFL);
    keeper->signal_fd = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);

    if (keeper->signal_fd == -1 || pipe2(error_fds, O_CLOEXEC) == -1) {
        give_up(fds, NFFI__STAGE_KEEPER);
    }

    keeper->pid = fork();

    if (keeper->pid == -1) {
        give_up(fds, NFFI__STAGE_FORK);
    }

    if (keeper->pid == 0) {
        execute(order, fds, error_fds[1]);
    }

    close(error_fds[1]);
    keeper->error_fd = error_fds[0];
    keeper->fd = fds[NFFI__START_KEEPER];
    keeper->memory_fd = fds[NFFI__START_MEMORY];

    for (i = 0; i < NFFI__START_FDS; i++) {
        if (fds[i] != keeper->fd && fds[i] != keeper->memory_fd) {
            close(fds[i]);
        }
    }
}


static void
start_killing(keeper_t *keeper)
{
    if (!keeper->killing) {
        keeper->killing = true;
        keeper->deadline = now_ms() + LAST_MS;
    }
}


static void
start_grace(keeper_t *keeper)
{
    if (keeper->deadline == 0) {
        keeper->deadline = now_ms() + GRACE_MS;
    }
}


/* End of file: the program is executed. */
static void
read_error(keeper_t *keeper)
{
    int error[2], pidfd;
    nffi__report_t report;
    ssize_t n = read(keeper->error_fd, error, sizeof(error));

    if (n == -1 && errno == EINTR) {
        return;
    }

    close(keeper->error_fd);
    keeper->error_fd = -1;

    if (n == (ssize_t) sizeof(error)) {
        keeper->failed = true;
        report_failure(keeper->fd, error[0], error[1]);
        return;
    }

    pidfd = open_pidfd(keeper->pid);
    report = report_of(NFFI__REPORT_STARTED);
    report.pid = keeper->pid;
    send_report(keeper->fd, &report, pidfd);

    if (pidfd != -1) {
        close(pidfd);
    }
}


/* Returns false if no descendant is left. The process is a zombie until its
   pidfd was made. */
static bool
reap(keeper_t *keeper)
{
    int status;
    pid_t pid;
    nffi__report_t report;
    struct signalfd_siginfo info;

    while (read(keeper->signal_fd, &info, sizeof(info)) > 0) {
        /* signals merge: all that ended are looked for */
    }

    if (keeper->error_fd != -1) {
        return true;
    }

    for ( ;; ) {
        pid = waitpid(-1, &status, WNOHANG);

        if (pid <= 0) {
            return pid == 0;
        }

        if (pid != keeper->pid || keeper->ended) {
            continue;
        }

        keeper->ended = true;
        start_grace(keeper);

        if (!keeper->failed && keeper->fd != -1) {
            report = report_of(NFFI__REPORT_ENDED);
            report.pid = pid;
            report.status = status;
            send_report(keeper->fd, &report, -1);
        }
    }
}


static void
read_command(keeper_t *keeper)
{
    nffi__command_t command;
    ssize_t n = recv(keeper->fd, &command, sizeof(command), MSG_DONTWAIT);

    if (n == -1 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }

    if (n == (ssize_t) sizeof(command)
        && command.magic == NFFI__LAUNCH_MAGIC
        && command.type == NFFI__COMMAND_RELEASE)
    {
        close(keeper->fd);
        keeper->fd = -1;
        start_grace(keeper);
        return;
    }

    /* KILL, or the end of the worker */
    if (n <= 0) {
        close(keeper->fd);
        keeper->fd = -1;
    }

    start_killing(keeper);
}


static int
time_left(const keeper_t *keeper)
{
    int64_t left;

    if (keeper->killing) {
        return ROUND_MS;
    }

    if (keeper->deadline == 0) {
        return -1;
    }

    left = keeper->deadline - now_ms();

    return left > 0 ? (int) left : 0;
}


/* After the worker has released the process, its pidfd reports its end. */
static void
look_after(keeper_t *keeper)
{
    struct pollfd fds[4];

    for ( ;; ) {
        fds[0] = (struct pollfd) { .fd = keeper->fd, .events = POLLIN };
        fds[1] = (struct pollfd) { .fd = keeper->error_fd, .events = POLLIN };
        fds[2] = (struct pollfd) { .fd = keeper->signal_fd, .events = POLLIN };
        fds[3] = (struct pollfd) {
            .fd = keeper->fd == -1 && !keeper->killing ? keeper->worker_fd : -1,
            .events = POLLIN
        };

        (void) poll(fds, 4, time_left(keeper));

        if (fds[1].revents) {
            read_error(keeper);
        }

        if (keeper->fd != -1 && fds[0].revents) {
            read_command(keeper);
        }

        if (fds[3].revents || (keeper->deadline != 0 && !keeper->killing
                               && now_ms() >= keeper->deadline))
        {
            start_killing(keeper);
        }

        if (keeper->killing) {
            if (kill_descendants() == -1 && !keeper->ended) {
                (void) kill(-keeper->pid, SIGKILL);
                (void) kill(keeper->pid, SIGKILL);
            }

            if (now_ms() >= keeper->deadline) {
                return;
            }
        }

        if (!reap(keeper)) {
            return;
        }
    }
}


void
keep(const nffi__start_t *start, const int *fds)
{
    order_t order;
    keeper_t keeper;

    memset(&keeper, 0, sizeof(keeper));
    keeper.worker_fd = open_pidfd((pid_t) start->worker);

    /* the worker sees the end of the supervisor only if no other process holds
       it */
    close(NFFI__FD_WORKER);
    (void) prctl(PR_SET_NAME, "nffi-keeper");
    (void) prctl(PR_SET_CHILD_SUBREAPER, 1);

    errno = ENOMEM;
    if (!order_read(&order, fds[NFFI__START_ORDER], start->size)) {
        give_up(fds, NFFI__STAGE_KEEPER);
    }

    fork_process(&keeper, &order, fds);
    look_after(&keeper);
    _exit(0);
}
