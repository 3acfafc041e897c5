/*
 * spawn.c - a runtime as a child process of the worker: starting it, its
 * messages, its end.
 *
 * The child finds /dev/null as 0, pipes as 1 and 2, and the descriptors of
 * control.h from 3 on; every other descriptor of nginx is closed, since not
 * all of them are CLOEXEC. It is a session of its own, so that a signal to
 * nginx's process group does not kill it before nginx has drained, and it dies
 * with the thread that made it (the event loop) even when it never gets as far
 * as watching the control socket.
 *
 * nginx reaps children by waitpid(-1) in its SIGCHLD handler: nothing here
 * waits for the child; end of file on the control socket tells of its death.
 */

#define _GNU_SOURCE

#include "child.h"
#include "host.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define FIRST_FREE_FD 16      /* above every fixed number */

enum stage {
    STAGE_SESSION = 1, STAGE_DESCRIPTORS, STAGE_NICE, STAGE_LIMITS, STAGE_USER,
    STAGE_DIRECTORY, STAGE_EXEC, STAGE_ORPHAN
};

static const char *stage_names[] = {
    "", "setsid", "dup2", "setpriority", "setrlimit", "setuid", "chdir", "exec",
    "fork"
};

/* What the child needs, in fixed order from descriptor 0 on. */
typedef struct descriptors {
    int fds[NFFI__FD_EXEC_ERROR + 1];
} descriptors_t;

typedef struct exec_error {
    int stage;
    int number;
} exec_error_t;


static int
place_descriptors(descriptors_t *descriptors)
{
    int i, fd;

    for (i = 0; i <= NFFI__FD_EXEC_ERROR; i++) {
        fd = fcntl(descriptors->fds[i], F_DUPFD, FIRST_FREE_FD);
        if (fd == -1) {
            return -1;
        }

        descriptors->fds[i] = fd;
    }

    for (i = 0; i <= NFFI__FD_EXEC_ERROR; i++) {
        if (dup2(descriptors->fds[i], i) == -1) {
            return -1;
        }
    }

    nffi__close_from(NFFI__FD_EXEC_ERROR + 1);

    return fcntl(NFFI__FD_EXEC_ERROR, F_SETFD, FD_CLOEXEC);
}


static int
set_limits(const nffi_spawn_options_t *options)
{
    size_t i;
    struct rlimit limit;

    for (i = 0; i < options->limits_count; i++) {
        limit.rlim_cur = options->limits[i].value;
        limit.rlim_max = options->limits[i].value;

        if (setrlimit((__rlimit_resource_t) options->limits[i].resource, &limit)
            == -1)
        {
            return -1;
        }
    }

    return 0;
}


/* The system calls themselves: libc's setuid() speaks to every thread it knows
   of, and after a fork there is one. */
static int
become(const nffi_spawn_user_t *user)
{
    if (syscall(SYS_setgroups, user->groups_count, user->groups) == -1
        || syscall(SYS_setresgid, user->gid, user->gid, user->gid) == -1)
    {
        return -1;
    }

    return (int) syscall(SYS_setresuid, user->uid, user->uid, user->uid);
}


/* Runs in the child, between fork and exec: async-signal-safe calls only. */
static void
run_child(const nffi_spawn_options_t *options, descriptors_t *descriptors,
    pid_t parent)
{
    int error_fd;
    ssize_t n;
    cpu_set_t cpus;
    exec_error_t error;

    error_fd = descriptors->fds[NFFI__FD_EXEC_ERROR];
    error.stage = STAGE_SESSION;

    if (setsid() == -1) {
        goto failed;
    }

    error.stage = STAGE_ORPHAN;
    if (!nffi__die_with(parent)) {
        goto failed;
    }

    error.stage = STAGE_DESCRIPTORS;
    if (place_descriptors(descriptors) == -1) {
        goto failed;
    }

    error_fd = NFFI__FD_EXEC_ERROR;

    if (options->flags & NFFI_RESET_CPUS) {
        memset(&cpus, 0xff, sizeof(cpus));
        (void) sched_setaffinity(0, sizeof(cpus), &cpus);
    }

    error.stage = STAGE_NICE;
    if (options->nice != 0
        && setpriority(PRIO_PROCESS, 0, options->nice) == -1)
    {
        goto failed;
    }

    error.stage = STAGE_LIMITS;
    if (set_limits(options) == -1) {
        goto failed;
    }

    error.stage = STAGE_USER;
    if (options->user != NULL
        && (become(options->user) == -1 || !nffi__die_with(parent)))
    {
        goto failed;
    }

    error.stage = STAGE_DIRECTORY;
    if (options->directory != NULL && chdir(options->directory) == -1) {
        goto failed;
    }

    error.stage = STAGE_EXEC;
    nffi__reset_signals();
    execve(options->program, options->argv, options->envp);

failed:

    error.number = errno;
    n = write(error_fd, &error, sizeof(error));
    (void) n;
    _exit(127);
}


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


/* fork() with every signal blocked, so that no handler of nginx runs in the
   child, and so that a child that dies at once is not reaped before it has a
   pidfd. */
static pid_t
fork_child(const nffi_spawn_options_t *options, descriptors_t *descriptors,
    int *pidfd)
{
    int saved;
    pid_t pid, parent;
    sigset_t all, before;

    parent = getpid();
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pid = fork();

    if (pid == 0) {
        run_child(options, descriptors, parent);
    }

    saved = errno;
    *pidfd = -1;

#ifdef SYS_pidfd_open
    if (pid > 0) {
        *pidfd = (int) syscall(SYS_pidfd_open, pid, 0);
    }
#endif

    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = saved;

    return pid;
}


/* Waits for exec, which takes the time of one; false: it failed. */
static bool
wait_for_exec(int fd, const char **stage)
{
    ssize_t n;
    exec_error_t error;

    do {
        n = read(fd, &error, sizeof(error));
    } while (n == -1 && errno == EINTR);

    if (n != sizeof(error)) {
        return true;
    }

    *stage = stage_names[error.stage];
    errno = error.number;

    return false;
}


int
nffi_host_spawn(nffi_host_t *host, const nffi_spawn_options_t *options,
    nffi_child_t *child, const char **stage)
{
    int i, saved, rc;
    descriptors_t descriptors;
    /* pairs: ours, the child's */
    int sockets[2] = { -1, -1 }, out[2] = { -1, -1 }, err[2] = { -1, -1 };
    int error[2] = { -1, -1 }, null = -1;

    *stage = "spawn";
    if (!host->process || host->control_fd != -1) {
        return NFFI_INVALID;
    }

    *stage = "socketpair";
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) == -1) {
        goto failed;
    }

    *stage = "pipe";
    if (pipe2(out, O_CLOEXEC) == -1 || pipe2(err, O_CLOEXEC) == -1
        || pipe2(error, O_CLOEXEC) == -1)
    {
        goto failed;
    }

    *stage = "open /dev/null";
    null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (null == -1) {
        goto failed;
    }

    *stage = "fcntl";
    if (fcntl(out[0], F_SETFL, O_NONBLOCK) == -1
        || fcntl(err[0], F_SETFL, O_NONBLOCK) == -1)
    {
        goto failed;
    }

    descriptors = (descriptors_t) {
        { null, out[1], err[1], host->memory_fd, host->tasks_fd, host->done_fd,
          sockets[1], error[1] }
    };

    *stage = "fork";
    child->pid = fork_child(options, &descriptors, &child->pidfd);
    if (child->pid == -1) {
        goto failed;
    }

    close(error[1]);
    error[1] = -1;

    if (!wait_for_exec(error[0], stage)) {
        saved = errno;
        if (child->pidfd != -1) {
            close(child->pidfd);
        }
        errno = saved;
        goto failed;
    }

    host->control_fd = sockets[0];
    child->control_fd = sockets[0];
    child->done_fd = host->done_fd;
    child->stdout_fd = out[0];
    child->stderr_fd = err[0];

    close_all((int[]) { sockets[1], out[1], err[1], error[0], null }, 5);
    close(host->memory_fd);
    host->memory_fd = -1;

    return NFFI_OK;

failed:

    rc = NFFI_SYSTEM;
    saved = errno;

    for (i = 0; i < 2; i++) {
        close_all((int[]) { sockets[i], out[i], err[i], error[i] }, 4);
    }

    close_all(&null, 1);
    errno = saved;

    return rc;
}


int
nffi__host_keep(nffi_host_t *host, const nffi__message_t *message, int fd)
{
    nffi__received_t *received, **link;

    received = host->kept < NFFI__MOST_KEPT ? malloc(sizeof(*received)) : NULL;
    if (received == NULL) {
        if (fd != -1) {
            close(fd);
        }

        return NFFI_NO_MEMORY;
    }

    received->next = NULL;
    received->fd = fd;
    memcpy(&received->message, message,
           NFFI__MESSAGE_HEAD + message->text_size);

    for (link = &host->received; *link != NULL; link = &(*link)->next) {
        /* to the end */
    }

    *link = received;
    host->kept++;

    return NFFI_OK;
}


int
nffi__host_unkeep(nffi_host_t *host, nffi__received_t **link)
{
    nffi__received_t *received = *link;
    int fd = received->fd;

    *link = received->next;
    free(received);
    host->kept--;

    return fd;
}


/* The event that a message is; NONE for a payload. */
static int
read_message(const nffi__message_t *received, nffi_child_message_t *message)
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
        return NFFI_CHILD_READY;
    case NFFI__MESSAGE_FAILED:
        return NFFI_CHILD_FAILED;
    case NFFI__MESSAGE_ABI:
        return NFFI_CHILD_ABI_MISMATCH;
    default:
        return NFFI_CHILD_NONE;
    }
}


static bool
has_hung_up(int socket)
{
    struct pollfd pollfd = { .fd = socket };

    return poll(&pollfd, 1, 0) == 1;
}


int
nffi_host_child_event(nffi_host_t *host, nffi_child_message_t *message)
{
    int rc, fd, event;
    nffi__message_t read;
    nffi__received_t **link;

    for (link = &host->received; *link != NULL; link = &(*link)->next) {
        event = read_message(&(*link)->message, message);

        if (event != NFFI_CHILD_NONE) {
            fd = nffi__host_unkeep(host, link);
            close_all(&fd, 1);
            return event;
        }
    }

    for ( ;; ) {
        /* the end must not hide behind payloads that are left unread */
        if (host->kept >= NFFI__ENOUGH_KEPT) {
            return has_hung_up(host->control_fd) ? NFFI_CHILD_GONE
                                                 : NFFI_CHILD_NONE;
        }

        rc = nffi__control_receive(host->control_fd, &read, &fd);

        if (rc == 0) {
            return NFFI_CHILD_NONE;
        }

        if (rc != 1) {
            return NFFI_CHILD_GONE;
        }

        event = read_message(&read, message);

        if (event != NFFI_CHILD_NONE) {
            if (fd != -1) {
                close(fd);
            }

            return event;
        }

        if (nffi__host_keep(host, &read, fd) != NFFI_OK) {
            return NFFI_CHILD_GONE;
        }
    }
}


void
nffi_child_kill(nffi_child_t *child)
{
    if (child->pidfd != -1) {
#ifdef SYS_pidfd_send_signal
        (void) syscall(SYS_pidfd_send_signal, child->pidfd, SIGKILL, NULL, 0);
#endif
        return;
    }

    if (child->pid > 0) {
        (void) kill(child->pid, SIGKILL);
    }
}


void
nffi_child_kill_session(nffi_child_t *child)
{
    siginfo_t info;
    sigset_t reaping, before;

    nffi_child_kill(child);

    if (child->pid <= 1) {
        return;
    }

    sigemptyset(&reaping);
    sigaddset(&reaping, SIGCHLD);
    pthread_sigmask(SIG_BLOCK, &reaping, &before);

    /* as long as it is there, be it as a zombie, no other process and no other
       group has its number */
    if (waitid(P_PID, (id_t) child->pid, &info, WEXITED | WNOHANG | WNOWAIT)
        == 0)
    {
        (void) kill(-child->pid, SIGKILL);
    }

    pthread_sigmask(SIG_SETMASK, &before, NULL);
}
