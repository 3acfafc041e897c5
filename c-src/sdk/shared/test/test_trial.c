/*
 * test_trial.c - the trial of a program, whatever that says and however it
 * ends; some of it several times, since it is a matter of who is faster.
 */

#include "check.h"

#include "../trial.c"

#define TRIES 20


static char reason[1024];


static int
try_shell(const char *script)
{
    char *environment[] = { "PATH=/usr/bin:/bin", NULL };
    const char *argv[] = { "/bin/sh", "-c", script, NULL };

    return nffi_bridge_try(argv, environment, "the word", reason,
                           sizeof(reason));
}


static void
the_word_is_found_among_much_else(void)
{
    int i;

    for (i = 0; i < TRIES; i++) {
        CHECK_IS(try_shell("head -c 60000 /dev/zero; echo the word"), 0);
        CHECK_IS(try_shell("echo the word; head -c 100000 /dev/zero"), 0);
        CHECK_IS(try_shell("echo the word >&2; exit 3"), 0);
    }
}


static void
a_failure_is_reported_in_one_line(void)
{
    const char *nothing[] = { "/no/such", NULL };
    char *environment[] = { NULL };

    CHECK_IS(try_shell("echo no; echo luck >&2"), -1);
    CHECK(strcmp(reason, "no luck") == 0);
    CHECK_IS(try_shell("head -c 100000 /dev/zero | tr '\\0' x; echo; "
                       "echo last"), -1);
    CHECK(strlen(reason) > 400 && strstr(reason, "x last") != NULL);
    CHECK_IS(try_shell("exit 1"), -1);
    CHECK(strcmp(reason, "/bin/sh failed without a reason") == 0);
    CHECK_IS(nffi_bridge_try(nothing, environment, "word", reason,
                             sizeof(reason)), -1);
    CHECK(strcmp(reason, "/no/such cannot be executed") == 0);
}


static void
it_has_three_descriptors_and_no_signal_is_blocked(void)
{
    int fd = open("/dev/null", O_RDONLY);

    CHECK(fd > 2);
    CHECK_IS(try_shell("cd /proc/self/fd && for f in *; do case $f in "
                       "[012]) ;; *) readlink $f && exit; esac; done; "
                       "echo the word"), 0);
    CHECK_IS(try_shell("grep -q '^SigBlk:[[:space:]]*0*$' /proc/self/status "
                       "&& echo the word"), 0);
    close(fd);
}


static void
one_that_stays_after_the_word_is_ended(void)
{
    int64_t begin = now_ms();

    CHECK_IS(try_shell("echo the word; exec sleep 100"), 0);
    CHECK(now_ms() - begin < 20000);
    CHECK_IS(waitpid(-1, NULL, WNOHANG), -1);
    CHECK_IS(errno, ECHILD);
}


int
main(int argc, char **argv)
{
    static const check_case_t cases[] = {
        { "the word is found among much else",
          the_word_is_found_among_much_else },
        { "a failure is reported in one line",
          a_failure_is_reported_in_one_line },
        { "it has three descriptors and no signal is blocked",
          it_has_three_descriptors_and_no_signal_is_blocked },
        { "one that stays after the word is ended",
          one_that_stays_after_the_word_is_ended },
    };

    return CHECK_MAIN(argc, argv, cases);
}
