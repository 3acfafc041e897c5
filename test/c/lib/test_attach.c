/*
 * test_attach.c - a runtime in a process: attaching, payloads of all sizes both
 * ways, cancellations and its errors.
 */

#include "process.h"
#include "pair.h"

#include <sys/wait.h>

static int owners[4];


/* Roles: what the process does. */

/* Answers each request with its own bytes, in the way its method names. */
static void
echo_one(const nffi_request_t *request)
{
    char *copy;
    int way = request->method_size > 0 ? request->method[0] : 'c';

    switch (way) {

    case 'b':
        copy = nffi_response_alloc(request->task, request->size + 1);
        CHECK(copy != NULL);
        memcpy(copy, request->data, request->size);
        CHECK_IS(nffi_respond_buffer(request->task, 0, copy, request->size),
                 NFFI_OK);
        return;

    case 'o':
        copy = malloc(request->size + 1);
        memcpy(copy, request->data, request->size);
        CHECK_IS(nffi_respond_owned(request->task, 0, copy, request->size,
                                    free), NFFI_OK);
        return;

    case 'e':
        CHECK_IS(nffi_respond_error(request->task, "failed", 6, request->data,
                                    request->size), NFFI_OK);
        return;

    default:
        CHECK_IS(nffi_respond(request->task, 0, request->data, request->size),
                 NFFI_OK);
    }
}


static void
play_echo(void)
{
    int i, n, before = open_fds();
    nffi_request_t requests[64];
    nffi_queue_t *queue = attached();

    while ((n = nffi_queue_poll(queue, requests, 64, -1)) > 0) {
        for (i = 0; i < n; i++) {
            echo_one(&requests[i]);
        }
    }

    /* without the memory's */
    CHECK_IS(n, NFFI_CLOSED);
    CHECK_IS(open_fds(), before - 1);
}


static void
play_armed_echo(void)
{
    int i, n;
    nffi_request_t requests[64];
    nffi_queue_t *queue = attached();
    struct pollfd pollfd = { .fd = nffi_queue_fd(queue), .events = POLLIN };

    for ( ;; ) {
        while ((n = nffi_queue_poll(queue, requests, 64, 0)) > 0) {
            for (i = 0; i < n; i++) {
                echo_one(&requests[i]);
            }
        }

        if (n == NFFI_CLOSED) {
            return;
        }

        if (nffi_queue_arm(queue) == 0) {
            CHECK_IS(poll(&pollfd, 1, -1), 1);
        }
    }
}


/* Waits for the cancellation of its one task, then for the end. */
static void
play_cancelled(void)
{
    nffi_task_t notified;
    nffi_request_t request;
    nffi_queue_t *queue = attached();

    CHECK_IS(nffi_queue_poll(queue, &request, 1, -1), 1);

    while (nffi_queue_cancelled(queue, &notified, 1) == 0) {
        usleep(1000);
    }

    CHECK(notified == request.task);
    CHECK_IS(nffi_task_cancelled(notified), 1);
    CHECK_IS(nffi_respond(notified, 0, "late", 4), NFFI_OK);
    CHECK_IS(nffi_queue_poll(queue, &request, 1, -1), NFFI_CLOSED);
}


static void
play_failed(void)
{
    char text[5000];
    nffi_queue_t *queue;

    CHECK_IS(nffi_attach(&queue), NFFI_OK);
    memset(text, 't', sizeof(text));
    CHECK_IS(nffi_attach_failed(queue, NULL, 1), NFFI_INVALID);
    CHECK_IS(nffi_attach_failed(queue, "no module", 9), NFFI_OK);
    CHECK_IS(nffi_attach_failed(queue, NULL, 0), NFFI_OK);
    CHECK_IS(nffi_attach_failed(queue, text, sizeof(text)), NFFI_OK);
}


static void
play_mismatch(void)
{
    nffi_queue_t *queue;

    CHECK_IS(nffi_attach(&queue), NFFI_ABI_MISMATCH);
}


/* Attaches in vain: nothing was handed over, or not to this process. */
static void
play_twice(void)
{
    nffi_queue_t *queue;

    CHECK_IS(nffi_attach(NULL), NFFI_INVALID);
    (void) attached();
    CHECK_IS(nffi_attach(&queue), NFFI_NOT_A_PROCESS);
    setenv(NFFI__ATTACH_ENV, "1", 1);
    CHECK_IS(nffi_attach(&queue), NFFI_NOT_A_PROCESS);
}


/* Closes the fixed numbers, reuses them for something else, and forks: the
   numbers then belong to the process. */
static void
check_nested_fork(void)
{
    int fd, status;
    pid_t pid;

    for (fd = NFFI__FD_TASKS; fd <= NFFI__FD_CONTROL; fd++) {
        CHECK_IS(fcntl(fd, F_GETFD), -1);
        CHECK_CALL(dup2(STDERR_FILENO, fd));
    }

    pid = fork();
    CHECK(pid != -1);

    if (pid == 0) {
        for (fd = NFFI__FD_TASKS; fd <= NFFI__FD_CONTROL; fd++) {
            CHECK(fcntl(fd, F_GETFD) != -1);
        }

        /* nor does a third generation lose them */
        pid = fork();
        CHECK(pid != -1);

        if (pid == 0) {
            _exit(fcntl(NFFI__FD_CONTROL, F_GETFD) == -1);
        }

        CHECK_IS(waitpid(pid, &status, 0), pid);
        _exit(status != 0);
    }

    CHECK_IS(waitpid(pid, &status, 0), pid);
    CHECK_IS(status, 0);
}


static void
play_fork_twice(void)
{
    int i, status;
    pid_t pid;

    (void) attached();

    for (i = 0; i < 2; i++) {
        pid = fork();
        CHECK(pid != -1);

        if (pid == 0) {
            check_nested_fork();
            _exit(0);
        }

        CHECK_IS(waitpid(pid, &status, 0), pid);
        CHECK_IS(status, 0);
    }

    CHECK(fcntl(NFFI__FD_CONTROL, F_GETFD) != -1);
}


/* Cases. */

static unsigned char *
pattern(size_t size, unsigned seed)
{
    size_t i;
    unsigned char *bytes = malloc(size + 1);

    for (i = 0; i < size; i += 97) {
        bytes[i] = (unsigned char) (i / 97 * 7 + seed);
    }

    return bytes;
}


static void
echoes(const char *role)
{
    int i, before = process_fds();
    process_t process;
    char text[32];
    nffi_host_response_t response;
    static const char *methods[] = { "copy", "buffer", "owned", "error", "" };

    process_start(&process, &(nffi_host_options_t) { 0 }, role);

    for (i = 0; i < 1000; i++) {
        snprintf(text, sizeof(text), "request %d", i);
        process_submit(&process, text, strlen(text), methods[i % 5], owners);
        response = process_response(&process);
        CHECK(response.owner == owners);
        CHECK_IS(response.flags, i % 5 == 3 ? NFFI_HOST_ERROR : 0);
        CHECK_IS(response.message_size, i % 5 == 3 ? 6 : 0);
        CHECK_BYTES((const char *) response.data + response.message_size,
                    response.size - response.message_size, text, strlen(text));
        nffi_host_release(process.host, &response);
    }

    process_submit(&process, NULL, 0, "", owners);
    response = process_response(&process);
    CHECK_IS(response.size, 0);
    nffi_host_release(process.host, &response);

    process_close(&process);
    CHECK_IS(open_fds(), before);
}


static void
echoes_blocking(void)
{
    echoes("echo");
}


static void
echoes_armed(void)
{
    echoes("armed echo");
}


static void
echoes_large(void)
{
    int i, before = process_fds();
    size_t size;
    process_t process;
    unsigned char *bytes = pattern(CHECK_HUGE, 1);
    nffi_host_response_t response;
    static const char *methods[] = { "copy", "buffer", "owned" };

    process_start(&process, &(nffi_host_options_t) { 0 }, "echo");

    for (i = 0; i < 9; i++) {
        size = i < 6 ? (size_t) 1 << 20 : CHECK_HUGE;
        process_submit(&process, bytes, size, methods[i % 3], owners);
        response = process_response(&process);
        CHECK(response.owner == owners);
        CHECK_IS(response.size, size);
        CHECK(memcmp(response.data, bytes, size) == 0);
        nffi_host_release(process.host, &response);
    }

    free(bytes);
    process_close(&process);
    CHECK_IS(open_fds(), before);
}


/* Many concurrent calls, of all sizes: arena, memfd and a full queue in
   between. */
static void
echoes_many(void)
{
    int sent = 0, answered = 0, number, rc, total = CHECK_SCALE(4000) + 400;
    process_t process;
    nffi_task_t task;
    unsigned char *bytes = pattern(200000, 2);
    nffi_host_request_t request = { .method = "copy", .method_size = 4 };
    nffi_host_response_t response;
    int *numbers = calloc((size_t) total, sizeof(int));

    process_start(&process, &(nffi_host_options_t) {
        .request_arena = 256 << 10, .response_arena = 256 << 10
    }, "echo");

    while (answered < total) {
        while (sent < total) {
            numbers[sent] = sent;
            request.data = bytes + sent % 1000;
            request.size = (size_t) sent * 7919 % (sent % 10 ? 3000 : 100000);
            rc = nffi_host_submit(process.host, &request, &numbers[sent],
                                  &task);

            if (rc != NFFI_OK) {
                CHECK_IS(rc, NFFI_QUEUE_FULL);
                break;
            }

            sent++;
        }

        response = process_response(&process);
        number = *(int *) response.owner;
        CHECK_BYTES(response.data, response.size, bytes + number % 1000,
                    (size_t) number * 7919 % (number % 10 ? 3000 : 100000));
        nffi_host_release(process.host, &response);
        answered++;
    }

    free(bytes);
    free(numbers);
    process_close(&process);
}


/* Tasks queued before the process has attached are served. */
static void
serves_early(void)
{
    int i;
    process_t process;
    nffi_host_response_t response;
    unsigned char *bytes = pattern(1 << 20, 3);

    process_open(&process, &(nffi_host_options_t) { 0 });
    process_submit(&process, "before", 6, "", &owners[0]);
    process_spawn(&process, "echo");
    process_submit(&process, bytes, 1 << 20, "", &owners[1]);
    nffi_host_close(process.host);

    for (i = 0; i < 2; i++) {
        response = process_response(&process);
        CHECK(response.owner == &owners[i]);
        CHECK_IS(response.size, i == 0 ? 6 : 1 << 20);
        nffi_host_release(process.host, &response);
    }

    free(bytes);
    process_end(&process);
}


static void
reports_cancelled(void)
{
    process_t process;
    nffi_task_t task;
    nffi_host_state_t state;
    nffi_host_response_t response;
    long long end = now_ms() + PROCESS_MS;

    process_start(&process, &(nffi_host_options_t) { 0 }, "cancelled");
    task = process_submit(&process, "x", 1, "", owners);

    do {
        usleep(1000);
        nffi_host_state(process.host, &state);
        CHECK(now_ms() < end);
    } while (state.queued > 0);

    usleep(10000);
    nffi_host_cancel(process.host, task);

    do {
        CHECK_IS(nffi_host_collect(process.host, &response, 1), 0);
        nffi_host_state(process.host, &state);
        CHECK(now_ms() < end);
    } while (state.unanswered > 0);

    process_close(&process);
}


static void
reports_failure(void)
{
    process_t process;
    nffi_process_message_t message;

    process_open(&process, &(nffi_host_options_t) { 0 });
    process_spawn(&process, "failed");
    CHECK_IS(process_event(&process, &message), NFFI_PROCESS_FAILED);
    CHECK_BYTES(message.text, message.size + 1, "no module", 10);
    CHECK_IS(process_event(&process, &message), NFFI_PROCESS_FAILED);
    CHECK_BYTES(message.text, message.size + 1, "", 1);
    CHECK_IS(process_event(&process, &message), NFFI_PROCESS_FAILED);
    CHECK(message.size > 1000 && message.size < sizeof(message.text));
    CHECK_IS(message.text[message.size - 1], 't');
    CHECK_IS(message.text[message.size], '\0');
    process_end(&process);
}


static void
reports_mismatch(void)
{
    process_t process;
    nffi_process_message_t message;

    process_open(&process, &(nffi_host_options_t) { 0 });
    process.host->region.header->abi = NFFI__REGION_ABI + 1;
    process_spawn(&process, "mismatch");
    CHECK_IS(process_event(&process, &message), NFFI_PROCESS_ABI_MISMATCH);
    CHECK_IS(message.abi, NFFI__REGION_ABI);
    CHECK_IS(message.host_abi, NFFI__REGION_ABI);
    process_end(&process);
}


static void
attaches_once(void)
{
    process_t process;

    process_start(&process, &(nffi_host_options_t) { 0 }, "twice");
    process_end(&process);
}


static void
not_a_process(void)
{
    int fd;
    nffi_queue_t *queue;

    unsetenv(NFFI__ATTACH_ENV);
    CHECK_IS(nffi_attach(&queue), NFFI_NOT_A_PROCESS);
    setenv(NFFI__ATTACH_ENV, "", 1);
    CHECK_IS(nffi_attach(&queue), NFFI_NOT_A_PROCESS);

    /* the variable was set, but no descriptor was passed */
    for (fd = NFFI__FD_MEMORY; fd <= NFFI__FD_CONTROL; fd++) {
        close(fd);
    }

    setenv(NFFI__ATTACH_ENV, "1", 1);
    CHECK_IS(nffi_attach(&queue), NFFI_NOT_A_PROCESS);

    while ((fd = open("/dev/null", O_RDONLY)) < NFFI__FD_CONTROL) {
        CHECK(fd != -1);
    }

    setenv(NFFI__ATTACH_ENV, "1", 1);
    CHECK_IS(nffi_attach(&queue), NFFI_PROTOCOL);
    CHECK_IS(nffi_attach_ready(NULL), NFFI_INVALID);
    CHECK_IS(nffi_attach_failed(NULL, "x", 1), NFFI_INVALID);
}


static void
forks_in_generations(void)
{
    process_t process;

    process_start(&process, &(nffi_host_options_t) { 0 }, "fork twice");
    process_end(&process);
}


int
main(int argc, char **argv)
{
    static const process_role_t roles[] = {
        { "echo", play_echo },
        { "armed echo", play_armed_echo },
        { "cancelled", play_cancelled },
        { "failed", play_failed },
        { "mismatch", play_mismatch },
        { "twice", play_twice },
        { "fork twice", play_fork_twice },
    };
    static const check_case_t cases[] = {
        { "a process echoes, and ends at close", echoes_blocking },
        { "a process with an event loop echoes", echoes_armed },
        { "a process echoes 1 MB and 64 MB", echoes_large },
        { "a process echoes many at once of all sizes", echoes_many },
        { "a process serves what was queued before it came", serves_early },
        { "a process is notified of a cancellation", reports_cancelled },
        { "a process says why it could not start", reports_failure },
        { "a mismatch of the ABI names the version", reports_mismatch },
        { "a process attaches once", attaches_once },
        { "who was handed nothing cannot attach", not_a_process },
        { "forks of its forks keep their own descriptors",
          forks_in_generations },
    };

    PROCESS_PLAY(argc, argv, roles);

    return CHECK_MAIN(argc, argv, cases);
}
