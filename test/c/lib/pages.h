/*
 * pages.h - a shared queue whose pages a case counts, and a kernel that a case
 * can make old or short of memory.
 */

#ifndef PAGES_H
#define PAGES_H

#include "pair.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#define POPULATE 23           /* MADV_POPULATE_WRITE */
#define IDLE (1u << 20)       /* bytes that an idle queue may have */

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

#endif /* PAGES_H */
