/*
 * test_spawn.c - starting a runtime process: what it inherits, and how failures
 * are reported. test_process_end.c has its end.
 */

#include "process.h"

#include <sched.h>
#include <sys/resource.h>
#include <sys/stat.h>


/* Roles. */

static void
print_status_lines(void)
{
    char line[256];
    FILE *status = fopen("/proc/self/status", "r");

    while (fgets(line, sizeof(line), status) != NULL) {
        if (strncmp(line, "SigBlk", 6) == 0 || strncmp(line, "SigIgn", 6) == 0
            || strncmp(line, "SigCgt", 6) == 0)
        {
            printf("%s", line);
        }
    }

    fclose(status);
}


/* Prints what it finds of itself; before anything else is opened. */
static void
play_look(void)
{
    int fd;
    char name[64], target[256];
    ssize_t n;
    cpu_set_t cpus;

    for (fd = 0; fd < 1024; fd++) {
        snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
        n = readlink(name, target, sizeof(target) - 1);

        if (n > 0) {
            target[n] = '\0';
            printf("%d %s\n", fd, target);
        }
    }

    print_status_lines();
    CHECK_CALL(sched_getaffinity(0, sizeof(cpus), &cpus));
    CHECK(getcwd(target, sizeof(target)) != NULL);
    fd = open("/dev/tty", O_RDWR | O_NOCTTY);
    printf("group %d session %d terminal %d cpus %d cwd %s home %s path %s\n",
           getpgrp() == getpid(), (int) getsid(0), fd != -1, CPU_COUNT(&cpus),
           target, getenv("HOME") ? "set" : "unset", getenv("PATH"));
    fflush(stdout);
}


static void
play_talk(void)
{
    CHECK_IS(write(STDOUT_FILENO, "to stdout", 9), 9);
    CHECK_IS(write(STDERR_FILENO, "to stderr", 9), 9);
    CHECK_IS(read(STDIN_FILENO, &(char) { 0 }, 1), 0);
}


static void
play_wait(void)
{
    (void) attached();
    pause();
}


/* Cases. */

static void
fails_in(const char *program, const char *directory, const char *wanted_stage,
    int wanted_errno)
{
    int before = process_fds();
    const char *stage = NULL;
    process_t process;
    char *programs[] = { (char *) program, NULL };
    char *argv[] = { "runtime", NULL }, *envp[] = { NULL };
    nffi_spawn_options_t spawn = {
        .programs = programs, .argv = argv, .envp = envp,
        .directory = directory
    };

    process_open(&process, &(nffi_host_options_t) { .max_tasks = 16 });
    CHECK_IS(start_process(SUPERVISOR, process.host, &spawn, &process.nffi,
                           &stage), NFFI_SYSTEM);
    CHECK_IS(errno, wanted_errno);
    CHECK(strcmp(stage, wanted_stage) == 0);
    nffi_host_destroy(process.host);
    CHECK_IS(open_fds(), before);
}


static void
names_failures(void)
{
    int fd;
    char directory[] = "/tmp/nffi-test-XXXXXX", file[64];

    CHECK(mkdtemp(directory) != NULL);
    snprintf(file, sizeof(file), "%s/file", directory);
    fd = open(file, O_CREAT | O_WRONLY, 0644);
    CHECK_IS(write(fd, "x", 1), 1);
    close(fd);

    fails_in("/nowhere/at/all", NULL, "exec", ENOENT);
    fails_in(file, NULL, "exec", EACCES);
    fails_in(directory, NULL, "exec", EACCES);
    fails_in(process_program(), "/nowhere", "chdir", ENOENT);
    fails_in(process_program(), file, "chdir", ENOTDIR);
    CHECK_CALL(chmod(file, 0755));
    fails_in(file, NULL, "exec", ENOEXEC);
    unlink(file);
    rmdir(directory);
}


static void
names_missing_supervisor(void)
{
    int before = open_fds();
    const char *stage = "";

    CHECK_IS(nffi_supervisor_start("/nowhere/at/all", &stage), -1);
    CHECK_IS(errno, ENOENT);
    CHECK_IS(strcmp(stage, "exec"), 0);
    CHECK_IS(open_fds(), before);

    /* no child is left that this process would have to reap */
    CHECK_IS(waitpid(-1, NULL, WNOHANG | __WALL), -1);
    CHECK_IS(errno, ECHILD);
}


/* The first existing program, which argv[0] also shows. */
static void
tries_programs(void)
{
    process_t process;
    const char *stage;
    char text[64];
    char *programs[] = { "/nowhere/sh", "/etc/passwd", "/bin/sh", NULL };
    char *argv[] = { "sh", "-c", "echo $0", NULL }, *envp[] = { NULL };
    nffi_spawn_options_t spawn = {
        .programs = programs, .argv = argv, .envp = envp
    };

    process_open(&process, &(nffi_host_options_t) { .max_tasks = 16 });
    CHECK_IS(start_process(SUPERVISOR, process.host, &spawn, &process.nffi,
                           &stage), NFFI_OK);
    process_read(process.nffi.stdout_fd, text, sizeof(text));
    CHECK_IS(strcmp(text, "/bin/sh\n"), 0);
    process_end(&process);
}


/* No room for descriptors: named, and nothing is lost. */
static void
names_shortage(void)
{
    int before = process_fds(), fd, last = -1;
    const char *stage;
    process_t process;
    struct rlimit limit, few;

    process_open(&process, &(nffi_host_options_t) { .max_tasks = 16 });
    getrlimit(RLIMIT_NOFILE, &limit);
    few = limit;

    while ((fd = open("/dev/null", O_RDONLY)) != -1 && fd < 64) {
        last = fd;
    }

    close(fd);

    /* from none left to one too few */
    for (few.rlim_cur = (rlim_t) last + 1;
         few.rlim_cur < (rlim_t) last + 9; few.rlim_cur++)
    {
        CHECK_CALL(setrlimit(RLIMIT_NOFILE, &few));
        CHECK_IS(process_try(&process, "talk", 0, NULL, &stage), NFFI_SYSTEM);
        CHECK_IS(errno, EMFILE);
        CHECK_CALL(setrlimit(RLIMIT_NOFILE, &limit));
    }

    while (last > 6 && open_fds() > before + 3) {
        close(last--);
    }

    process_spawn(&process, "talk");
    process_end(&process);
}


static void
refuses_misuse(void)
{
    process_t process;
    const char *stage;
    nffi_host_t *host;
    nffi_queue_t *queue;

    CHECK_IS(nffi_host_create(&host, &(nffi_host_options_t) { 0 }), NFFI_OK);
    process.host = host;
    CHECK_IS(process_try(&process, "talk", 0, NULL, &stage), NFFI_INVALID);
    nffi_host_destroy(host);

    process_open(&process, &(nffi_host_options_t) { 0 });
    CHECK_IS(nffi_host_queue(process.host, &queue), NFFI_INVALID);
    process_spawn(&process, "talk");
    CHECK_IS(process_try(&process, "talk", 0, NULL, &stage), NFFI_INVALID);
    process_end(&process);
}


/* Makes this process as untidy as a worker: descriptors that are inherited,
   signals blocked and ignored. */
static void
untidy(void)
{
    int i;
    sigset_t set;

    for (i = 0; i < 30; i++) {
        CHECK(open("/etc/passwd", O_RDONLY) != -1);
    }

    CHECK_CALL(dup2(0, 500));
    sigfillset(&set);
    sigprocmask(SIG_SETMASK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGSYS, SIG_IGN);
    signal(SIGCHLD, SIG_IGN);
    signal(SIGRTMIN + 3, SIG_IGN);
    setenv("HOME", "/root", 1);
}


static void
look(unsigned flags, const char *directory, char *text, size_t size)
{
    process_t process;
    const char *stage;
    nffi_process_message_t message;

    process_open(&process, &(nffi_host_options_t) { 0 });
    CHECK_IS(process_try(&process, "look", flags, directory, &stage), NFFI_OK);
    process_read(process.nffi.stdout_fd, text, size);
    CHECK_IS(process_event(&process, &message), NFFI_PROCESS_GONE);
    nffi_host_destroy(process.host);
}


/* Checks the lines that begin with a number: descriptors. */
static void
check_descriptors(const char *text)
{
    int fd, next = 0;
    char target[256];
    static const char *wanted[] = {
        "/dev/null", "pipe:", "pipe:", "/memfd:nffi-queue",
        "anon_inode:[eventfd]", "anon_inode:[eventfd]", "socket:"
    };

    for ( ;; ) {
        if (sscanf(text, "%d %255s", &fd, target) != 2) {
            break;
        }

        CHECK_IS(fd, next);
        CHECK(next < 7);
        CHECK(strncmp(target, wanted[next], strlen(wanted[next])) == 0);
        next++;
        text = strchr(text, '\n') + 1;
    }

    CHECK_IS(next, 7);
}


static unsigned long long
signals(const char *text, const char *name)
{
    const char *line = strstr(text, name);

    CHECK(line != NULL);

    return strtoull(line + strlen(name), NULL, 16);
}


static void
inherits_nothing(void)
{
    char text[8192];
    const char *line;

    untidy();
    look(0, "/usr", text, sizeof(text));
    check_descriptors(text);
    CHECK_IS(signals(text, "SigBlk:"), 0);

    /* 32 and 33 belong to glibc: it refuses to set them */
    CHECK_IS(signals(text, "SigIgn:") & ~(UINT64_C(3) << 31), 0);
    line = strstr(text, "group 1 ");
    CHECK(line != NULL);
    CHECK(strstr(line, "cwd /usr home unset path /bin\n") != NULL);
}


/* As the leader of a session, with or without a terminal. Returns whether the
   process has the same session, in a separate group. */
static bool
shares_session(bool terminal)
{
    int fd, session, has_terminal;
    char text[8192];
    const char *line;

    CHECK_CALL(setsid());

    if (terminal) {
        CHECK_CALL(fd = posix_openpt(O_RDWR | O_NOCTTY));
        CHECK_CALL(grantpt(fd));
        CHECK_CALL(unlockpt(fd));
        CHECK_CALL(open(ptsname(fd), O_RDWR));
        CHECK_CALL(open("/dev/tty", O_RDWR));
    }

    look(0, NULL, text, sizeof(text));
    line = strstr(text, "group 1 ");
    CHECK(line != NULL);
    CHECK_IS(sscanf(line, "group 1 session %d terminal %d", &session,
                    &has_terminal), 2);
    CHECK_IS(has_terminal, 0);

    return session == getpid();
}


/* With a terminal it could stop nginx, or be stopped, when it asks. */
static void
has_no_terminal(void)
{
    int terminal, status;
    pid_t pid;

    for (terminal = 0; terminal < 2; terminal++) {
        CHECK_CALL(pid = fork());

        if (pid == 0) {
            CHECK_IS(shares_session(terminal), !terminal);
            _exit(0);
        }

        CHECK_IS(waitpid(pid, &status, 0), pid);
        CHECK_IS(status, 0);
    }
}


/* Also when the numbers 0 to 7 are something else here. */
static void
inherits_from_low_numbers(void)
{
    char text[8192];

    close(0);
    close(3);
    close(5);
    look(0, NULL, text, sizeof(text));
    check_descriptors(text);
}


static int
cpus_seen(unsigned flags)
{
    int cpus;
    char text[8192];

    look(flags, NULL, text, sizeof(text));
    CHECK_IS(sscanf(strstr(text, "cpus"), "cpus %d", &cpus), 1);

    return cpus;
}


static void
resets_cpus(void)
{
    int all;
    cpu_set_t cpus;

    CHECK_CALL(sched_getaffinity(0, sizeof(cpus), &cpus));
    all = CPU_COUNT(&cpus);

    if (all < 2) {
        check_skip("one CPU");
    }

    CPU_ZERO(&cpus);
    CPU_SET(0, &cpus);
    CHECK_CALL(sched_setaffinity(0, sizeof(cpus), &cpus));
    CHECK_IS(cpus_seen(0), 1);
    CHECK_IS(cpus_seen(NFFI_RESET_CPUS), all);
}


static void
pipes(void)
{
    char byte, text[64];
    process_t process;

    process_open(&process, &(nffi_host_options_t) { 0 });
    process_spawn(&process, "talk");
    CHECK_BYTES(text, process_read(process.nffi.stdout_fd, text, sizeof(text)),
                "to stdout", 9);
    CHECK_BYTES(text, process_read(process.nffi.stderr_fd, text, sizeof(text)),
                "to stderr", 9);
    process_end(&process);

    /* the worker's ends never block */
    process_start(&process, &(nffi_host_options_t) { 0 }, "wait");
    CHECK_IS(read(process.nffi.stdout_fd, &byte, 1), -1);
    CHECK_IS(errno, EAGAIN);
    CHECK_IS(read(process.nffi.stderr_fd, &byte, 1), -1);
    CHECK_IS(errno, EAGAIN);
    CHECK_IS(read(process.nffi.done_fd, &byte, 1), -1);
    process_kill_and_end(&process);
}


int
main(int argc, char **argv)
{
    static const process_role_t roles[] = {
        { "look", play_look },
        { "talk", play_talk },
        { "wait", play_wait },
    };
    static const check_case_t cases[] = {
        { "a supervisor that cannot be started is named and leaves no child",
          names_missing_supervisor },
        { "the first of several programs that is there is executed",
          tries_programs },
        { "a failed start names its stage and errno", names_failures },
        { "a shortage of descriptors is named and loses none",
          names_shortage },
        { "a host serves one process, and only if made for it",
          refuses_misuse },
        { "the process has seven descriptors and nothing else of the worker",
          inherits_nothing },
        { "the worker's low descriptors do not matter",
          inherits_from_low_numbers },
        { "the process shares the session of the worker, but no terminal",
          has_no_terminal },
        { "the CPUs are inherited or reset, as asked", resets_cpus },
        { "stdout and stderr are pipes, stdin is empty", pipes },
    };

    PROCESS_PLAY(argc, argv, roles);

    return CHECK_MAIN(argc, argv, cases);
}
