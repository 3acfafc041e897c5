/*
 * test_process_end.c - the end of a runtime process: what the worker collects
 * afterwards, and the end of everything that descends from the process.
 */

#include "process.h"

static int owners[128];

static const nffi_host_options_t small = {
    .max_tasks = 4, .max_queue = 2,
    .request_arena = 64 << 10, .response_arena = 64 << 10
};


/* Roles. */

static void
play_wait(void)
{
    (void) attached();
    pause();
}


/* Responds to every task. */
static void
play_poll(void)
{
    nffi_request_t request;
    nffi_queue_t *queue = attached();

    while (nffi_queue_poll(queue, &request, 1, -1) == 1) {
        CHECK_IS(nffi_respond(request.task, 0, NULL, 0), NFFI_OK);
    }
}


/* Takes what waits and answers none of it. */
static void
play_take(void)
{
    nffi_request_t requests[128];
    nffi_queue_t *queue = attached();

    while (nffi_queue_poll(queue, requests, 128, -1) > 0) {
        /* silent */
    }
}


/* Responds to 100 tasks with different payloads, then ends abruptly. */
static void
play_answer_and_die(void)
{
    int i, n;
    nffi_request_t requests[128];
    static char bytes[20000];
    nffi_queue_t *queue = attached();

    for (i = 0; i < 100; ) {
        n = nffi_queue_poll(queue, requests, 128, -1);
        CHECK(n > 0);

        for ( ; n > 0; n--, i++) {
            CHECK_IS(nffi_respond(requests[n - 1].task, 0, bytes,
                                  sizeof(bytes)), NFFI_OK);
        }
    }

    kill(getpid(), SIGKILL);
}


/* Leaves processes behind that hold whatever they could inherit. */
static void
play_fork(void)
{
    pid_t pid;

    (void) attached();
    pid = fork();
    CHECK(pid != -1);

    if (pid == 0) {
        pid = getpid();
        CHECK_IS(write(STDOUT_FILENO, &pid, sizeof(pid)), sizeof(pid));
        sleep(100);
        _exit(0);
    }

    pause();
}


/* Exits immediately, and leaves one process of its group that holds the
   socket. */
static void
play_leave_one(void)
{
    int pipe_fds[2];
    char byte;

    CHECK_CALL(pipe(pipe_fds));

    if (fork() == 0) {
        CHECK_IS(write(pipe_fds[1], "x", 1), 1);
        pause();
    }

    CHECK_IS(read(pipe_fds[0], &byte, 1), 1);
    pause();
}


/* Leaves a process behind that has left its session, its group and its parent,
   and says its number. */
static void
play_daemon(void)
{
    pid_t pid = fork();

    CHECK(pid != -1);

    if (pid == 0) {
        CHECK_CALL(setsid());

        if (fork() == 0) {
            CHECK_CALL(setsid());
            pid = getpid();
            CHECK_IS(write(STDOUT_FILENO, &pid, sizeof(pid)), sizeof(pid));
            sleep(100);
        }

        _exit(0);
    }

    CHECK_IS(waitpid(pid, NULL, 0), pid);
    (void) attached();
    pause();
}


/* Cases. */

/* Dies with tasks queued, running, in the arena and in memfds. */
static void
dies(void)
{
    int i, before = process_fds(), taken = 0;
    void *owner;
    process_t process;
    nffi_task_t task;
    nffi_host_state_t state;
    nffi_host_response_t response;
    nffi_host_request_t request = { 0 };
    char *bytes = calloc(1, 100000);

    process_start(&process, &(nffi_host_options_t) { .request_arena = 1 },
                  "take");

    for (i = 0; i < 100; i++) {
        process_submit(&process, bytes, i % 3 ? 10 : 100000, "", &owners[i]);
    }

    do {
        nffi_host_state(process.host, &state);
    } while (state.queued > 0);

    nffi_process_kill(&process.nffi);
    nffi_process_kill(&process.nffi);

    while (nffi_host_process_event(process.host,
                                   &(nffi_process_message_t) { 0 })
           != NFFI_PROCESS_GONE)
    {
        process_wait(&process);
    }

    /* a large request notices; a small one waits for no process */
    request.data = bytes;
    request.size = 100000;
    CHECK_IS(nffi_host_submit(process.host, &request, owners, &task),
             NFFI_CLOSED);
    request.size = 10;
    CHECK_IS(nffi_host_submit(process.host, &request, &owners[100], &task),
             NFFI_OK);

    CHECK_IS(nffi_host_collect(process.host, &response, 1), 0);

    while ((owner = nffi_host_take_pending(process.host)) != NULL) {
        CHECK((int *) owner >= owners && (int *) owner <= &owners[100]);
        CHECK_IS(*(int *) owner, 0);
        *(int *) owner = 1;
        taken++;
    }

    CHECK_IS(taken, 101);
    process_end_with(&process, SIGKILL);
    free(bytes);
    CHECK_IS(open_fds(), before);
}


/* Responses from before its death are still delivered, although its memfds are
   more than the worker reads ahead; and its death is reported as well. */
static void
delivers_last_words(void)
{
    int i, before = process_fds(), event;
    long long end = now_ms() + PROCESS_MS;
    process_t process;
    nffi_process_message_t message;
    nffi_host_response_t response;

    process_start(&process, &(nffi_host_options_t) { .response_arena = 1 },
                "answer and die");

    for (i = 0; i < 100; i++) {
        process_submit(&process, NULL, 0, "", &owners[i]);
    }

    while ((event = nffi_host_process_event(process.host, &message))
           != NFFI_PROCESS_GONE)
    {
        CHECK_IS(event, NFFI_PROCESS_NONE);
        CHECK(now_ms() < end);
        usleep(1000);
    }

    CHECK(open_fds() < before + 90);

    for (i = 0; i < 100; i++) {
        response = process_response(&process);
        CHECK_IS(response.size, 20000);
        CHECK_IS(*(int *) response.owner, 0);
        *(int *) response.owner = 1;
        nffi_host_release(process.host, &response);
    }

    CHECK(nffi_host_take_pending(process.host) == NULL);
    process_end_with(&process, SIGKILL);
    CHECK_IS(open_fds(), before);
}


static void
count_message(void *data)
{
    (*(int *) data)++;
}


/* A search for the memfd of a response reads messages before it: their event is
   used up, so the worker is notified of them. Also when it left some unread. */
static void
notifies_of_messages(void)
{
    int i, messages = 0;
    process_t process;
    nffi_process_message_t message;
    nffi_host_response_t response;

    process_open(&process, &(nffi_host_options_t) {
        .response_arena = 1, .message = count_message,
        .message_data = &messages
    });
    process_spawn(&process, "answer and die");

    for (i = 0; i < 100; i++) {
        process_submit(&process, NULL, 0, "", &owners[i]);
    }

    CHECK_IS(process_status(&process), SIGKILL);
    response = process_response(&process);
    nffi_host_release(process.host, &response);
    CHECK_IS(messages, 1);
    CHECK_IS(nffi_host_process_event(process.host, &message),
             NFFI_PROCESS_READY);
    CHECK_IS(nffi_host_process_event(process.host, &message),
             NFFI_PROCESS_GONE);
    response = process_response(&process);
    nffi_host_release(process.host, &response);
    CHECK_IS(messages, 2);

    while (nffi_host_collect(process.host, &response, 1) == 1) {
        nffi_host_release(process.host, &response);
    }

    CHECK_IS(messages, 2);
    CHECK_IS(nffi_host_process_event(process.host, &message),
             NFFI_PROCESS_GONE);
    nffi_process_release(&process.nffi);
    close(process.nffi.stdout_fd);
    close(process.nffi.stderr_fd);
    nffi_host_destroy(process.host);
}


/* Processes that the runtime forked without exec do not hide its death, and
   are killed after the grace period. */
static void
dies_before_its_children(void)
{
    pid_t left;
    process_t process;
    nffi_process_message_t message;

    process_start(&process, &(nffi_host_options_t) { 0 }, "fork");

    while (read(process.nffi.stdout_fd, &left, sizeof(left)) == -1) {
        usleep(1000);
    }

    CHECK_CALL(kill(process.nffi.pid, SIGKILL));
    CHECK_IS(process_event(&process, &message), NFFI_PROCESS_GONE);
    CHECK_IS(process_status(&process), SIGKILL);
    CHECK(is_alive(left));
    nffi_process_release(&process.nffi);
    nffi_host_destroy(process.host);
    await_end(left);
}


static void
again_and_again(void)
{
    int i, before = process_fds();
    process_t process;

    for (i = 0; i < 20; i++) {
        process_start(&process, &(nffi_host_options_t) { 0 }, "wait");
        process_submit(&process, "x", 1, "", owners);
        process_kill_and_end(&process);
        CHECK_IS(open_fds(), before);
    }
}


/* The end of file arrives only when no process holds the socket. */
static void
kills_whole_group(void)
{
    process_t process;

    process_open(&process, &small);
    process_spawn(&process, "leave one");
    CHECK(poll(&(struct pollfd) { .fd = process.nffi.control_fd,
                                  .events = POLLIN }, 1, 100) == 0);
    nffi_process_kill(&process.nffi);
    process_end_with(&process, SIGKILL);
    nffi_process_kill(&process.nffi);
}


static pid_t
read_pid(process_t *process)
{
    pid_t pid;
    struct pollfd pollfd = { .fd = process->nffi.stdout_fd, .events = POLLIN };

    CHECK_IS(poll(&pollfd, 1, PROCESS_MS), 1);
    CHECK_IS(read(process->nffi.stdout_fd, &pid, sizeof(pid)), sizeof(pid));

    return pid;
}


/* However the process ends: its descendants end as well. */
static void
kills_daemons(void)
{
    int way;
    pid_t daemon;
    process_t process;
    nffi_process_message_t message;

    for (way = 0; way < 3; way++) {
        process_start(&process, &small, "daemon");
        daemon = read_pid(&process);
        CHECK(is_alive(daemon));

        switch (way) {
        case 0:
            nffi_process_kill(&process.nffi);
            break;
        case 1:
            CHECK_CALL(kill(process.nffi.pid, SIGKILL));
            break;
        default:
            /* the worker lets go without a word */
            close(process.nffi.keeper_fd);
            process.nffi.keeper_fd = -1;
        }

        CHECK_IS(process_event(&process, &message), NFFI_PROCESS_GONE);
        await_end(daemon);
        nffi_host_destroy(process.host);
    }
}


/* A kill takes all of them and does not wait for the grace period, which begins
   when only the process has ended. One of several rounds shows it: the machine
   may be busy. */
static void
kills_immediately(void)
{
    int round;
    long long begin, fastest = PROCESS_MS;
    pid_t daemon;
    process_t process;

    for (round = 0; round < 5 && fastest >= 700; round++) {
        process_start(&process, &small, "daemon");
        daemon = read_pid(&process);
        begin = now_ms();
        nffi_process_kill(&process.nffi);
        await_end(daemon);
        fastest = now_ms() - begin < fastest ? now_ms() - begin : fastest;
        process_end_with(&process, SIGKILL);
    }

    CHECK(fastest < 700);
}


/* One runtime's end is not another's. */
static void
spares_others(void)
{
    pid_t daemon;
    process_t process, other;

    process_start(&other, &small, "daemon");
    daemon = read_pid(&other);
    process_start(&process, &small, "poll");
    process_kill_and_end(&process);
    usleep(100000);
    CHECK(is_alive(daemon));
    CHECK(is_alive(other.nffi.pid));
    process_kill_and_end(&other);
}


/* The death of the supervisor, or of a keeper, harms no process; both end with
   the worker all the same. */
static void
survives_supervisor(void)
{
    char state;
    pid_t keeper, supervisor;
    process_t process, other;
    nffi_process_report_t report;

    process_start(&process, &small, "poll");
    keeper = parent_of(process.nffi.pid, &state);
    supervisor = parent_of(keeper, &state);
    CHECK_CALL(kill(supervisor, SIGKILL));
    await_end(supervisor);

    /* its socket reports it, even while a keeper lives */
    CHECK_IS(poll(&(struct pollfd) { .fd = start_supervisor_fd,
                                     .events = POLLIN }, 1, PROCESS_MS), 1);
    CHECK(is_alive(process.nffi.pid));
    process_submit(&process, "x", 1, "", owners);
    nffi_host_response_t response = process_response(&process);
    nffi_host_release(process.host, &response);

    /* another one takes its place */
    close(start_supervisor_fd);
    start_supervisor_of = 0;
    process_start(&other, &small, "poll");
    process_kill_and_end(&other);

    CHECK_CALL(kill(keeper, SIGKILL));
    CHECK_IS(start_report(&process.nffi, &report),
             NFFI_PROCESS_GONE);
    process_submit(&process, "x", 1, "", owners);
    response = process_response(&process);
    nffi_host_release(process.host, &response);
    nffi_process_kill(&process.nffi);
    await_end(process.nffi.pid);
    nffi_host_destroy(process.host);
}


int
main(int argc, char **argv)
{
    static const process_role_t roles[] = {
        { "wait", play_wait },
        { "poll", play_poll },
        { "take", play_take },
        { "answer and die", play_answer_and_die },
        { "fork", play_fork },
        { "leave one", play_leave_one },
        { "daemon", play_daemon },
    };
    static const check_case_t cases[] = {
        { "a killed process leaves its tasks to the worker", dies },
        { "what a process answered before its death is delivered",
          delivers_last_words },
        { "a message that was read with a response is reported",
          notifies_of_messages },
        { "a process's forked children do not hide its death",
          dies_before_its_children },
        { "starting and killing leaves nothing behind", again_and_again },
        { "a process group is killed to its last process", kills_whole_group },
        { "a daemon ends with the process that it descends from",
          kills_daemons },
        { "a kill ends all descendants of a process immediately",
          kills_immediately },
        { "the end of one process spares another's daemon", spares_others },
        { "the death of supervisor and keeper harms no process",
          survives_supervisor },
    };

    PROCESS_PLAY(argc, argv, roles);

    return CHECK_MAIN(argc, argv, cases);
}
