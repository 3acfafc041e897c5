/*
 * test_python.c - the parts of the bridge to CPython that need none: threads
 * that take turns, and which libpython belongs to an interpreter.
 */

/* as the sources below have it, not as the command line */
#undef _GNU_SOURCE
#define _GNU_SOURCE

#include "check.h"

#include "../bridge/group.c"
#include "../bridge/find.c"

#include <sys/stat.h>

#define THREADS 6
#define CALLS 3000


typedef struct team {
    nffi_group_t *group;
    atomic_int left;          /* calls to make */
    atomic_int made;
    atomic_int slow;          /* slow concurrent calls */
    atomic_int slowest;
} team_t;


static void
sleep_ms(int ms)
{
    struct timespec time = { 0, ms * 1000000L };

    nanosleep(&time, NULL);
}


/* As serve() of module.c does; each 100th call takes its time. */
static void *
member(void *data)
{
    int n, slow;
    team_t *team = data;
    nffi_group_member_t self = { 0 };

    for ( ;; ) {
        if (!nffi_group_leads(team->group, &self)
            && !nffi_group_lead(team->group, &self))
        {
            break;
        }

        n = atomic_fetch_sub(&team->left, 1);

        if (n <= 0) {
            nffi_group_end(team->group);
            break;
        }

        nffi_group_begin(team->group, &self);

        if (n % 100 == 0) {
            slow = atomic_fetch_add(&team->slow, 1) + 1;

            if (slow > atomic_load(&team->slowest)) {
                atomic_store(&team->slowest, slow);
            }

            sleep_ms(5);
            atomic_fetch_sub(&team->slow, 1);
        }

        atomic_fetch_add(&team->made, 1);
        nffi_group_done(&self);
    }

    nffi_group_leave(team->group, &self);

    return NULL;
}


static void
each_call_is_made_once_and_slow_ones_side_by_side(void)
{
    int i;
    team_t team = { .left = CALLS };
    pthread_t threads[THREADS];

    team.group = nffi_group_create();
    CHECK(team.group != NULL);

    for (i = 0; i < THREADS; i++) {
        CHECK_IS(pthread_create(&threads[i], NULL, member, &team), 0);
    }

    for (i = 0; i < THREADS; i++) {
        CHECK_IS(pthread_join(threads[i], NULL), 0);
    }

    CHECK_IS(atomic_load(&team.made), CALLS);
    CHECK(atomic_load(&team.slowest) > 1);
    nffi_group_destroy(team.group);
}


static void *
stand_by(void *data)
{
    team_t *team = data;
    nffi_group_member_t self = { 0 };

    if (nffi_group_lead(team->group, &self)) {
        atomic_store(&team->made, 1);
        nffi_group_leave(team->group, &self);
    }

    return NULL;
}


static void
a_leader_that_waits_for_calls_keeps_its_place(void)
{
    team_t team = { 0 };
    pthread_t thread;
    nffi_group_member_t self = { 0 };

    team.group = nffi_group_create();
    CHECK(nffi_group_leads(team.group, &self));
    CHECK_IS(pthread_create(&thread, NULL, stand_by, &team), 0);
    sleep_ms(20);
    CHECK_IS(atomic_load(&team.made), 0);

    /* the waiting thread has fallen asleep by then, and still takes over */
    nffi_group_begin(team.group, &self);
    CHECK_IS(pthread_join(thread, NULL), 0);
    CHECK_IS(atomic_load(&team.made), 1);
    nffi_group_done(&self);
    CHECK(nffi_group_leads(team.group, &self));
    nffi_group_end(team.group);
    CHECK(!nffi_group_lead(team.group, &self));
    nffi_group_leave(team.group, &self);
    nffi_group_destroy(team.group);
}


static void
make(const char *folder, const char *name, const char *text)
{
    char path[512], *at;
    FILE *file;

    snprintf(path, sizeof(path), "%s/%s", folder, name);

    for (at = path + strlen(folder) + 1; (at = strchr(at, '/')); at++) {
        *at = '\0';
        (void) mkdir(path, 0755);
        *at = '/';
    }

    file = fopen(path, "w");
    CHECK(file != NULL);
    fputs(text, file);
    fclose(file);
    CHECK_IS(chmod(path, 0755), 0);
}


static void
the_library_of_an_interpreter_is_found(void)
{
    char folder[] = "/tmp/nffi-python-XXXXXX", path[256], text[600];
    nffi_python_place_t place;

    CHECK(mkdtemp(folder) != NULL);
    make(folder, "base/bin/python3.42", "");
    snprintf(path, sizeof(path), "%s/base/bin/python3.42", folder);
    CHECK_IS(nffi_python_find(path, &place, text, sizeof(text)), -1);
    CHECK(strstr(text, "no libpython3.42.so.1.0") != NULL);

    /* a library without its standard library would end the worker */
    make(folder, "base/lib/libpython3.42.so.1.0", "");
    CHECK_IS(nffi_python_find(path, &place, text, sizeof(text)), -1);
    make(folder, "base/lib/python3.42/encodings/__init__.py", "");
    CHECK_IS(nffi_python_find(path, &place, text, sizeof(text)), 0);
    CHECK(strstr(place.library, "/base/lib/libpython3.42.so.1.0") != NULL);
    CHECK_BYTES(place.program, strlen(place.program), path, strlen(path));

    /* an environment with a copy of the program */
    snprintf(text, sizeof(text), "home = %s/base/bin\r\nversion = 3.42.7\n",
             folder);
    make(folder, "venv/bin/python", "");
    make(folder, "venv/pyvenv.cfg", text);
    snprintf(path, sizeof(path), "%s/venv/bin/python", folder);
    CHECK_IS(nffi_python_find(path, &place, text, sizeof(text)), 0);
    CHECK(strstr(place.library, "/base/lib/libpython3.42.so.1.0") != NULL);
    CHECK(strstr(place.program, "/venv/bin/python") != NULL);

    CHECK_IS(nffi_python_find("/nowhere/python", &place, text, sizeof(text)),
             -1);
    CHECK(strstr(text, "/nowhere/python") != NULL);
    snprintf(path, sizeof(path), "rm -r %s", folder);
    CHECK_IS(system(path), 0);
}


int
main(int argc, char **argv)
{
    static const check_case_t cases[] = {
        { "each call is made once, and slow ones side by side",
          each_call_is_made_once_and_slow_ones_side_by_side },
        { "a leader that waits for calls keeps its place",
          a_leader_that_waits_for_calls_keeps_its_place },
        { "the library of an interpreter is found",
          the_library_of_an_interpreter_is_found },
    };

    return CHECK_MAIN(argc, argv, cases);
}
