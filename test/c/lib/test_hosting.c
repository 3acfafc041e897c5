/*
 * test_hosting.c - how a runtime process is hosted: its limits, its priority
 * and its user, signs of life, and the requests of starts to the supervisor.
 */

#include "process.h"
#include "host/launch.h"
#include "pair.h"

#include <pwd.h>
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
    struct rlimit files, core;
    gid_t groups[8];

    CHECK_CALL(getrlimit(RLIMIT_NOFILE, &files));
    CHECK_CALL(getrlimit(RLIMIT_CORE, &core));
    printf("files %d core %d nice %d uid %d gid %d groups %d\n",
           (int) files.rlim_max, (int) core.rlim_cur,
           getpriority(PRIO_PROCESS, 0), (int) getuid(), (int) getgid(),
           getgroups(8, groups));
    fflush(stdout);
}


/* Polls; the task "stop" makes it stop polling permanently. */
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


static int
try_with(process_t *process, const nffi_spawn_options_t *more,
    const char **stage)
{
    char *argv[] = { "runtime", PROCESS_ROLE, "look", NULL };
    char *envp[] = { NULL }, *programs[] = { process_program(), NULL };
    nffi_spawn_options_t spawn = *more;

    spawn.programs = programs;
    spawn.argv = argv;
    spawn.envp = envp;

    return start_process(SUPERVISOR, process->host, &spawn, &process->nffi,
                         stage);
}


static void
look_with(const nffi_spawn_options_t *more, char *text, size_t size)
{
    process_t process;
    const char *stage;

    process_open(&process, &small);

    if (try_with(&process, more, &stage) != NFFI_OK) {
        check_fail(__FILE__, __LINE__, "spawn failed in %s: %s", stage,
                   strerror(errno));
    }

    process_read(process.nffi.stdout_fd, text, size);
    process_end(&process);
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
}


static void
changes_user(void)
{
    char text[256], wanted[64];
    struct passwd *nobody = getpwnam("nobody");
    const nffi_spawn_options_t options = { .nice = -3, .user = "nobody" };

    if (getuid() != 0 || nobody == NULL) {
        check_skip("requires root and the user nobody");
    }

    look_with(&options, text, sizeof(text));
    snprintf(wanted, sizeof(wanted), "nice -3 uid %d gid %d groups 1",
             (int) nobody->pw_uid, (int) nobody->pw_gid);
    CHECK(strstr(text, wanted) != NULL);
}


static void
fails_with(const nffi_spawn_options_t *options, const char *wanted, int number)
{
    process_t process;
    const char *stage;

    process_open(&process, &small);
    CHECK_IS(try_with(&process, options, &stage), NFFI_SYSTEM);
    CHECK_IS(errno, number);
    CHECK_IS(strcmp(stage, wanted), 0);
    nffi_host_destroy(process.host);
}


static void
names_what_is_refused(void)
{
    const nffi_spawn_limit_t too_many = { RLIMIT_NOFILE, 1ull << 40 };

    fails_with(&(nffi_spawn_options_t) {
        .limits = &too_many, .limits_count = 1 }, "setrlimit", EPERM);
    fails_with(&(nffi_spawn_options_t) { .user = "no-such-user" }, "getpwnam",
               0);
}


/* A supervisor that is not root: it is started after the change. */
static void
names_missing_privileges(void)
{
    if (getuid() == 0) {
        CHECK_CALL(setresuid(12345, 12345, 12345));
    }

    fails_with(&(nffi_spawn_options_t) { .user = "root" }, "setuid", EPERM);
}


static void
ping_has_no_owner(void)
{
    pair_t pair;
    uint32_t before, waiting;
    nffi_request_t request;
    nffi_host_response_t response;

    pair_open(&pair, &small);
    before = nffi_host_taken(pair.host, &waiting);
    CHECK_IS(waiting, 0);

    /* at most one is in flight, and it takes no slot of a call */
    CHECK_IS(nffi_host_ping(pair.host), NFFI_OK);
    CHECK_IS(nffi_host_ping(pair.host), NFFI_OK);
    CHECK_IS(nffi_host_taken(pair.host, &waiting), before);
    CHECK_IS(waiting, 1);
    CHECK_IS(pair_state(&pair).unanswered, 0);
    pair_submit(&pair, "a", 1, &owner);
    pair_submit(&pair, "b", 1, &owner);

    /* the next poll takes it and does not return it */
    CHECK_IS(nffi_queue_poll(pair.queue, &request, 1, 0), 1);
    CHECK_IS(request.size, 1);
    CHECK_IS(nffi_host_taken(pair.host, &waiting), before + 2);
    CHECK_IS(nffi_respond(request.task, 0, NULL, 0), NFFI_OK);
    CHECK_IS(nffi_host_collect(pair.host, &response, 1), 1);
    CHECK(response.owner == &owner);
    nffi_host_release(pair.host, &response);

    /* a waiting task shows as much as a ping */
    CHECK_IS(nffi_host_ping(pair.host), NFFI_OK);
    CHECK_IS(nffi_host_taken(pair.host, &waiting), before + 2);
    CHECK_IS(waiting, 1);
    request = pair_take(&pair);
    CHECK_IS(nffi_respond(request.task, 0, NULL, 0), NFFI_OK);
    CHECK_IS(nffi_host_collect(pair.host, &response, 1), 1);
    nffi_host_release(pair.host, &response);
    pair_check_idle(&pair);

    /* one that is under way when the queue closes is taken, too */
    CHECK_IS(nffi_host_ping(pair.host), NFFI_OK);
    nffi_host_close(pair.host);
    CHECK_IS(nffi_host_ping(pair.host), NFFI_CLOSED);
    CHECK_IS(nffi_queue_poll(pair.queue, &request, 1, 0), NFFI_CLOSED);
    CHECK_IS(nffi_host_collect(pair.host, &response, 1), 0);
    pair_check_idle(&pair);
    pair_close(&pair);
}


/* A hung runtime whose other slots are in use must be found, so a health check
   may take the last slot; giving back memory may not. */
static void
trim_takes_no_last_slot(void)
{
    pair_t pair;
    nffi_host_response_t response;
    nffi_request_t request;
    static char large[1 << 20];

    pair_open_shared(&pair, &(nffi_host_options_t) { .max_tasks = 2 });
    pair_submit(&pair, "a", 1, &owner);
    request = pair_take(&pair);
    CHECK_IS(nffi_respond(request.task, 0, large, sizeof(large)), NFFI_OK);
    CHECK_IS(nffi_host_collect(pair.host, &response, 1), 1);
    nffi_host_release(pair.host, &response);

    pair_submit(&pair, "b", 1, &owner);
    request = pair_take(&pair);
    CHECK(nffi_host_trim(pair.host));
    pair_submit(&pair, "c", 1, &owner);
    CHECK_IS(nffi_respond(request.task, 0, NULL, 0), NFFI_OK);
    CHECK_IS(nffi_host_collect(pair.host, &response, 1), 1);
    nffi_host_release(pair.host, &response);

    request = pair_take(&pair);
    CHECK_IS(nffi_host_ping(pair.host), NFFI_OK);
    CHECK_IS(nffi_queue_poll(pair.queue, &request, 1, 0), 0);
    pair_close(&pair);
}


/* Requests that the arena has no room for: each holds a descriptor of the
   process until it is taken. */
static void
names_requests_without_room(void)
{
    int i;
    pair_t pair;
    uint64_t used;
    nffi_task_t task;
    nffi_request_t request;
    static char bytes[70000];
    nffi_host_request_t large = { .data = bytes, .size = sizeof(bytes) };

    pair_open_shared(&pair, &(nffi_host_options_t) { .request_arena = 1 });

    for (i = 0; i < NFFI__MAX_PAYLOADS; i++) {
        pair_submit(&pair, bytes, sizeof(bytes), &owner);
    }

    CHECK_IS(nffi_host_submit(pair.host, &large, &owner, &task),
             NFFI_QUEUE_FULL);
    CHECK(strcmp(nffi_host_full(pair.host, &used), "arena") == 0);
    CHECK_IS(used, NFFI__MAX_PAYLOADS);
    pair_submit(&pair, "small", 5, &owner);
    request = pair_take(&pair);
    CHECK_IS(nffi_respond(request.task, 0, NULL, 0), NFFI_OK);
    pair_submit(&pair, bytes, sizeof(bytes), &owner);
    CHECK(nffi_host_full(pair.host, &used) == NULL);
    nffi_host_close(pair.host);
    pair_close(&pair);
}


static void
ping_detects_a_hang(void)
{
    process_t process;
    uint32_t taken, waiting;
    long long end = now_ms() + PROCESS_MS;

    process_start(&process, &small, "poll");
    taken = nffi_host_taken(process.host, &waiting);
    CHECK_IS(nffi_host_ping(process.host), NFFI_OK);

    while (nffi_host_taken(process.host, &waiting) == taken) {
        CHECK(now_ms() < end);
        process_wait(&process);
    }

    process_submit(&process, "stop", 4, "", &owner);

    while (nffi_host_taken(process.host, &waiting) == taken + 1) {
        CHECK(now_ms() < end);
        process_wait(&process);
    }

    nffi_host_response_t response;
    CHECK_IS(nffi_host_collect(process.host, &response, 1), 0);
    CHECK_IS(nffi_host_ping(process.host), NFFI_OK);
    process_wait(&process);
    process_wait(&process);
    CHECK_IS(nffi_host_taken(process.host, &waiting), taken + 2);
    CHECK_IS(waiting, 1);
    process_kill_and_end(&process);
}


/* The supervisor is busy, or too many descriptors are in flight: nothing is
   left behind, and the same host can be started later. */
static void
waits_for_room(void)
{
    int before, sockets[2];
    char byte[512] = "";
    const char *stage;
    process_t process;
    char *argv[] = { "runtime", NULL }, *envp[] = { NULL };
    char *programs[] = { "/bin/true", NULL };
    nffi_spawn_options_t spawn = {
        .programs = programs, .argv = argv, .envp = envp
    };

    CHECK_CALL(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets));

    while (send(sockets[0], byte, sizeof(byte), MSG_DONTWAIT) != -1) {
        /* until it is full */
    }

    process_open(&process, &(nffi_host_options_t) { 0 });
    before = open_fds();
    CHECK_IS(nffi_host_spawn(process.host, sockets[0], &spawn, &process.nffi,
                             &stage), NFFI_QUEUE_FULL);
    CHECK(strcmp(stage, "sendmsg") == 0);
    CHECK_IS(open_fds(), before);

    while (recv(sockets[1], byte, sizeof(byte), MSG_DONTWAIT) > 0) {
        /* until it is empty */
    }

    CHECK_IS(nffi_host_spawn(process.host, sockets[0], &spawn, &process.nffi,
                             &stage), NFFI_OK);
    close(sockets[1]);
    nffi_host_destroy(process.host);
}


/* A start that the supervisor does not understand is refused, and those after
   it are served. */
static void
refuses_other_versions(void)
{
    int i, fds[NFFI__START_FDS], keeper[2];
    const char *stage;
    process_t process;
    nffi__report_t report;
    nffi__start_t start = {
        .magic = NFFI__LAUNCH_MAGIC, .version = NFFI__LAUNCH_VERSION + 1
    };
    struct iovec iov = { &start, sizeof(start) };
    union {
        char bytes[CMSG_SPACE(sizeof(fds))];
        struct cmsghdr align;
    } control = { { 0 } };
    struct msghdr msg = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes,
        .msg_controllen = sizeof(control.bytes)
    };
    struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);

    CHECK_CALL(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, keeper));

    for (i = 0; i < NFFI__START_FDS; i++) {
        fds[i] = keeper[1];
    }

    cmsg->cmsg_level = SOL_SOCKET;
    cmsg->cmsg_type = SCM_RIGHTS;
    cmsg->cmsg_len = CMSG_LEN(sizeof(fds));
    memcpy(CMSG_DATA(cmsg), fds, sizeof(fds));
    CHECK(start_supervisor(SUPERVISOR, &stage) != -1);
    CHECK_IS(sendmsg(start_supervisor_fd, &msg, 0), sizeof(start));
    CHECK_IS(recv(keeper[0], &report, sizeof(report), 0), sizeof(report));
    CHECK_IS(report.type, NFFI__REPORT_FAILED);
    CHECK_IS(report.stage, NFFI__STAGE_VERSION);

    /* an order that is none */
    start.version = NFFI__LAUNCH_VERSION;
    start.size = 1000;
    CHECK_IS(sendmsg(start_supervisor_fd, &msg, 0), sizeof(start));
    CHECK_IS(recv(keeper[0], &report, sizeof(report), 0), sizeof(report));
    CHECK_IS(report.type, NFFI__REPORT_FAILED);

    /* no start at all */
    CHECK_IS(send(start_supervisor_fd, "hello", 5, 0), 5);
    msg.msg_control = NULL;
    msg.msg_controllen = 0;
    CHECK_IS(sendmsg(start_supervisor_fd, &msg, 0), sizeof(start));

    process_start(&process, &small, "poll");
    process_close(&process);
}


int
main(int argc, char **argv)
{
    static const process_role_t roles[] = {
        { "look", play_look },
        { "poll", play_poll },
    };
    static const check_case_t cases[] = {
        { "limits and priority are those asked for", sets_limits_and_nice },
        { "user and groups are looked up by name", changes_user },
        { "a limit or a user that is refused is named", names_what_is_refused },
        { "a user without the right to become it is named",
          names_missing_privileges },
        { "a ping is nobody's task", ping_has_no_owner },
        { "a health check may take the last slot, giving memory back not",
          trim_takes_no_last_slot },
        { "large requests that wait are named as the limit",
          names_requests_without_room },
        { "a ping tells a process that hangs", ping_detects_a_hang },
        { "a supervisor without room is no failure of the process",
          waits_for_room },
        { "a start of another version, or none, is refused",
          refuses_other_versions },
    };

    PROCESS_PLAY(argc, argv, roles);

    return CHECK_MAIN(argc, argv, cases);
}
