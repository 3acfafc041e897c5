/*
 * trial.c - runs a program and reports whether it got as far as it should.
 */

#include "trial.h"

#include "../../lib/host/forked.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MAX_MS 60000
#define END_MS     1000      /* after it has said the word */
#define LOOK_MS    20        /* at whether it has ended */
#define READS      1024      /* in one turn: more than a pipe holds */

typedef struct output {
    int fd;                  /* non-blocking; -1: its end was read */
    char *text;
    size_t size;
    size_t used;
    const char *word;
    bool said;               /* the word; it may be overwritten since */
} output_t;


static int64_t
now_ms(void)
{
    struct timespec now;

    (void) clock_gettime(CLOCK_MONOTONIC, &now);

    return (int64_t) now.tv_sec * 1000 + now.tv_nsec / 1000000;
}


/* Runs in the child, between fork and exec: async-signal-safe calls only. */
static void
run(const char *const *argv, char *const *environment, int out, pid_t parent)
{
    ssize_t n;
    int null;
    static const char failed[] = " cannot be executed";

    if (!nffi__die_with(parent)) {
        _exit(127);
    }

    null = open("/dev/null", O_RDONLY);

    if (null == -1 || dup2(null, 0) == -1 || dup2(out, 1) == -1
        || dup2(out, 2) == -1)
    {
        _exit(127);
    }

    nffi__close_from(3);
    nffi__reset_signals();
    (void) execve(argv[0], (char *const *) argv, environment);

    n = write(2, argv[0], strlen(argv[0]));
    (void) n;
    n = write(2, failed, sizeof(failed) - 1);
    (void) n;
    _exit(127);
}


/* No handler of nginx runs in the child. */
static pid_t
start(const char *const *argv, char *const *environment, int out)
{
    int error;
    pid_t pid, parent = getpid();
    sigset_t all, before;

    sigfillset(&all);
    (void) pthread_sigmask(SIG_SETMASK, &all, &before);
    pid = fork();
    error = errno;

    if (pid == 0) {
        run(argv, environment, out, parent);
    }

    (void) pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = error;

    return pid;
}


/* What there is, the newest of it where there is too little room. */
static void
read_output(output_t *output)
{
    int reads;
    ssize_t n;

    for (reads = 0; output->fd != -1 && reads < READS; reads++) {
        if (output->used == output->size - 1) {
            output->used /= 2;
            memmove(output->text,
                    output->text + output->size - 1 - output->used,
                    output->used);
        }

        n = read(output->fd, output->text + output->used,
                 output->size - 1 - output->used);

        if (n > 0) {
            output->used += (size_t) n;
            output->said = output->said
                           || memmem(output->text, output->used, output->word,
                                     strlen(output->word)) != NULL;
            continue;
        }

        if (n == -1 && errno == EINTR) {
            continue;
        }

        if (n == -1 && errno == EAGAIN) {
            break;
        }

        close(output->fd);
        output->fd = -1;
    }

    output->text[output->used] = '\0';
}


/* Perhaps nginx's handler of SIGCHLD was there before. */
static bool
has_ended(pid_t pid)
{
    return waitpid(pid, NULL, WNOHANG | __WALL) != 0;
}


/* Whether it has said the word, when it has ended or its time is over. */
static bool
watch(pid_t pid, output_t *output)
{
    bool ended, known = false, killed = false;
    int64_t left, deadline = now_ms() + MAX_MS;
    struct pollfd pollfd = { .events = POLLIN };

    for ( ;; ) {
        left = deadline - now_ms();
        pollfd.fd = output->fd;
        (void) poll(&pollfd, 1, output->fd == -1 || left <= 0 ? 1 : LOOK_MS);

        ended = has_ended(pid);
        read_output(output);

        if (output->said && !known) {
            known = true;
            deadline = now_ms() + END_MS;
        }

        if (ended || (left <= 0 && killed)) {
            break;
        }

        if (left <= 0) {
            /* one that sleeps in the kernel does not end by that either */
            (void) kill(pid, SIGKILL);
            killed = true;
            deadline = now_ms() + END_MS;
        }
    }

    if (killed && !output->said) {
        (void) snprintf(output->text, output->size, "it does not end");
    }

    return output->said;
}


static void
make_one_line(char *text)
{
    size_t i;

    for (i = strlen(text); i > 0 && text[i - 1] == '\n'; i--) {
        text[i - 1] = '\0';
    }

    for (i = 0; text[i] != '\0'; i++) {
        if (text[i] == '\n') {
            text[i] = ' ';
        }
    }
}


int
nffi_bridge_try(const char *const *argv, char *const *environment,
    const char *word, char *reason, size_t size)
{
    int fds[2];
    bool said;
    pid_t pid;
    output_t output;

    if (pipe2(fds, O_CLOEXEC) == -1) {
        (void) snprintf(reason, size, "pipe2: %s", strerror(errno));
        return -1;
    }

    pid = start(argv, environment, fds[1]);
    close(fds[1]);

    if (pid == -1) {
        close(fds[0]);
        (void) snprintf(reason, size, "fork: %s", strerror(errno));
        return -1;
    }

    (void) fcntl(fds[0], F_SETFL, O_NONBLOCK);
    output = (output_t) { .fd = fds[0], .text = reason, .size = size,
                            .word = word };
    said = watch(pid, &output);

    if (output.fd != -1) {
        close(output.fd);
    }

    if (said) {
        return 0;
    }

    make_one_line(reason);

    if (reason[0] == '\0') {
        (void) snprintf(reason, size, "%s failed without a reason", argv[0]);
    }

    return -1;
}
