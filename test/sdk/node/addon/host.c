/*
 * host.c - plays the worker: starts a runtime as a child process over the real
 * libnffi, and does what lines on stdin say (see host.ts, which writes them):
 *
 *   call ID METHOD|- TIMEOUT_MS BYTES    BYTES: hex, or *N: a pattern of N
 *   cancel ID
 *   close
 *   state
 *
 * It reports events as lines on stdout:
 *
 *   pid N | ready | failed HEX | abi N | gone | spawn STAGE ERRNO
 *   answer ID RC BYTES | error ID HEX HEX | refused ID NAME
 *   out HEX | err HEX                    what the runtime printed
 *   state QUEUED UNANSWERED AWAITED REFUSED
 *
 * BYTES of an answer: hex, or #N when it is long (`#N!` when it is not the
 * pattern of N bytes).
 *
 *   host CONFIG PROGRAM ARGUMENT...      the environment is passed on, but for
 *                                        NFFI_SUPERVISOR, the path of that
 */

#define _GNU_SOURCE

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../../../c/lib/start.h"
#include "host/nffi_host.h"

#define CALLS 100000          /* an owner is the number of the call, from 1 */
#define LONG_ANSWER 4096

extern char **environ;

static nffi_host_t *host;
static nffi_process_t child;
static nffi_task_t tasks[CALLS];


static void
print_hex(const void *data, size_t size)
{
    size_t i;
    const unsigned char *bytes = data;

    putchar(' ');

    for (i = 0; i < size; i++) {
        printf("%02x", bytes[i]);
    }
}


static unsigned char
pattern_byte(size_t i)
{
    return (unsigned char) (i * 31 + (i >> 8) * 7 + (i >> 16));
}


static unsigned char *
make_bytes(const char *text, size_t *size)
{
    size_t i;
    unsigned char *bytes;
    unsigned byte;

    if (text[0] == '*') {
        *size = strtoull(text + 1, NULL, 10);
        bytes = malloc(*size + 1);

        for (i = 0; i < *size; i++) {
            bytes[i] = pattern_byte(i);
        }

        return bytes;
    }

    *size = strlen(text) / 2;
    bytes = malloc(*size + 1);

    for (i = 0; i < *size; i++) {
        sscanf(text + 2 * i, "%2x", &byte);
        bytes[i] = (unsigned char) byte;
    }

    return bytes;
}


static bool
is_pattern(const unsigned char *bytes, size_t size)
{
    size_t i;

    for (i = 0; i < size; i++) {
        if (bytes[i] != pattern_byte(i)) {
            return false;
        }
    }

    return true;
}


static uint64_t
deadline_after(long ms)
{
    struct timespec now;

    if (ms == 0) {
        return 0;
    }

    clock_gettime(CLOCK_MONOTONIC, &now);

    return (uint64_t) now.tv_sec * 1000000000 + (uint64_t) now.tv_nsec
           + (uint64_t) ms * 1000000;
}


static void
submit(size_t id, const char *method, long timeout, const char *text,
    uint32_t window)
{
    int code;
    unsigned char *bytes;
    nffi_host_request_t request = { 0 };

    bytes = make_bytes(text, &request.size);
    request.data = bytes;
    request.deadline_ns = deadline_after(timeout);
    request.window = window;

    if (strcmp(method, "-") != 0) {
        request.method = method;
        request.method_size = strlen(method);
    }

    code = nffi_host_submit(host, &request, (void *) id, &tasks[id]);
    free(bytes);

    if (code != NFFI_OK) {
        printf("refused %zu %s\n", id, nffi_error_name(code));
    }
}


static void
obey(char *line)
{
    char *word[5];
    int words = 0;
    nffi_host_state_t state;

    for (word[0] = strtok(line, " \n"); words < 5 && word[words] != NULL;) {
        words++;
        if (words < 5) {
            word[words] = strtok(NULL, " \n");
        }
    }

    if (words >= 4 && strcmp(word[0], "call") == 0) {
        submit(strtoull(word[1], NULL, 10), word[2], atol(word[3]),
               words == 5 ? word[4] : "", 0);

    } else if (words >= 4 && strcmp(word[0], "stream") == 0) {
        submit(strtoull(word[1], NULL, 10), word[2], 0,
               words == 5 ? word[4] : "", (uint32_t) atol(word[3]));

    } else if (words == 3 && strcmp(word[0], "credit") == 0) {
        nffi_host_credit(host, tasks[strtoull(word[1], NULL, 10)],
                         strtoull(word[2], NULL, 10));

    } else if (words == 2 && strcmp(word[0], "cancel") == 0) {
        nffi_host_cancel(host, tasks[strtoull(word[1], NULL, 10)]);

    } else if (words == 1 && strcmp(word[0], "close") == 0) {
        nffi_host_close(host);

    } else if (words == 1 && strcmp(word[0], "state") == 0) {
        nffi_host_state(host, &state);
        printf("state %u %u %u %llu\n", state.queued, state.unanswered,
               state.awaited, (unsigned long long) state.refused);
    }
}


static void
print_response(nffi_host_response_t *response)
{
    size_t id = (size_t) response->owner;
    const unsigned char *data = response->data;

    if (id == 0) {
        return;
    }

    if (response->flags & NFFI_HOST_ERROR) {
        printf("error %zu", id);
        print_hex(data, response->message_size);
        print_hex(data + response->message_size,
                  response->size - response->message_size);

    } else if (response->flags & NFFI_HOST_END) {
        printf("end %zu", id);

    } else {
        printf("%s %zu %d",
               response->flags & NFFI_HOST_CHUNK ? "chunk" : "answer", id,
               response->rc);

        if (response->size <= LONG_ANSWER) {
            print_hex(data, response->size);

        } else {
            printf(" #%zu%s", response->size,
                   is_pattern(data, response->size) ? "" : "!");
        }
    }

    putchar('\n');
}


static void
print_logs(void)
{
    nffi_host_log_t log;

    while (nffi_host_log(host, &log) == 1) {
        printf("log %zu %d", (size_t) log.owner, log.level);
        print_hex(log.text, log.size);
        putchar('\n');
    }
}


static void
collect(void)
{
    int count, i;
    uint64_t ignored;
    nffi_host_response_t responses[64];

    if (read(child.done_fd, &ignored, sizeof(ignored)) == -1
        && errno != EAGAIN)
    {
        exit(1);
    }

    do {
        print_logs();

        while ((count = nffi_host_collect(host, responses, 64)) > 0) {
            for (i = 0; i < count; i++) {
                print_response(&responses[i]);
                nffi_host_release(host, &responses[i]);
            }
        }

        if (count < 0) {
            printf("broken %s\n", nffi_error_name(count));
            exit(1);
        }

    } while (nffi_host_park(host) == 1);
}


/* Returns false when the child has exited. */
static bool
print_messages(void)
{
    nffi_process_message_t message;

    for ( ;; ) {
        switch (nffi_host_process_event(host, &message)) {

        case NFFI_PROCESS_READY:
            printf("ready\n");
            break;

        case NFFI_PROCESS_FAILED:
            printf("failed");
            print_hex(message.text, strlen(message.text));
            putchar('\n');
            break;

        case NFFI_PROCESS_ABI_MISMATCH:
            printf("abi %u\n", message.abi);
            break;

        case NFFI_PROCESS_GONE:
            printf("gone\n");
            return false;

        default:
            return true;
        }
    }
}


/* Returns false at the end of the pipe. */
static bool
print_output(const char *name, int fd)
{
    ssize_t size;
    char bytes[65536];

    size = read(fd, bytes, sizeof(bytes));

    if (size > 0) {
        fputs(name, stdout);
        print_hex(bytes, (size_t) size);
        putchar('\n');
    }

    return size > 0 || (size == -1 && (errno == EAGAIN || errno == EINTR));
}


static void
serve(void)
{
    size_t size, used = 0, capacity = 1 << 20;
    ssize_t got;
    char *text = malloc(capacity), *line, *newline;
    struct pollfd fds[] = {
        { STDIN_FILENO, POLLIN, 0 }, { child.done_fd, POLLIN, 0 },
        { child.control_fd, POLLIN, 0 }, { child.stdout_fd, POLLIN, 0 },
        { child.stderr_fd, POLLIN, 0 },
    };

    collect();

    for ( ;; ) {
        fflush(stdout);
        (void) poll(fds, 5, -1);

        if (fds[1].revents) {
            collect();
        }

        if (fds[2].revents && !print_messages()) {
            fds[2].fd = -1;
        }

        if (fds[3].revents && !print_output("out", child.stdout_fd)) {
            fds[3].fd = -1;
        }

        if (fds[4].revents && !print_output("err", child.stderr_fd)) {
            fds[4].fd = -1;
        }

        if (!fds[0].revents) {
            continue;
        }

        if (capacity - used < 65536) {
            capacity *= 2;
            text = realloc(text, capacity);
        }

        got = read(STDIN_FILENO, text + used, 65536);

        if (got <= 0) {
            break;
        }

        used += (size_t) got;

        for (line = text;
             (newline = memchr(line, '\n', used - (size_t) (line - text)));
             line = newline + 1)
        {
            *newline = '\0';
            obey(line);
        }

        size = (size_t) (line - text);
        used -= size;
        memmove(text, line, used);
    }

    free(text);
}


int
main(int argc, char **argv)
{
    int code;
    const char *stage = "";
    nffi_host_options_t options = { .process = 1 };
    nffi_spawn_options_t spawn = { 0 };

    char supervisor[4096];

    if (argc < 3 || getenv("NFFI_SUPERVISOR") == NULL) {
        return 2;
    }

    snprintf(supervisor, sizeof(supervisor), "%s", getenv("NFFI_SUPERVISOR"));
    unsetenv("NFFI_SUPERVISOR");
    options.config = argv[1];
    options.config_size = strlen(argv[1]);

    if (nffi_host_create(&host, &options) != NFFI_OK) {
        return 3;
    }

    spawn.programs = (char *[]) { argv[2], NULL };
    spawn.argv = argv + 2;
    spawn.envp = environ;
    code = start_process(supervisor, host, &spawn, &child,
                         &stage);

    if (code != NFFI_OK) {
        printf("spawn %s %d\n", stage, errno);
        return 0;
    }

    printf("pid %d\n", (int) child.pid);
    serve();
    nffi_process_kill(&child);

    return 0;
}
