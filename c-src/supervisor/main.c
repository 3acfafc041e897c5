/*
 * nffi-supervisor - starts the processes of the runtimes of one nginx worker.
 *
 * The worker starts it once, without a copy of its own address space, and sends
 * it one message for each process. A fork of this small program, the keeper,
 * then does the slow parts (NSS, directories, the file system, pages for the
 * queue) and stays as parent and subreaper of that process (keeper.c). No call
 * of a runtime passes through here.
 *
 * End of file on the worker's socket is the end of the worker, for any reason:
 * all descendants of this program are killed. It is also a subreaper, for the
 * descendants of a keeper that was killed.
 */

#define _GNU_SOURCE

#include "supervisor.h"
#include "host/forked.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>


/* With a terminal, nginx has been started by hand. A runtime that asked for a
   password would stop nginx, or be stopped. Otherwise the session is shared:
   Linux hands a CPU over with sched_yield() within one session (autogroup)
   only. Without that, worker and process sleep when they share a CPU. */
static void
leave_terminal(void)
{
    int fd = open("/dev/tty", O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);

    if (fd == -1) {
        (void) setpgid(0, 0);
        return;
    }

    close(fd);
    (void) setsid();
}


/* No signal except SIGKILL ends it before its worker ends: signals of service
   managers and terminals are meant for nginx. */
static void
settle(void)
{
    int fd;
    sigset_t all;

    nffi__reset_signals();
    sigfillset(&all);
    (void) sigprocmask(SIG_SETMASK, &all, NULL);

    /* its children are reaped by the kernel */
    (void) signal(SIGCHLD, SIG_IGN);

    leave_terminal();
    (void) prctl(PR_SET_CHILD_SUBREAPER, 1);
    (void) fcntl(NFFI__FD_WORKER, F_SETFD, FD_CLOEXEC);
    nffi__close_from(NFFI__FD_WORKER + 1);

    fd = open("/dev/null", O_RDWR);

    if (fd != -1) {
        (void) dup2(fd, 0);
        (void) dup2(fd, 1);
        (void) dup2(fd, 2);

        if (fd > NFFI__FD_WORKER) {
            close(fd);
        }
    }
}


static void
close_all(const int *fds, int count)
{
    int i;

    for (i = 0; i < count; i++) {
        close(fds[i]);
    }
}


/* 1: a start with all of its descriptors; 0: nothing, or something else, which
   is dropped; -1: the worker has ended. */
static int
receive(nffi__start_t *start, int *fds)
{
    int count = 0;
    ssize_t n;
    struct cmsghdr *cmsg;
    struct iovec iov = { start, sizeof(*start) };
    union {
        char bytes[CMSG_SPACE(NFFI__START_FDS * sizeof(int))];
        struct cmsghdr align;
    } control;
    struct msghdr msg = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes,
        .msg_controllen = sizeof(control.bytes)
    };

    n = recvmsg(NFFI__FD_WORKER, &msg, MSG_CMSG_CLOEXEC);

    if (n <= 0) {
        return n == -1 && (errno == EINTR || errno == EAGAIN
                           || errno == ENOMEM || errno == ENOBUFS) ? 0 : -1;
    }

    cmsg = CMSG_FIRSTHDR(&msg);

    if (cmsg != NULL && cmsg->cmsg_level == SOL_SOCKET
        && cmsg->cmsg_type == SCM_RIGHTS)
    {
        count = (int) ((cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int));
        memcpy(fds, CMSG_DATA(cmsg), (size_t) count * sizeof(int));
    }

    if (count == NFFI__START_FDS && n == (ssize_t) sizeof(*start)
        && start->magic == NFFI__LAUNCH_MAGIC)
    {
        return 1;
    }

    close_all(fds, count);

    return 0;
}


static void
start_keeper(const nffi__start_t *start, const int *fds)
{
    pid_t pid;

    if (start->version != NFFI__LAUNCH_VERSION) {
        report_failure(fds[NFFI__START_KEEPER], NFFI__STAGE_VERSION, 0);
        return;
    }

    pid = fork();

    if (pid == 0) {
        keep(start, fds);
    }

    if (pid == -1) {
        report_failure(fds[NFFI__START_KEEPER], NFFI__STAGE_KEEPER, errno);
    }
}


int
main(int argc, char **argv)
{
    int rc, fds[NFFI__START_FDS + 1];
    nffi__start_t start;

    (void) argc;
    (void) argv;
    settle();

    for ( ;; ) {
        rc = receive(&start, fds);

        if (rc == -1) {
            break;
        }

        if (rc == 1) {
            start_keeper(&start, fds);
            close_all(fds, NFFI__START_FDS);

        } else {
            /* a shortage of memory may be over soon */
            (void) poll(NULL, 0, 1);
        }
    }

    end_descendants();

    return 0;
}
