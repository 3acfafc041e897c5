/*
 * check.h - the frame of the C tests.
 *
 * A program lists its cases. Each runs in a separate process, so that a
 * crash, a hang or a leak fails one case and has its name; the sanitizers
 * write to stderr. One line for each case on stdout:
 *
 *     ok NAME | not ok NAME: reason | skip NAME: reason
 *
 * The program exits with 1 when a case failed, 77 when all were skipped.
 * Arguments choose cases by name.
 */

#ifndef CHECK_H
#define CHECK_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHECK_SECONDS 30      /* a case that takes longer hangs */
#define CHECK_SKIPPED 77
#define CHECK_FIRST_FD 200    /* cases may use the low numbers */

/* How much a stress does: the sanitizers make everything slower. */
#if defined(__SANITIZE_THREAD__)
#define CHECK_SCALE(n) ((n) / 20)
#elif defined(__SANITIZE_ADDRESS__)
#define CHECK_SCALE(n) ((n) / 4)
#else
#define CHECK_SCALE(n) (n)
#endif

/* The largest payload: ThreadSanitizer looks at every byte of it. */
#if defined(__SANITIZE_THREAD__)
#define CHECK_HUGE ((size_t) 4 << 20)
#else
#define CHECK_HUGE ((size_t) 64 << 20)
#endif

#if defined(__SANITIZE_THREAD__)
/* A process that ends while a thread of it sleeps waits a second otherwise. */
const char *__tsan_default_options(void);

__attribute__((visibility("default"))) const char *
__tsan_default_options(void)
{
    return "atexit_sleep_ms=10";
}
#endif

typedef struct check_case {
    const char *name;
    void (*run)(void);
} check_case_t;

static int check_report = -1; /* pipe to the process that prints */


/* Ends the case; from any thread and any process that it forked. */
__attribute__((format(printf, 3, 4), noreturn, unused)) static void
check_fail(const char *file, int line, const char *format, ...)
{
    int n;
    ssize_t written;
    char text[1024];
    va_list args;
    const char *name = strrchr(file, '/');

    n = snprintf(text, sizeof(text), "%s:%d: ", name ? name + 1 : file, line);
    va_start(args, format);
    n += vsnprintf(text + n, sizeof(text) - (size_t) n, format, args);
    va_end(args);

    if (n >= (int) sizeof(text)) {
        n = sizeof(text) - 1;
    }

    text[n++] = ' ';          /* several processes may speak */

    written = write(check_report, text, (size_t) n);
    (void) written;
    _exit(1);
}


__attribute__((noreturn, unused)) static void
check_skip(const char *reason)
{
    ssize_t written = write(check_report, reason, strlen(reason));

    (void) written;
    _exit(CHECK_SKIPPED);
}


#define CHECK(condition) \
    do { \
        if (!(condition)) { \
            check_fail(__FILE__, __LINE__, "%s", #condition); \
        } \
    } while (0)

#define CHECK_IS(value, expected) \
    do { \
        long long is_ = (long long) (value); \
        long long wanted_ = (long long) (expected); \
        if (is_ != wanted_) { \
            check_fail(__FILE__, __LINE__, "%s is %lld, not %s (%lld)", \
                       #value, is_, #expected, wanted_); \
        } \
    } while (0)

#define CHECK_BYTES(data, size, expected, expected_size) \
    do { \
        CHECK_IS(size, expected_size); \
        CHECK((expected_size) == 0 \
              || memcmp(data, expected, expected_size) == 0); \
    } while (0)

/* A system call that is not under test. */
#define CHECK_CALL(call) \
    do { \
        if ((call) == -1) { \
            check_fail(__FILE__, __LINE__, "%s: %s", #call, strerror(errno)); \
        } \
    } while (0)


/* To see that none leaks; the listing itself is in the count. */
static inline int
open_fds(void)
{
    int count = 0;
    DIR *dir = opendir("/proc/self/fd");

    CHECK(dir != NULL);

    while (readdir(dir) != NULL) {
        count++;
    }

    closedir(dir);

    return count;
}


/* Reads what the case reports until it ends; false: it took too long. */
static inline int
check_listen(int fd, pid_t pid, char *text, size_t size, int *status)
{
    int left = CHECK_SECONDS * 1000;
    ssize_t n;
    size_t used = 0;
    struct pollfd pollfd = { .fd = fd, .events = POLLIN };

    *status = 0;

    for ( ;; ) {
        if (waitpid(pid, status, WNOHANG) == pid) {
            break;
        }

        if (left <= 0) {
            kill(-pid, SIGKILL);
            kill(pid, SIGKILL);
            waitpid(pid, status, 0);
            break;
        }

        /* end of file comes before the end of the process, or never when a
           process that the case left behind holds the pipe */
        if (poll(&pollfd, 1, 5) == 1) {
            n = read(fd, text + used, size - 1 - used);
            if (n > 0) {
                used += (size_t) n;
            } else {
                pollfd.fd = -1;
            }
        }

        left -= 5;
    }

    fcntl(fd, F_SETFL, O_NONBLOCK);
    n = used < size - 1 ? read(fd, text + used, size - 1 - used) : 0;
    used += n > 0 ? (size_t) n : 0;
    text[used] = '\0';

    return left > 0;
}


/* Prints the line of one case; returns 0, 1 or CHECK_SKIPPED. */
static inline int
check_run(const check_case_t *one)
{
    int fds[2], status, in_time;
    pid_t pid;
    char text[2048];

    fflush(stdout);

    if (pipe2(fds, O_CLOEXEC) == -1 || (pid = fork()) == -1) {
        perror("check");
        exit(1);
    }

    if (pid == 0) {
        setpgid(0, 0);
        check_report = fcntl(fds[1], F_DUPFD_CLOEXEC, CHECK_FIRST_FD);
        close(fds[0]);
        close(fds[1]);
        one->run();
        exit(0);
    }

    close(fds[1]);
    in_time = check_listen(fds[0], pid, text, sizeof(text), &status);
    close(fds[0]);
    kill(-pid, SIGKILL);      /* what the case forked and left behind */

    if (!in_time) {
        printf("not ok %s: took more than %d s\n", one->name, CHECK_SECONDS);

    } else if (WIFSIGNALED(status)) {
        printf("not ok %s: %s %s\n", one->name, strsignal(WTERMSIG(status)),
               text);

    } else if (WEXITSTATUS(status) == CHECK_SKIPPED) {
        printf("skip %s: %s\n", one->name, text);
        return CHECK_SKIPPED;

    } else if (WEXITSTATUS(status) != 0 || text[0] != '\0') {
        printf("not ok %s: %s(exit %d)\n", one->name,
               text[0] ? text : "a sanitizer or exit() spoke ",
               WEXITSTATUS(status));

    } else {
        printf("ok %s\n", one->name);
        return 0;
    }

    return 1;
}


static inline int
check_main(int argc, char **argv, const check_case_t *cases, size_t count)
{
    int wanted, a, rc, failed = 0, passed = 0;
    size_t i;

    for (i = 0; i < count; i++) {
        wanted = argc < 2;

        for (a = 1; a < argc; a++) {
            wanted |= strcmp(argv[a], cases[i].name) == 0;
        }

        if (wanted) {
            rc = check_run(&cases[i]);
            failed |= rc == 1;
            passed |= rc == 0;
        }
    }

    return failed ? 1 : passed ? 0 : CHECK_SKIPPED;
}

#define CHECK_MAIN(argc, argv, cases) \
    check_main(argc, argv, cases, sizeof(cases) / sizeof((cases)[0]))

#endif /* CHECK_H */
