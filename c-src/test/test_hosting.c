/*
 * test_hosting.c - how a child process is hosted: its limits, its priority and
 * its user, signs of life, and the end of all that belongs to its session.
 */

#include "child.h"
#include "pair.h"

#include <sys/resource.h>

static int owner;

static const nffi_host_options_t small = {
    .max_tasks = 4, .max_queue = 2,
    .request_arena = 64 << 10, .response_arena = 64 << 10
};


/* Roles. */

static void
play_look(void)
{
    int signal_number;
    struct rlimit files, core;
    gid_t groups[8];

    CHECK_CALL(getrlimit(RLIMIT_NOFILE, &files));
    CHECK_CALL(getrlimit(RLIMIT_CORE, &core));
    CHECK_CALL(prctl(PR_GET_PDEATHSIG, &signal_number));
    printf("files %d core %d nice %d uid %d gid %d groups %d death %d\n",
           (int) files.rlim_max, (int) core.rlim_cur,
           getpriority(PRIO_PROCESS, 0), (int) getuid(), (int) getgid(),
           getgroups(8, groups), signal_number);
    fflush(stdout);
}


static nffi_queue_t *
attached(void)
{
    nffi_queue_t *queue;

    CHECK_IS(nffi_attach(&queue), NFFI_OK);
    CHECK_IS(nffi_attach_ready(queue), NFFI_OK);

    return queue;
}


/* Polls; the task "stop" makes it stop doing so for good. */
static void
play_poll(void)
{
    nffi_request_t request;
    nffi_queue_t *queue = attached();

    while (nffi_queue_poll(queue, &request, 1, -1) == 1) {
        if (request.size == 4) {
            pause();
        }

        CHECK_IS(nffi_respond(request.task, 0, NULL, 0), NFFI_OK);
    }
}


/* Ends at once, and leaves one of its session that holds the socket. */
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


static int
try_with(child_t *child, const nffi_spawn_options_t *more, const char **stage)
{
    char *argv[] = { "runtime", CHILD_ROLE, "look", NULL };
    char *envp[] = { NULL };
    nffi_spawn_options_t spawn = *more;

    spawn.program = "/proc/self/exe";
    spawn.argv = argv;
    spawn.envp = envp;

    return nffi_host_spawn(child->host, &spawn, &child->process, stage);
}


static void
look_with(const nffi_spawn_options_t *more, char *text, size_t size)
{
    child_t child;
    const char *stage;

    child_open(&child, &small);

    if (try_with(&child, more, &stage) != NFFI_OK) {
        check_fail(__FILE__, __LINE__, "spawn failed in %s: %s", stage,
                   strerror(errno));
    }

    child_read(child.process.stdout_fd, text, size);
    child_end(&child);
}


static void
sets_limits_and_nice(void)
{
    char text[256];
    const nffi_spawn_limit_t limits[] = {
        { RLIMIT_NOFILE, 100 }, { RLIMIT_CORE, 0 }
    };
    const nffi_spawn_options_t options = {
        .nice = 7, .limits = limits, .limits_count = 2
    };

    look_with(&options, text, sizeof(text));
    CHECK(strstr(text, "files 100 core 0 nice 7 ") != NULL);
    CHECK(strstr(text, " death 9\n") != NULL);
}


static void
changes_user(void)
{
    char text[256];
    const gid_t groups[] = { 4242, 4243 };
    const nffi_spawn_user_t user = { 12345, 4242, groups, 2 };
    const nffi_spawn_options_t options = { .nice = -3, .user = &user };

    if (getuid() != 0) {
        check_skip("wants root");
    }

    look_with(&options, text, sizeof(text));
    CHECK(strstr(text, "nice -3 uid 12345 gid 4242 groups 2") != NULL);

    /* a change of the user makes the kernel forget it */
    CHECK(strstr(text, " death 9\n") != NULL);
}


static void
names_what_is_refused(void)
{
    child_t child;
    const char *stage;
    const nffi_spawn_limit_t too_many = { RLIMIT_NOFILE, 1ull << 40 };
    const nffi_spawn_user_t root = { 0, 0, NULL, 0 };

    child_open(&child, &small);
    CHECK_IS(try_with(&child, &(nffi_spawn_options_t) {
        .limits = &too_many, .limits_count = 1 }, &stage), NFFI_SYSTEM);
    CHECK_IS(strcmp(stage, "setrlimit"), 0);
    CHECK_IS(errno, EPERM);

    if (getuid() == 0) {
        CHECK_CALL(seteuid(12345));
    }

    CHECK_IS(try_with(&child, &(nffi_spawn_options_t) { .user = &root },
                      &stage), NFFI_SYSTEM);
    CHECK_IS(strcmp(stage, "setuid"), 0);
    CHECK_IS(errno, EPERM);

    if (getuid() == 0) {
        CHECK_CALL(seteuid(0));
    }

    nffi_host_destroy(child.host);
}


static void
ping_is_nobodys_task(void)
{
    pair_t pair;
    uint32_t before, waiting;
    nffi_request_t request;
    nffi_host_response_t response;

    pair_open(&pair, &small);
    before = nffi_host_taken(pair.host, &waiting);
    CHECK_IS(waiting, 0);

    /* at most one is under way, and it takes nobody's place */
    CHECK_IS(nffi_host_ping(pair.host), NFFI_OK);
    CHECK_IS(nffi_host_ping(pair.host), NFFI_OK);
    CHECK_IS(nffi_host_taken(pair.host, &waiting), before);
    CHECK_IS(waiting, 1);
    CHECK_IS(pair_state(&pair).unanswered, 0);
    pair_submit(&pair, "a", 1, &owner);
    pair_submit(&pair, "b", 1, &owner);

    /* whoever polls takes it and does not see it */
    CHECK_IS(nffi_queue_poll(pair.queue, &request, 1, 0), 1);
    CHECK_IS(request.size, 1);
    CHECK_IS(nffi_host_taken(pair.host, &waiting), before + 2);
    CHECK_IS(nffi_respond(request.task, 0, NULL, 0), NFFI_OK);
    CHECK_IS(nffi_host_drain(pair.host, &response, 1), 1);
    CHECK(response.owner == &owner);
    nffi_host_release(pair.host, &response);

    /* a task that waits tells as much as a ping */
    CHECK_IS(nffi_host_ping(pair.host), NFFI_OK);
    CHECK_IS(nffi_host_taken(pair.host, &waiting), before + 2);
    CHECK_IS(waiting, 1);
    request = pair_take(&pair);
    CHECK_IS(nffi_respond(request.task, 0, NULL, 0), NFFI_OK);
    CHECK_IS(nffi_host_drain(pair.host, &response, 1), 1);
    nffi_host_release(pair.host, &response);
    pair_check_idle(&pair);

    /* one that is under way when the queue closes is taken, too */
    CHECK_IS(nffi_host_ping(pair.host), NFFI_OK);
    nffi_host_close(pair.host);
    CHECK_IS(nffi_host_ping(pair.host), NFFI_CLOSED);
    CHECK_IS(nffi_queue_poll(pair.queue, &request, 1, 0), NFFI_CLOSED);
    CHECK_IS(nffi_host_drain(pair.host, &response, 1), 0);
    pair_check_idle(&pair);
    pair_close(&pair);
}


static void
ping_tells_who_hangs(void)
{
    child_t child;
    uint32_t taken, waiting;
    long long end = now_ms() + CHILD_MS;

    child_start(&child, &small, "poll");
    taken = nffi_host_taken(child.host, &waiting);
    CHECK_IS(nffi_host_ping(child.host), NFFI_OK);

    while (nffi_host_taken(child.host, &waiting) == taken) {
        CHECK(now_ms() < end);
        child_wait(&child);
    }

    child_submit(&child, "stop", 4, "", &owner);

    while (nffi_host_taken(child.host, &waiting) == taken + 1) {
        CHECK(now_ms() < end);
        child_wait(&child);
    }

    nffi_host_response_t response;
    CHECK_IS(nffi_host_drain(child.host, &response, 1), 0);
    CHECK_IS(nffi_host_ping(child.host), NFFI_OK);
    child_wait(&child);
    child_wait(&child);
    CHECK_IS(nffi_host_taken(child.host, &waiting), taken + 2);
    CHECK_IS(waiting, 1);
    child_kill_and_end(&child);
}


/* The end of file comes only when nobody holds the socket any more. */
static void
kills_whole_session(void)
{
    child_t child;

    child_open(&child, &small);
    child_spawn(&child, "leave one");
    CHECK(poll(&(struct pollfd) { .fd = child.process.control_fd,
                                  .events = POLLIN }, 1, 100) == 0);
    nffi_child_kill_session(&child.process);
    child_end_with(&child, SIGKILL);

    /* once it is reaped its number may be another's */
    nffi_child_kill_session(&child.process);
}


int
main(int argc, char **argv)
{
    static const child_role_t roles[] = {
        { "look", play_look },
        { "poll", play_poll },
        { "leave one", play_leave_one },
    };
    static const check_case_t cases[] = {
        { "limits and priority are those asked for", sets_limits_and_nice },
        { "user and groups change, death with the worker stays",
          changes_user },
        { "a limit or a user that is refused is named", names_what_is_refused },
        { "a ping is nobody's task", ping_is_nobodys_task },
        { "a ping tells a process that hangs", ping_tells_who_hangs },
        { "a session is killed to its last process", kills_whole_session },
    };

    CHILD_PLAY(argc, argv, roles);

    return CHECK_MAIN(argc, argv, cases);
}
