/*
 * child.h - a runtime as a real process: the test program itself, run again by
 * nffi-supervisor in one of its roles. The case is the worker.
 *
 * What a role finds wrong it says on stderr; child_end() sees that, and any
 * sanitizer's words, in the exit status.
 */

#ifndef CHILD_H
#define CHILD_H

#include <sys/prctl.h>
#include <time.h>

#include "check.h"
#include "host/host.h"
#include "start.h"

#define CHILD_ROLE "--role"
#define CHILD_MS 10000        /* a process that needs longer hangs */

typedef struct child {
    nffi_host_t *host;
    nffi_child_t process;
} child_t;

typedef struct child_role {
    const char *name;
    void (*play)(void);
} child_role_t;


/* In main: plays the role if this is a child; otherwise returns. */
static inline void
child_play(int argc, char **argv, const child_role_t *roles, size_t count)
{
    size_t i;

    if (argc != 3 || strcmp(argv[1], CHILD_ROLE) != 0) {
        return;
    }

    check_report = STDERR_FILENO;

    for (i = 0; i < count; i++) {
        if (strcmp(argv[2], roles[i].name) == 0) {
            roles[i].play();
            exit(0);
        }
    }

    CHECK(!"such a role");
}

#define CHILD_PLAY(argc, argv, roles) \
    child_play(argc, argv, roles, sizeof(roles) / sizeof((roles)[0]))


static inline long long
now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);

    return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}


/* Where the cases run, so that a role is the same program: a keeper's
   /proc/self/exe is the supervisor. */
static inline char *
child_program(void)
{
    static char path[4096];
    ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);

    CHECK(n > 0);
    path[n] = '\0';

    return path;
}


/* open_fds() once the supervisor is there, which stays. */
static inline int
child_fds(void)
{
    const char *stage;

    CHECK(start_supervisor(SUPERVISOR, &stage) != -1);

    return open_fds();
}


static inline void
child_open(child_t *child, const nffi_host_options_t *options)
{
    nffi_host_options_t own = *options;

    memset(child, 0, sizeof(*child));
    own.process = 1;
    CHECK_IS(nffi_host_create(&child->host, &own), NFFI_OK);
}


static inline int
child_try(child_t *child, const char *role, unsigned flags,
    const char *directory, const char **stage)
{
    char *argv[] = { "runtime", CHILD_ROLE, (char *) role, NULL };
    char *envp[] = { "PATH=/bin", NFFI__ATTACH_ENV "=1", NULL };
    char *programs[] = { child_program(), NULL };
    nffi_spawn_options_t spawn = {
        .programs = programs, .argv = argv, .envp = envp,
        .directory = directory, .flags = flags
    };

    return start_process(SUPERVISOR, child->host, &spawn, &child->process,
                         stage);
}


static inline void
child_spawn(child_t *child, const char *role)
{
    const char *stage;

    if (child_try(child, role, 0, NULL, &stage) != NFFI_OK) {
        check_fail(__FILE__, __LINE__, "spawn failed in %s: %s", stage,
                   strerror(errno));
    }
}


/* Waits until one of its descriptors has something, 0 to 20 ms. */
static inline void
child_wait(child_t *child)
{
    uint64_t count;
    struct pollfd pollfds[2] = {
        { .fd = child->process.control_fd, .events = POLLIN },
        { .fd = child->process.done_fd, .events = POLLIN }
    };

    if (poll(pollfds, 2, 20) > 0 && pollfds[1].revents) {
        CHECK_IS(read(pollfds[1].fd, &count, sizeof(count)), sizeof(count));
    }
}


/* The next event of the child that is not NONE. */
static inline int
child_event(child_t *child, nffi_child_message_t *message)
{
    int event;
    long long end = now_ms() + CHILD_MS;

    while ((event = nffi_host_child_event(child->host, message))
           == NFFI_CHILD_NONE)
    {
        CHECK(now_ms() < end);
        child_wait(child);
    }

    return event;
}


static inline void
child_start(child_t *child, const nffi_host_options_t *options,
    const char *role)
{
    nffi_child_message_t message;

    child_open(child, options);
    child_spawn(child, role);
    CHECK_IS(child_event(child, &message), NFFI_CHILD_READY);
}


static inline nffi_task_t
child_submit(child_t *child, const void *data, size_t size,
    const char *method, void *owner)
{
    nffi_task_t task;
    nffi_host_request_t request = {
        .data = data, .size = size, .method = method,
        .method_size = strlen(method)
    };

    CHECK_IS(nffi_host_submit(child->host, &request, owner, &task), NFFI_OK);

    return task;
}


/* The next response, which the case releases. */
static inline nffi_host_response_t
child_response(child_t *child)
{
    int n;
    long long end = now_ms() + CHILD_MS;
    nffi_host_response_t response;

    for ( ;; ) {
        n = nffi_host_collect(child->host, &response, 1);

        if (n != 0) {
            CHECK_IS(n, 1);
            return response;
        }

        CHECK(now_ms() < end);

        if (!nffi_host_park(child->host)) {
            child_wait(child);
        }
    }
}


/* All that the child has written, until it ends. */
static inline size_t
child_read(int fd, char *text, size_t size)
{
    ssize_t n;
    size_t used = 0;
    struct pollfd pollfd = { .fd = fd, .events = POLLIN };

    while (used < size - 1) {
        CHECK_IS(poll(&pollfd, 1, CHILD_MS), 1);
        n = read(fd, text + used, size - 1 - used);

        if (n <= 0) {
            break;
        }

        used += (size_t) n;
    }

    text[used] = '\0';

    return used;
}


/* Waits for its end; returns its status. */
static inline int
child_status(child_t *child)
{
    nffi_child_report_t report;

    CHECK_IS(start_report(child->host, &child->process, &report),
             NFFI_CHILD_ENDED);

    return report.status;
}


/* The child has ended or is about to: its status must be the expected one. */
static inline void
child_end_with(child_t *child, int wanted)
{
    int status;
    char text[16384];
    nffi_child_message_t message;

    while (child_event(child, &message) != NFFI_CHILD_GONE) {
        /* what it said before */
    }

    CHECK_IS(child_event(child, &message), NFFI_CHILD_GONE);
    status = child_status(child);

    if (status != wanted) {
        child_read(child->process.stderr_fd, text, sizeof(text));
        fprintf(stderr, "%s\n", text);
        text[300] = '\0';
        check_fail(__FILE__, __LINE__, "the runtime ended with status 0x%x, "
                   "not 0x%x: %s", (unsigned) status, (unsigned) wanted, text);
    }

    nffi_child_kill(&child->process);
    nffi_child_leave(&child->process);
    close(child->process.stdout_fd);
    close(child->process.stderr_fd);
    nffi_host_destroy(child->host);
}


static inline void
child_end(child_t *child)
{
    child_end_with(child, 0);
}


/* No more tasks; the child ends by itself. */
static inline void
child_close(child_t *child)
{
    nffi_host_close(child->host);
    child_end(child);
}


static inline void
child_kill_and_end(child_t *child)
{
    nffi_child_kill(&child->process);
    child_end_with(child, SIGKILL);
}

/* As /proc has it; 0: there is no such process. */
static inline pid_t
parent_of(pid_t pid, char *state)
{
    int parent = 0;
    char path[64], text[512] = "", *at;
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%d/stat", (int) pid);
    file = fopen(path, "r");
    *state = '\0';

    if (file != NULL) {
        at = fgets(text, sizeof(text), file) ? strrchr(text, ')') : NULL;
        fclose(file);

        if (at == NULL || sscanf(at + 1, " %c %d", state, &parent) != 2) {
            parent = 0;
        }
    }

    return (pid_t) parent;
}


/* A zombie is not. */
static inline bool
is_alive(pid_t pid)
{
    char state;

    return parent_of(pid, &state) != 0 && state != 'Z';
}


static inline void
await_end(pid_t pid)
{
    long long end = now_ms() + CHILD_MS;

    while (is_alive(pid)) {
        CHECK(now_ms() < end);
        usleep(1000);
    }
}

/* In a role: the queue of this process, which serves from now on. */
static inline nffi_queue_t *
attached(void)
{
    nffi_queue_t *queue;

    CHECK_IS(nffi_attach(&queue), NFFI_OK);
    CHECK(getenv(NFFI__ATTACH_ENV) == NULL);
    CHECK_IS(nffi_attach_ready(queue), NFFI_OK);

    return queue;
}

#endif /* CHILD_H */
