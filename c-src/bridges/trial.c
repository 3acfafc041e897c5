/*
 * trial.c - runs a program and tells how it ended.
 */

#include "trial.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define LONGEST_MS 60000


static int
spawn(const char *const *argv, char *const *environment, int out, pid_t *pid)
{
    int rc;
    sigset_t none, all;
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_t actions;

    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes,
                             POSIX_SPAWN_SETSIGMASK|POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, out, 1);
    posix_spawn_file_actions_adddup2(&actions, out, 2);

    rc = posix_spawn(pid, argv[0], &actions, &attributes, (char **) argv,
                     environment);

    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);

    return rc;
}


/* what it says, as far as there is room; -1: not in time */
static int
read_all(int fd, char *text, size_t size)
{
    ssize_t n;
    size_t used = 0;
    char rest[256];
    struct pollfd pollfd = { .fd = fd, .events = POLLIN };

    for ( ;; ) {
        if (poll(&pollfd, 1, LONGEST_MS) == 0) {
            return -1;
        }

        n = used + 1 < size ? read(fd, text + used, size - used - 1)
                            : read(fd, rest, sizeof(rest));
        if (n == -1 && errno == EINTR) {
            continue;
        }

        if (n <= 0) {
            break;
        }

        used += used + 1 < size ? (size_t) n : 0;
    }

    text[used] = '\0';

    return 0;
}


/* The status; where nginx's handler of SIGCHLD has taken it, by the text. */
static int
wait_for(pid_t pid, const char *text)
{
    int status;

    while (waitpid(pid, &status, __WALL) == -1) {
        if (errno != EINTR) {
            return strstr(text, "rror") ? -1 : 0;
        }
    }

    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -1;
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
nffi_bridge_try(const char *const *argv, char *const *environment, char *reason,
    size_t size)
{
    int rc, fds[2];
    pid_t pid;

    if (pipe2(fds, O_CLOEXEC) == -1) {
        (void) snprintf(reason, size, "pipe2: %s", strerror(errno));
        return -1;
    }

    rc = spawn(argv, environment, fds[1], &pid);
    close(fds[1]);

    if (rc != 0) {
        close(fds[0]);
        (void) snprintf(reason, size, "%s: %s", argv[0], strerror(rc));
        return -1;
    }

    rc = read_all(fds[0], reason, size);
    close(fds[0]);

    if (rc != 0) {
        (void) kill(pid, SIGKILL);
        (void) wait_for(pid, "");
        (void) snprintf(reason, size, "%s does not end", argv[0]);
        return -1;
    }

    if (wait_for(pid, reason) == 0) {
        return 0;
    }

    make_one_line(reason);

    if (reason[0] == '\0') {
        (void) snprintf(reason, size, "%s failed without a reason", argv[0]);
    }

    return -1;
}
