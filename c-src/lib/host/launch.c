/*
 * launch.c - the start of the supervisor.
 *
 * A fork would copy the page tables of the worker, which takes longer the more
 * memory it has. clone() with CLONE_VM does not: the child runs in the memory
 * of the worker, which is stopped until the child has executed the program. A
 * second clone() in between makes the supervisor an orphan: nginx reaps every
 * child that SIGCHLD reports, and would log it as an unknown process.
 */

#define _GNU_SOURCE

#include "host/launch.h"
#include "host/nffi_host.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define STACK (64u << 10)

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define NO_SANITIZER __attribute__((no_sanitize("address", "thread")))
#endif
#endif

#ifndef NO_SANITIZER
#define NO_SANITIZER \
    __attribute__((no_sanitize_address, no_sanitize_thread, \
                   no_sanitize_undefined))
#endif

/* Shared by the worker and both children, one of which runs at a time. */
typedef struct launch {
    const char *program;
    char **argv;
    char *stack;
    int socket;
    const char *stage;        /* where it failed */
    int error;                /* 0: it did not */
} launch_t;


/* Becomes the supervisor. Signals are blocked: no handler of nginx runs. */
NO_SANITIZER
static int
become_supervisor(void *data)
{
    char *envp[] = { NULL };
    launch_t *launch = data;

    /* a copy of the same number would stay CLOEXEC */
    if (launch->socket == NFFI__FD_WORKER
        ? fcntl(launch->socket, F_SETFD, 0) == -1
        : dup2(launch->socket, NFFI__FD_WORKER) == -1)
    {
        launch->stage = "dup2";

    } else {
        launch->stage = "exec";
        (void) execve(launch->program, launch->argv, envp);
    }

    launch->error = errno;
    _exit(127);
}


/* The child of the worker exits immediately: the supervisor is an orphan. */
NO_SANITIZER
static int
leave_orphan(void *data)
{
    pid_t pid;
    launch_t *launch = data;

    pid = clone(become_supervisor, launch->stack + STACK,
                CLONE_VM | CLONE_VFORK | SIGCHLD, launch);

    if (pid == -1) {
        launch->error = errno;

    } else if (launch->error != 0) {
        (void) waitpid(pid, NULL, 0);
    }

    _exit(0);
}


/* False: see stage and error. */
static bool
launch_program(launch_t *launch)
{
    char *stack;
    pid_t pid;
    int cancel;
    sigset_t all, before;

    stack = mmap(NULL, 2 * STACK, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);

    if (stack == MAP_FAILED) {
        launch->stage = "mmap";
        launch->error = errno;
        return false;
    }

    launch->stack = stack + STACK;
    launch->stage = "fork";
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);

    /* no signal at its end, so that only __WCLONE reaps it */
    pid = clone(leave_orphan, stack + STACK, CLONE_VM | CLONE_VFORK, launch);

    if (pid == -1) {
        launch->error = errno;

    } else {
        while (waitpid(pid, NULL, __WCLONE) == -1 && errno == EINTR) {
            /* it has ended already */
        }
    }

    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_setcancelstate(cancel, NULL);
    munmap(stack, 2 * STACK);

    return launch->error == 0;
}


int
nffi_supervisor_start(const char *program, const char **stage)
{
    int sockets[2];
    char worker[32];
    char *argv[] = { "nffi-supervisor", "worker", worker, NULL };
    launch_t launch = { .program = program, .argv = argv };

    (void) snprintf(worker, sizeof(worker), "%d", (int) getpid());

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) == -1) {
        *stage = "socketpair";
        return -1;
    }

    launch.socket = sockets[1];

    if (!launch_program(&launch)) {
        close(sockets[0]);
        close(sockets[1]);
        *stage = launch.stage;
        errno = launch.error;
        return -1;
    }

    close(sockets[1]);

    return sockets[0];
}
