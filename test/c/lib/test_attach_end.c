/*
 * test_attach_end.c - a runtime in a process ends with its worker and with its
 * queue; the thread that watches for it.
 */

#include "process.h"
#include "pair.h"

#include <sys/wait.h>


/* Roles: what the process does. */

static void
spin(void)
{
    volatile unsigned forever = 0;

    for ( ;; ) {
        forever++;
    }
}


static void
play_spin(void)
{
    (void) attached();
    spin();
}


static void
play_never_attaches(void)
{
    (void) write(STDOUT_FILENO, "x", 1);
    spin();
}


/* Cases. */

/* Waits until the process has written a byte, or has attached. */
static void
wait_for_role(process_t *process, int attaches)
{
    char byte;
    nffi_process_message_t message;
    struct pollfd pollfd = { .fd = process->nffi.stdout_fd, .events = POLLIN };

    if (attaches) {
        CHECK_IS(process_event(process, &message), NFFI_PROCESS_READY);

    } else {
        CHECK_IS(poll(&pollfd, 1, PROCESS_MS), 1);
        CHECK_IS(read(process->nffi.stdout_fd, &byte, 1), 1);
    }
}


/* The runtime of a killed worker. With the supervisor and the keeper, the
   runtime becomes a child of this process. */
static pid_t
runtime_of_killed_worker(const char *role, int attaches, int alone)
{
    int fds[2], status;
    char state;
    pid_t worker, runtime, keeper, supervisor;
    process_t process;

    CHECK_CALL(prctl(PR_SET_CHILD_SUBREAPER, 1));
    CHECK_CALL(pipe(fds));
    worker = fork();

    if (worker == 0) {
        process_open(&process, &(nffi_host_options_t) { 0 });
        process_spawn(&process, role);
        wait_for_role(&process, attaches);

        if (alone) {
            keeper = parent_of(process.nffi.pid, &state);
            supervisor = parent_of(keeper, &state);
            CHECK_CALL(kill(supervisor, SIGKILL));

            /* one that still lives would adopt the runtime, and reap it */
            await_end(supervisor);
            CHECK_CALL(kill(keeper, SIGKILL));
            await_end(keeper);
        }

        CHECK_IS(write(fds[1], &process.nffi.pid, sizeof(pid_t)),
                 sizeof(pid_t));
        raise(SIGKILL);
    }

    CHECK_IS(read(fds[0], &runtime, sizeof(runtime)), sizeof(runtime));
    CHECK_IS(waitpid(worker, &status, 0), worker);

    return runtime;
}


static void
dies_with_worker(void)
{
    await_end(runtime_of_killed_worker("spin", 1, 0));
}


static void
watches_worker(void)
{
    int status;
    pid_t runtime = runtime_of_killed_worker("spin", 1, 1);

    CHECK_IS(waitpid(runtime, &status, 0), runtime);
    CHECK_IS(status, 0);
}


static void
dies_unattached(void)
{
    await_end(runtime_of_killed_worker("never attaches", 0, 0));
}


/* The worker lets go of the queue without a close. */
static void
dies_with_queue(void)
{
    nffi_process_report_t report;
    process_t process;

    process_start(&process, &(nffi_host_options_t) { 0 }, "spin");
    nffi_host_destroy(process.host);
    CHECK_IS(start_report(&process.nffi, &report), NFFI_PROCESS_ENDED);
    CHECK_IS(report.status, 0);
}


static volatile sig_atomic_t signals_taken;


static void
take_signal(int signal)
{
    (void) signal;
    signals_taken++;
}


/* The thread that watches the worker takes no signal: one that the other
   threads block stays pending until they take it. */
static void
signals_are_the_runtimes(void)
{
    int i, signals[] = { SIGUSR1, SIGTERM, SIGHUP };
    pair_t pair;
    sigset_t block, before, pending;
    struct sigaction action = { .sa_handler = take_signal };

    pair_open_shared(&pair, &(nffi_host_options_t) { 0 });
    sigfillset(&block);

    for (i = 0; i < 3; i++) {
        signals_taken = 0;
        CHECK_CALL(sigaction(signals[i], &action, NULL));
        CHECK_IS(pthread_sigmask(SIG_SETMASK, &block, &before), 0);
        CHECK_CALL(kill(getpid(), signals[i]));
        usleep(20000);
        CHECK_IS(signals_taken, 0);
        CHECK_CALL(sigpending(&pending));
        CHECK(sigismember(&pending, signals[i]));
        CHECK_IS(pthread_sigmask(SIG_SETMASK, &before, NULL), 0);
        CHECK_IS(signals_taken, 1);
    }

    pair_close(&pair);
}


int
main(int argc, char **argv)
{
    static const process_role_t roles[] = {
        { "spin", play_spin },
        { "never attaches", play_never_attaches },
    };
    static const check_case_t cases[] = {
        { "a process in an endless loop dies with the worker",
          dies_with_worker },
        { "the watching thread alone ends the process", watches_worker },
        { "a process that never attaches dies with the worker",
          dies_unattached },
        { "a process dies with its queue", dies_with_queue },
        { "the watching thread takes no signal", signals_are_the_runtimes },
    };

    PROCESS_PLAY(argc, argv, roles);

    return CHECK_MAIN(argc, argv, cases);
}
