/*
 * test_commit.c - the pages of a shared queue: they are allocated before they
 * are used, freed when they are not needed, and where there is no memory a call
 * fails instead of a SIGBUS.
 */

#include "pair.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#define POPULATE 23           /* MADV_POPULATE_WRITE */
#define IDLE (1u << 20)       /* bytes that an idle queue may have */
#define CALLS 3000
#define LARGE ((4u << 20) + 100000)

/* as of a process of a release */
static const nffi_host_options_t usual = {
    .max_tasks = 16384, .max_queue = 16384,
    .request_arena = 8u << 20, .response_arena = 8u << 20
};

static bool old_kernel;       /* without MADV_POPULATE_WRITE */
static bool emulator;         /* accepts any advice, and ignores it */
static bool no_memory;        /* no page can be allocated */
static bool half_done;        /* but the first half of those asked for */
static const char *folder;    /* of the queue's file, NULL: a memfd */
static char bytes[512 << 10];

/* These five replace the functions of libc. */

int
madvise(void *address, size_t size, int advice)
{
    if (advice == POPULATE && no_memory && half_done) {
        CHECK_CALL(syscall(SYS_madvise, address, size / 2 & ~4095ul, advice));
    }

    if (advice == POPULATE && (old_kernel || no_memory)) {
        errno = old_kernel ? EINVAL : EFAULT;
        return -1;
    }

    if (emulator) {
        return 0;
    }

    return (int) syscall(SYS_madvise, address, size, advice);
}


int
fallocate(int fd, int mode, off_t offset, off_t size)
{
    if (mode == 0 && no_memory) {
        errno = ENOSPC;
        return -1;
    }

    return (int) syscall(SYS_fallocate, fd, mode, offset, size);
}


ssize_t
pwritev(int fd, const struct iovec *parts, int count, off_t offset)
{
    if (no_memory) {
        errno = ENOSPC;
        return -1;
    }

    return (ssize_t) syscall(SYS_pwritev, fd, parts, count, (long) offset, 0L);
}


int
memfd_create(const char *name, unsigned flags)
{
    return folder == NULL ? (int) syscall(SYS_memfd_create, name, flags)
                          : open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
}


/* A file of a folder has no seals. */
int
fcntl(int fd, int command, ...)
{
    va_list args;
    unsigned long argument;

    va_start(args, command);
    argument = va_arg(args, unsigned long);
    va_end(args);

    if (folder != NULL && command == F_ADD_SEALS) {
        return 0;
    }

    if (folder != NULL && command == F_GET_SEALS) {
        return F_SEAL_SHRINK;
    }

    return (int) syscall(SYS_fcntl, fd, command, argument);
}


/* Bytes of the queue's file that have pages. */
static size_t
pages_of(const pair_t *pair)
{
    struct stat st;
    int fd = pair->host->memory_fd;

    CHECK_CALL(fstat(fd, &st));

    return (size_t) st.st_blocks * 512;
}


static uint64_t
committed(const pair_t *pair)
{
    return nffi_host_shared_bytes(pair->host);
}


/* All that was allocated has pages, and nothing else was touched: each part may
   round to a page. */
static void
check_pages(const pair_t *pair)
{
    size_t page = (size_t) sysconf(_SC_PAGESIZE);

    CHECK(pages_of(pair) >= committed(pair));
    CHECK(pages_of(pair) <= committed(pair) + 3 * page);
}


static int
submit(pair_t *pair, size_t size)
{
    nffi_task_t task;
    nffi_host_request_t request = { .data = bytes, .size = size };

    return nffi_host_submit(pair->host, &request, pair, &task);
}


/* Takes and answers all that waits; returns the number of failed answers. */
static int
answer_all(pair_t *pair, size_t size)
{
    int i, count, failed = 0;
    nffi_request_t requests[64];

    while ((count = nffi_queue_poll(pair->queue, requests, 64, 0)) > 0) {
        for (i = 0; i < count; i++) {
            CHECK(requests[i].size == 0
                  || memcmp(requests[i].data, bytes, requests[i].size) == 0);

            if (nffi_respond(requests[i].task, 0, bytes, size) != NFFI_OK) {
                CHECK_IS(nffi_respond_error(requests[i].task, "failed", 6,
                                            "why", 3), NFFI_OK);
                failed++;
            }
        }
    }

    return failed;
}


/* The runtime's message, or the host's where there was no memory for it. */
static void
check_error(const nffi_host_response_t *response)
{
    static const char text[] = "the runtime failed, and has no memory for its "
                               "message";

    if (response->size == 9) {
        CHECK_BYTES(response->data, response->size, "failedwhy", 9);
        CHECK_IS(response->message_size, 6);

    } else {
        CHECK_BYTES(response->data, response->size, text, sizeof(text) - 1);
        CHECK_IS(response->message_size, response->size);
    }
}


static int
collect_all(pair_t *pair)
{
    int i, count, all = 0;
    nffi_host_response_t responses[64];

    while ((count = nffi_host_collect(pair->host, responses, 64)) > 0) {
        for (i = 0; i < count; i++) {
            if (responses[i].flags & NFFI_HOST_ERROR) {
                check_error(&responses[i]);

            } else {
                CHECK(responses[i].size == 0
                      || memcmp(responses[i].data, bytes, responses[i].size)
                         == 0);
            }

            nffi_host_release(pair->host, &responses[i]);
        }

        all += count;
    }

    CHECK_IS(count, 0);

    return all;
}


/* As the glue does it; the runtime polls in between. Returns the turns. */
static int
trim_all(pair_t *pair)
{
    int turns, more = 1;

    for (turns = 0; more && turns < 100; turns++) {
        more = nffi_host_trim(pair->host);
        (void) answer_all(pair, 0);
        CHECK_IS(collect_all(pair), 0);
    }

    CHECK(!more);

    return turns;
}


static void
open_usual(pair_t *pair)
{
    size_t i;

    for (i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (char) (i % 251 + 1);
    }

    pair_open_shared(pair, &usual);
}


static void
costs_little(void)
{
    pair_t pair;

    open_usual(&pair);
    check_pages(&pair);
    CHECK(pages_of(&pair) <= IDLE);
    CHECK(pair.host->region.size > 16 << 20);

    CHECK_IS(submit(&pair, 100), NFFI_OK);
    CHECK_IS(answer_all(&pair, 100), 0);
    CHECK_IS(collect_all(&pair), 1);
    CHECK(pages_of(&pair) <= IDLE);
    pair_close(&pair);
}


/* Whether the file must stay open, since pages of a mapping cannot be
   allocated; under qemu-user they never can. */
static bool
needs_file(void)
{
    char page;

    return old_kernel || emulator
           || syscall(SYS_madvise, (uintptr_t) &page & ~0xfffful, 1, -1) == 0;
}


/* Each size alone, then all of the slots. */
static void
grow_and_shrink(void)
{
    int i, n, turns;
    pair_t pair;
    static const size_t sizes[] = { 10, 700, 5000, 100000, 500000 };

    open_usual(&pair);
    CHECK_IS(pair.host->region.memfd != -1, needs_file());

    for (i = 0; i < 5; i++) {
        for (n = 0; (size_t) n < 6000000 / sizes[i] && n < CALLS; n++) {
            CHECK_IS(submit(&pair, sizes[i]), NFFI_OK);
            check_pages(&pair);
        }

        CHECK_IS(answer_all(&pair, sizes[i]), 0);
        check_pages(&pair);
        CHECK_IS(collect_all(&pair), n);
        check_pages(&pair);
        CHECK(pages_of(&pair) > IDLE);

        turns = trim_all(&pair);
        CHECK(turns > 1);
        CHECK(pages_of(&pair) <= IDLE);
        check_pages(&pair);
    }

    pair_close(&pair);
}


static void
grows_and_shrinks(void)
{
    grow_and_shrink();
}


static void
grows_on_old_kernels(void)
{
    old_kernel = true;
    grow_and_shrink();
}


static void
grows_in_emulators(void)
{
    emulator = true;
    grow_and_shrink();
}


static void
uses_every_slot(void)
{
    int i, round;
    uint64_t used;
    pair_t pair;

    open_usual(&pair);

    for (round = 0; round < 2; round++) {
        for (i = 0; i < 16384; i++) {
            CHECK_IS(submit(&pair, 1), NFFI_OK);
        }

        CHECK_IS(submit(&pair, 1), NFFI_QUEUE_FULL);
        CHECK(strcmp(nffi_host_full(pair.host, &used), "max_queue") == 0);
        check_pages(&pair);
        CHECK_IS(answer_all(&pair, 1), 0);
        CHECK(strcmp(nffi_host_full(pair.host, &used), "max_tasks") == 0);
        CHECK_IS(collect_all(&pair), 16384);
        trim_all(&pair);
        CHECK(pages_of(&pair) <= IDLE);
    }

    pair_close(&pair);
}


/* A payload just above a power of two needs a block of twice its size, at an
   aligned place. Until the arena has one, it travels in a memfd. */
static void
grows_in_small_steps(void)
{
    int i;
    uint64_t before;
    pair_t pair;
    char *large = malloc(LARGE);
    static const nffi_host_options_t wide = {
        .max_tasks = 1024, .request_arena = 64u << 20,
        .response_arena = 64u << 20
    };
    nffi_host_request_t payload = { .data = large, .size = LARGE };
    nffi_task_t task;
    nffi_request_t request;
    nffi_host_response_t response;

    CHECK(large != NULL);
    memset(large, 'l', LARGE);
    pair_open_shared(&pair, &wide);

    for (i = 0; i < 20; i++) {
        before = committed(&pair);
        CHECK_IS(nffi_host_submit(pair.host, &payload, &pair, &task), NFFI_OK);
        CHECK(committed(&pair) - before <= 1u << 20);
        before = committed(&pair);
        CHECK_IS(nffi_queue_poll(pair.queue, &request, 1, 0), 1);
        CHECK(memcmp(request.data, large, LARGE) == 0);
        CHECK_IS(nffi_respond(request.task, 0, large, LARGE), NFFI_OK);
        CHECK(committed(&pair) - before <= 1u << 20);
        CHECK_IS(nffi_host_collect(pair.host, &response, 1), 1);
        CHECK(memcmp(response.data, large, LARGE) == 0);
        CHECK_IS(response.storage == NFFI__IN_ARENA, i >= 7);
        nffi_host_release(pair.host, &response);
        check_pages(&pair);
    }

    trim_all(&pair);
    CHECK(pages_of(&pair) <= IDLE);
    pair_close(&pair);
    free(large);
}


/* A block in use at the end of an arena keeps all before it, and its bytes. */
static void
keeps_what_is_used(void)
{
    int i;
    size_t busy;
    pair_t pair;
    nffi_request_t requests[64], last;
    nffi_host_response_t responses[64], held;

    open_usual(&pair);

    for (i = 0; i < 40; i++) {
        CHECK_IS(submit(&pair, 100000), NFFI_OK);
    }

    CHECK_IS(nffi_queue_poll(pair.queue, requests, 64, 0), 40);
    last = requests[39];

    for (i = 0; i < 39; i++) {
        CHECK_IS(nffi_respond(requests[i].task, 0, bytes, 100000), NFFI_OK);
    }

    CHECK_IS(nffi_host_collect(pair.host, responses, 64), 39);
    held = responses[38];

    for (i = 0; i < 38; i++) {
        nffi_host_release(pair.host, &responses[i]);
    }

    busy = pages_of(&pair);

    for (i = 0; i < 20; i++) {
        (void) nffi_host_trim(pair.host);
        CHECK_IS(nffi_queue_poll(pair.queue, requests, 64, 0), 0);
        CHECK_IS(collect_all(&pair), 0);
    }

    /* the blocks were used in their order */
    CHECK(pages_of(&pair) > busy / 2);
    CHECK(memcmp(last.data, bytes, 100000) == 0);
    CHECK(memcmp(held.data, bytes, 100000) == 0);

    nffi_host_release(pair.host, &held);
    CHECK_IS(nffi_respond(last.task, 0, bytes, 10), NFFI_OK);
    CHECK_IS(collect_all(&pair), 1);
    trim_all(&pair);
    CHECK(pages_of(&pair) <= IDLE);
    pair_close(&pair);
}


/* A note about a slot waits after its task is released: when the runtime takes
   it, it writes to the slot, which must still have its page. */
static void
waits_for_notes(void)
{
    int i;
    size_t before;
    pair_t pair;
    nffi_task_t task = 0;
    nffi_request_t request;
    nffi_host_request_t nothing = { 0 };

    open_usual(&pair);

    for (i = 0; i < 1500; i++) {
        CHECK_IS(nffi_host_submit(pair.host, &nothing, &pair, &task), NFFI_OK);
    }

    for (i = 0; i < 1500; i++) {
        CHECK_IS(nffi_queue_poll(pair.queue, &request, 1, 0), 1);

        if (i < 1499) {
            CHECK_IS(nffi_respond(request.task, 0, NULL, 0), NFFI_OK);
        }
    }

    nffi_host_cancel(pair.host, task);
    CHECK_IS(nffi_respond(request.task, 0, NULL, 0), NFFI_OK);
    CHECK_IS(collect_all(&pair), 1499);

    for (i = 0; i < 5; i++) {
        (void) nffi_host_trim(pair.host);
    }

    check_pages(&pair);
    before = pages_of(&pair);
    CHECK_IS(nffi_queue_poll(pair.queue, &request, 1, 0), 0);
    CHECK_IS(pages_of(&pair), before);
    trim_all(&pair);
    CHECK(pages_of(&pair) < before);
    pair_close(&pair);
}


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


/* One call runs at all times, and at first in the last places. */
static void
shrinks_under_a_light_load(void)
{
    int i;
    pair_t pair;
    nffi_request_t before, next, none;

    open_usual(&pair);

    for (i = 0; i < CALLS; i++) {
        CHECK_IS(submit(&pair, 1000), NFFI_OK);
    }

    CHECK_IS(answer_all(&pair, 1000), 0);
    CHECK_IS(collect_all(&pair), CALLS);
    CHECK(pages_of(&pair) > 6 * IDLE);
    CHECK_IS(submit(&pair, 1000), NFFI_OK);
    CHECK_IS(nffi_queue_poll(pair.queue, &before, 1, 0), 1);

    for (i = 0; i < 100; i++) {
        CHECK_IS(submit(&pair, 1000), NFFI_OK);
        CHECK_IS(nffi_queue_poll(pair.queue, &next, 1, 0), 1);
        CHECK_IS(nffi_respond(before.task, 0, bytes, 1000), NFFI_OK);
        CHECK_IS(collect_all(&pair), 1);
        before = next;

        if (i % 3 == 0) {
            (void) nffi_host_trim(pair.host);
            CHECK_IS(nffi_queue_poll(pair.queue, &none, 1, 0), 0);
            CHECK_IS(collect_all(&pair), 0);
        }
    }

    check_pages(&pair);
    CHECK(pages_of(&pair) <= IDLE);
    pair_close(&pair);
}


/* The first of two steps succeeds, the second finds no room: the next block is
   in the pages of the first. */
static void
publishes_after_half_a_step(void)
{
    int i;
    pair_t pair;
    nffi_request_t request;
    static const nffi_host_options_t small = {
        .max_tasks = 1024, .request_arena = 4u << 20,
        .response_arena = 4u << 20
    };

    pair_open_shared(&pair, &small);

    for (i = 0; i < 17; i++) {
        CHECK_IS(submit(&pair, 1), NFFI_OK);
        CHECK_IS(nffi_queue_poll(pair.queue, &request, 1, 0), 1);
        CHECK_IS(nffi_respond(request.task, 0, bytes,
                              i < 15 ? 250 << 10 : i == 15 ? 400 << 10
                                                           : 200 << 10),
                 NFFI_OK);
    }

    CHECK_IS(collect_all(&pair), 17);
    check_pages(&pair);
    pair_close(&pair);
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
        { "an idle queue has less than 1 MiB of pages", costs_little },
        { "pages are allocated before use and freed afterwards",
          grows_and_shrinks },
        { "the same without MADV_POPULATE_WRITE", grows_on_old_kernels },
        { "the same where any advice is ignored", grows_in_emulators },
        { "a large payload allocates at most 1 MiB at a time",
          grows_in_small_steps },
        { "every slot is used, and all are given up", uses_every_slot },
        { "what is in use keeps its pages", keeps_what_is_used },
        { "a slot keeps its page while a note about it waits",
          waits_for_notes },
        { "memory shrinks while calls come and go",
          shrinks_under_a_light_load },
        { "pages of a step that did not suffice are used as well",
          publishes_after_half_a_step },
        { "without memory a call is refused, and works again later",
          refuses_without_memory },
        { "a step that fails after some pages leaves none of them",
          keeps_no_half_step },
        { "a full file system is no SIGBUS", survives_full_file_system },
        { "nor is it without MADV_POPULATE_WRITE", survives_on_old_kernels },
    };

    return CHECK_MAIN(argc, argv, cases);
}
