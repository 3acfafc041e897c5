/*
 * process.h - a runtime as a real process: the test program itself, which
 * nffi-supervisor runs again in one of its roles. The case is the worker.
 *
 * A role prints errors on stderr; process_end() sees them, and the report of a
 * sanitizer, in the exit status.
 */

#ifndef PROCESS_H
#define PROCESS_H

#include <sys/prctl.h>
#include <sys/stat.h>
#include <time.h>

#include "check.h"
#include "host/host.h"
#include "start.h"

#define PROCESS_ROLE "--role"
#define PROCESS_MS 10000      /* a process that needs longer hangs */

typedef struct process {
    nffi_host_t *host;
    nffi_process_t nffi;
} process_t;

typedef struct process_role {
    const char *name;
    void (*play)(void);
} process_role_t;


/* In main: plays the role if the arguments name one; otherwise returns. */
static inline void
process_play(int argc, char **argv, const process_role_t *roles, size_t count)
{
    size_t i;

    if (argc != 3 || strcmp(argv[1], PROCESS_ROLE) != 0) {
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

#define PROCESS_PLAY(argc, argv, roles) \
    process_play(argc, argv, roles, sizeof(roles) / sizeof((roles)[0]))


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
process_program(void)
{
    static char path[4096];
    ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);

    CHECK(n > 0);
    path[n] = '\0';

    return path;
}


/* open_fds() once the supervisor is there, which stays. */
static inline int
process_fds(void)
{
    const char *stage;

    CHECK(start_supervisor(SUPERVISOR, &stage) != -1);

    return open_fds();
}


static inline void
process_open(process_t *process, const nffi_host_options_t *options)
{
    nffi_host_options_t own = *options;

    memset(process, 0, sizeof(*process));
    own.process = 1;
    CHECK_IS(nffi_host_create(&process->host, &own), NFFI_OK);
}


static inline int
process_try(process_t *process, const char *role, unsigned flags,
    const char *directory, const char **stage)
{
    char *argv[] = { "runtime", PROCESS_ROLE, (char *) role, NULL };
    char *envp[] = { "PATH=/bin", NFFI__ATTACH_ENV "=1", NULL };
    char *programs[] = { process_program(), NULL };
    nffi_spawn_options_t spawn = {
        .programs = programs, .argv = argv, .envp = envp,
        .directory = directory, .flags = flags
    };

    return start_process(SUPERVISOR, process->host, &spawn, &process->nffi,
                         stage);
}


static inline void
process_spawn(process_t *process, const char *role)
{
    const char *stage;

    if (process_try(process, role, 0, NULL, &stage) != NFFI_OK) {
        check_fail(__FILE__, __LINE__, "spawn failed in %s: %s", stage,
                   strerror(errno));
    }
}


/* Waits until one of its descriptors has something, 0 to 20 ms. */
static inline void
process_wait(process_t *process)
{
    uint64_t count;
    struct pollfd pollfds[2] = {
        { .fd = process->nffi.control_fd, .events = POLLIN },
        { .fd = process->nffi.done_fd, .events = POLLIN }
    };

    if (poll(pollfds, 2, 20) > 0 && pollfds[1].revents) {
        CHECK_IS(read(pollfds[1].fd, &count, sizeof(count)), sizeof(count));
    }
}


/* The next event of the process that is not NONE. */
static inline int
process_event(process_t *process, nffi_process_message_t *message)
{
    int event;
    long long end = now_ms() + PROCESS_MS;

    while ((event = nffi_host_process_event(process->host, message))
           == NFFI_PROCESS_NONE)
    {
        CHECK(now_ms() < end);
        process_wait(process);
    }

    return event;
}


static inline void
process_start(process_t *process, const nffi_host_options_t *options,
    const char *role)
{
    nffi_process_message_t message;

    process_open(process, options);
    process_spawn(process, role);
    CHECK_IS(process_event(process, &message), NFFI_PROCESS_READY);
}


static inline nffi_task_t
process_submit(process_t *process, const void *data, size_t size,
    const char *method, void *owner)
{
    nffi_task_t task;
    nffi_host_request_t request = {
        .data = data, .size = size, .method = method,
        .method_size = strlen(method)
    };

    CHECK_IS(nffi_host_submit(process->host, &request, owner, &task), NFFI_OK);

    return task;
}


/* The next response, which the case releases. */
static inline nffi_host_response_t
process_response(process_t *process)
{
    int n;
    long long end = now_ms() + PROCESS_MS;
    nffi_host_response_t response;

    for ( ;; ) {
        n = nffi_host_collect(process->host, &response, 1);

        if (n != 0) {
            CHECK_IS(n, 1);
            return response;
        }

        CHECK(now_ms() < end);

        if (!nffi_host_park(process->host)) {
            process_wait(process);
        }
    }
}


/* All that the process has written, until it ends. */
static inline size_t
process_read(int fd, char *text, size_t size)
{
    ssize_t n;
    size_t used = 0;
    struct pollfd pollfd = { .fd = fd, .events = POLLIN };

    while (used < size - 1) {
        CHECK_IS(poll(&pollfd, 1, PROCESS_MS), 1);
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
process_status(process_t *process)
{
    nffi_process_report_t report;

    CHECK_IS(start_report(&process->nffi, &report),
             NFFI_PROCESS_ENDED);

    return report.status;
}


/* The process has ended or is about to: its status must be the expected one. */
static inline void
process_end_with(process_t *process, int wanted)
{
    int status;
    char text[16384];
    nffi_process_message_t message;

    while (process_event(process, &message) != NFFI_PROCESS_GONE) {
        /* what it said before */
    }

    CHECK_IS(process_event(process, &message), NFFI_PROCESS_GONE);
    status = process_status(process);

    if (status != wanted) {
        process_read(process->nffi.stderr_fd, text, sizeof(text));
        fprintf(stderr, "%s\n", text);
        text[300] = '\0';
        check_fail(__FILE__, __LINE__, "the runtime ended with status 0x%x, "
                   "not 0x%x: %s", (unsigned) status, (unsigned) wanted, text);
    }

    nffi_process_kill(&process->nffi);
    nffi_process_release(&process->nffi);
    close(process->nffi.stdout_fd);
    close(process->nffi.stderr_fd);
    nffi_host_destroy(process->host);
}


static inline void
process_end(process_t *process)
{
    process_end_with(process, 0);
}


/* No more tasks; the process ends by itself. */
static inline void
process_close(process_t *process)
{
    nffi_host_close(process->host);
    process_end(process);
}


static inline void
process_kill_and_end(process_t *process)
{
    nffi_process_kill(&process->nffi);
    process_end_with(process, SIGKILL);
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


/* A zombie is not. But the first thread is a zombie while other threads still
   end, as ThreadSanitizer's does, and until then the process adopts orphans. */
static inline bool
is_alive(pid_t pid)
{
    char path[64], state;
    struct stat tasks;

    if (parent_of(pid, &state) == 0) {
        return false;
    }

    /* ".", ".." and a directory for each thread */
    snprintf(path, sizeof(path), "/proc/%d/task", (int) pid);

    return state != 'Z' || (stat(path, &tasks) == 0 && tasks.st_nlink > 3);
}


static inline void
await_end(pid_t pid)
{
    long long end = now_ms() + PROCESS_MS;

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

#endif /* PROCESS_H */
