/*
 * test_no_memory.c - a shared queue without memory for its pages: a call fails
 * instead of a SIGBUS, and calls work again as soon as there is memory.
 */

#include "pages.h"

#include <sched.h>
#include <sys/mount.h>


/* Calls until no memory is left, with answers that grow; afterwards, when there
   is some again, all works. Returns how many calls were refused. */
static int
run_short_of_memory(pair_t *pair)
{
    int i, rc, accepted, refused = 0;
    size_t size;

    for (size = 100; size < 400000; size *= 3) {
        accepted = 0;

        for (i = 0; i < 200; i++) {
            rc = submit(pair, size);
            CHECK(rc == NFFI_OK || rc == NFFI_NO_MEMORY
                  || rc == NFFI_QUEUE_FULL);
            accepted += rc == NFFI_OK;
        }

        refused += 200 - accepted + answer_all(pair, size);
        CHECK_IS(collect_all(pair), accepted);
    }

    return refused;
}


static void
refuses_without_memory(void)
{
    int i, rc = NFFI_OK;
    pair_t pair;

    open_usual(&pair);
    no_memory = true;
    CHECK(run_short_of_memory(&pair) > 100);

    for (i = 0; i < 2000 && rc == NFFI_OK; i++) {
        rc = submit(&pair, 0);
    }

    CHECK_IS(i - 1, 1024);
    CHECK_IS(rc, NFFI_NO_MEMORY);
    CHECK_IS(answer_all(&pair, 0), 0);
    CHECK_IS(collect_all(&pair), 1024);
    check_pages(&pair);
    CHECK(pages_of(&pair) <= IDLE);

    no_memory = false;
    CHECK_IS(run_short_of_memory(&pair), 0);
    pair_close(&pair);
}


/* A kernel that runs out of memory keeps the pages that it has allocated. */
static void
keeps_no_half_step(void)
{
    half_done = true;
    refuses_without_memory();
}


/* Memory is short indeed: a write to a page that the file system does not have
   is a SIGBUS. */
static void
survive_full(bool old)
{
    pair_t pair;
    char path[] = "/tmp/nffi-commit-XXXXXX";

    if (unshare(CLONE_NEWNS) == -1
        || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == -1)
    {
        check_skip("no file system can be mounted here");
    }

    CHECK(mkdtemp(path) != NULL);
    CHECK_CALL(mount("tmpfs", path, "tmpfs", 0, "size=3m"));
    folder = path;
    old_kernel = old;
    open_usual(&pair);
    CHECK(run_short_of_memory(&pair) > 10);
    trim_all(&pair);
    CHECK(run_short_of_memory(&pair) > 10);
    pair_close(&pair);
    CHECK_CALL(umount2(path, MNT_DETACH));
    CHECK_CALL(rmdir(path));
}


static void
survives_full_file_system(void)
{
    survive_full(false);
}


static void
survives_on_old_kernels(void)
{
    survive_full(true);
}


int
main(int argc, char **argv)
{
    static const check_case_t cases[] = {
        { "without memory a call is refused, and works again later",
          refuses_without_memory },
        { "a step that fails after some pages leaves none of them",
          keeps_no_half_step },
        { "a full file system is no SIGBUS", survives_full_file_system },
        { "nor is it without MADV_POPULATE_WRITE", survives_on_old_kernels },
    };

    return CHECK_MAIN(argc, argv, cases);
}
