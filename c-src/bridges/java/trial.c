/*
 * trial.c - tries the options of a virtual machine in a process: one that
 * cannot be made, for want of memory or for an option that is wrong, calls
 * exit(), which in the worker would end nginx's worker.
 */

#include "jvm.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define LONGEST_MS 60000

static char *no_environment[] = { NULL };


/* HOME/lib/server/libjvm.so -> HOME/bin/java; 0: there is none */
static int
find_program(const char *jvm_file, char *program, size_t size)
{
    int written;
    size_t length = strlen(jvm_file);
    static const char tail[] = "/lib/server/libjvm.so";

    if (length < sizeof(tail)
        || strcmp(jvm_file + length - (sizeof(tail) - 1), tail) != 0)
    {
        return 0;
    }

    written = snprintf(program, size, "%.*s/bin/java",
                       (int) (length - (sizeof(tail) - 1)), jvm_file);

    return written > 0 && (size_t) written < size
           && access(program, X_OK) == 0;
}


static int
spawn(const char *program, const nffi_java_settings_t *settings, int out,
    pid_t *pid)
{
    int rc;
    size_t i, n = 0;
    sigset_t none, all;
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_t actions;
    const char *argv[NFFI_JAVA_MOST_OPTIONS + 4];

    argv[n++] = program;
    argv[n++] = "-Xrs";

    for (i = 0; i < settings->options_count; i++) {
        argv[n++] = settings->options[i];
    }

    argv[n++] = "-version";
    argv[n] = NULL;

    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes,
                             POSIX_SPAWN_SETSIGMASK|POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, out, 1);
    posix_spawn_file_actions_adddup2(&actions, out, 2);

    rc = posix_spawn(pid, program, &actions, &attributes, (char **) argv,
                     no_environment);

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
            return strstr(text, "Error") ? -1 : 0;
        }
    }

    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -1;
}


/* the text as one line */
static void
write_reason(const char *text, char *error, size_t size)
{
    size_t i;

    (void) snprintf(error, size, "%s", text[0] ? text : "java ended without a "
                    "reason");

    for (i = strlen(error); i > 0 && error[i - 1] == '\n'; i--) {
        error[i - 1] = '\0';
    }

    for (i = 0; error[i] != '\0'; i++) {
        if (error[i] == '\n') {
            error[i] = ' ';
        }
    }
}


int
nffi_java_try_options(const char *jvm_file,
    const nffi_java_settings_t *settings, char *error, size_t error_size)
{
    int rc, fds[2];
    pid_t pid;
    char program[4096], text[NFFI_JAVA_REASON];

    /* a run time without its launcher: then there is no trial */
    if (!find_program(jvm_file, program, sizeof(program))) {
        return 0;
    }

    if (pipe2(fds, O_CLOEXEC) == -1) {
        (void) snprintf(error, error_size, "pipe2: %s", strerror(errno));
        return -1;
    }

    rc = spawn(program, settings, fds[1], &pid);
    close(fds[1]);

    if (rc != 0) {
        close(fds[0]);
        (void) snprintf(error, error_size, "%s: %s", program, strerror(rc));
        return -1;
    }

    rc = read_all(fds[0], text, sizeof(text));
    close(fds[0]);

    if (rc != 0) {
        (void) kill(pid, SIGKILL);
        (void) wait_for(pid, "");
        (void) snprintf(error, error_size, "%s does not end", program);
        return -1;
    }

    if (wait_for(pid, text) != 0) {
        write_reason(text, error, error_size);
        return -1;
    }

    return 0;
}
