/*
 * test_region.c - the shared layout: what a process accepts as a queue, and
 * rings whose counts wrap.
 */

#include "check.h"
#include "region.h"

#include <sys/mman.h>

#define TASKS 16
#define ARENA (64u << 10)


static int
make_memfd(void)
{
    int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    CHECK(fd != -1);

    return fd;
}


static void
same_on_both_sides(void)
{
    int fd = make_memfd();
    nffi__region_t ours, theirs;

    CHECK_IS(nffi__region_create(&ours, fd, TASKS, ARENA, 2 * ARENA), NFFI_OK);
    CHECK_IS(nffi__region_attach(&theirs, fd), NFFI_OK);
    CHECK(theirs.header != ours.header);
    CHECK_IS(theirs.size, ours.size);
    CHECK_IS(theirs.max_tasks, TASKS);
    CHECK_IS(theirs.request_arena_size, ARENA);
    CHECK_IS(theirs.response_arena_size, 2 * ARENA);
    CHECK_IS((uintptr_t) theirs.slots % NFFI__CACHE_LINE, 0);

    /* the last byte of each part, seen through the other mapping */
    ours.slots[TASKS - 1].request_size = 1;
    ours.done[TASKS - 1] = 2;
    ours.tasks[TASKS - 1] = 3;
    ours.notes[TASKS - 1] = 4;
    ours.frees[ours.frees_count - 1] = 5;
    ours.request_arena[ARENA - 1] = 6;
    ours.chunks[TASKS * NFFI__CHUNKS - 1].place = 8;
    ours.logs[NFFI__LOGS - 1].level = 9;
    ours.response_arena[2 * ARENA - 1] = 7;
    CHECK_IS(theirs.slots[TASKS - 1].request_size, 1);
    CHECK_IS(theirs.done[TASKS - 1], 2);
    CHECK_IS(theirs.tasks[TASKS - 1], 3);
    CHECK_IS(theirs.notes[TASKS - 1], 4);
    CHECK_IS(theirs.frees[theirs.frees_count - 1], 5);
    CHECK_IS(theirs.request_arena[ARENA - 1], 6);
    CHECK_IS(theirs.chunks[TASKS * NFFI__CHUNKS - 1].place, 8);
    CHECK_IS(theirs.logs[NFFI__LOGS - 1].level, 9);
    CHECK_IS(theirs.response_arena[2 * ARENA - 1], 7);

    nffi__region_unmap(&ours);
    nffi__region_unmap(&theirs);
    nffi__region_unmap(&theirs);
    close(fd);
}


static void
keeps_size(void)
{
    int fd = make_memfd();
    nffi__region_t region;

    CHECK_IS(nffi__region_create(&region, fd, TASKS, ARENA, ARENA), NFFI_OK);
    CHECK_IS(ftruncate(fd, 0), -1);
    CHECK_IS(ftruncate(fd, (off_t) region.size * 2), -1);
    CHECK_IS(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
    nffi__region_unmap(&region);
    close(fd);
}


/* A queue whose header is as `spoil` leaves it. */
static int
attach_spoilt(void (*spoil)(nffi__header_t *header))
{
    int rc, fd = make_memfd();
    nffi__region_t ours, theirs;

    CHECK_IS(nffi__region_create(&ours, fd, TASKS, ARENA, ARENA), NFFI_OK);
    spoil(ours.header);
    rc = nffi__region_attach(&theirs, fd);
    nffi__region_unmap(&ours);
    close(fd);

    return rc;
}

static void no_magic(nffi__header_t *h) { h->magic = 0; }
static void other_abi(nffi__header_t *h) { h->abi = 99; }
static void other_size(nffi__header_t *h) { h->size += 4096; }
static void no_tasks(nffi__header_t *h) { h->max_tasks = h->frees_size = 0; }
static void more_tasks(nffi__header_t *h) { h->max_tasks *= 2; }
static void all_tasks(nffi__header_t *h) { h->max_tasks = UINT32_MAX; }
static void other_frees(nffi__header_t *h) { h->frees_size *= 2; }
static void other_arena(nffi__header_t *h) { h->response_arena_size *= 2; }
static void other_ring(nffi__header_t *h) { h->done += 64; }
static void swapped(nffi__header_t *h) { h->slots = h->request_arena; }


static void
refuses_headers(void)
{
    CHECK_IS(attach_spoilt(other_abi), NFFI_ABI_MISMATCH);
    CHECK_IS(attach_spoilt(no_magic), NFFI_PROTOCOL);
    CHECK_IS(attach_spoilt(other_size), NFFI_PROTOCOL);
    CHECK_IS(attach_spoilt(no_tasks), NFFI_PROTOCOL);
    CHECK_IS(attach_spoilt(more_tasks), NFFI_PROTOCOL);
    CHECK_IS(attach_spoilt(all_tasks), NFFI_PROTOCOL);
    CHECK_IS(attach_spoilt(other_frees), NFFI_PROTOCOL);
    CHECK_IS(attach_spoilt(other_arena), NFFI_PROTOCOL);
    CHECK_IS(attach_spoilt(other_ring), NFFI_PROTOCOL);
    CHECK_IS(attach_spoilt(swapped), NFFI_PROTOCOL);
}


/* Sizes that fit together, but that the rings and arenas cannot work with. */
static int
attach_sizes(uint32_t tasks, uint32_t requests, uint32_t responses)
{
    int rc, fd = make_memfd();
    nffi__region_t ours, theirs;

    CHECK_IS(nffi__region_create(&ours, fd, tasks, requests, responses),
             NFFI_OK);
    rc = nffi__region_attach(&theirs, fd);
    nffi__region_unmap(&ours);

    if (rc == NFFI_OK) {
        nffi__region_unmap(&theirs);
    }

    close(fd);

    return rc;
}


static void
refuses_sizes(void)
{
    CHECK_IS(attach_sizes(1, ARENA, ARENA), NFFI_OK);
    CHECK_IS(attach_sizes(0, ARENA, ARENA), NFFI_PROTOCOL);
    CHECK_IS(attach_sizes(3, ARENA, ARENA), NFFI_PROTOCOL);
    CHECK_IS(attach_sizes(NFFI__MAX_TASKS * 2, ARENA, ARENA), NFFI_PROTOCOL);
    CHECK_IS(attach_sizes(TASKS, 0, ARENA), NFFI_PROTOCOL);
    CHECK_IS(attach_sizes(TASKS, ARENA, 0), NFFI_PROTOCOL);
    CHECK_IS(attach_sizes(TASKS, ARENA, 128), NFFI_PROTOCOL);
    CHECK_IS(attach_sizes(TASKS, ARENA, 3 * ARENA), NFFI_PROTOCOL);
    CHECK_IS(attach_sizes(TASKS, ARENA + 1, ARENA), NFFI_PROTOCOL);
}


static void
refuses_files(void)
{
    int fd;
    nffi__region_t region;

    CHECK_IS(nffi__region_attach(&region, -1), NFFI_SYSTEM);

    fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    CHECK_IS(nffi__region_attach(&region, fd), NFFI_PROTOCOL);
    close(fd);

    fd = make_memfd();
    CHECK_IS(nffi__region_attach(&region, fd), NFFI_PROTOCOL);
    CHECK_CALL(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW));
    CHECK_IS(nffi__region_attach(&region, fd), NFFI_PROTOCOL);
    close(fd);

    fd = make_memfd();
    CHECK_CALL(ftruncate(fd, 1 << 20));
    CHECK_IS(nffi__region_attach(&region, fd), NFFI_PROTOCOL);
    CHECK_CALL(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK));
    CHECK_IS(nffi__region_attach(&region, fd), NFFI_PROTOCOL);
    close(fd);
}


static void
wraps(void)
{
    int round;
    uint32_t i, put = 0, got = 0, capacity = 4, entries[4];
    nffi__ring_t ring;

    atomic_init(&ring.head, UINT32_MAX - 5);
    atomic_init(&ring.tail, UINT32_MAX - 5);

    for (round = 0; round < 20; round++) {
        while (!nffi__ring_full(&ring, capacity)) {
            entries[nffi__ring_next(&ring, capacity)] = put++;
            nffi__ring_publish(&ring, 1);
        }

        CHECK_IS(nffi__ring_waiting(&ring), capacity);

        for (i = 0; i < (uint32_t) round % 4 + 1; i++) {
            CHECK_IS(entries[nffi__ring_first(&ring, capacity)], got++);
            nffi__ring_consume(&ring, 1);
        }

        CHECK_IS(nffi__ring_waiting(&ring), capacity - i);
    }
}


int
main(int argc, char **argv)
{
    static const check_case_t cases[] = {
        { "both sides see the same layout", same_on_both_sides },
        { "nobody can change the size of the memory", keeps_size },
        { "headers that are not ours are refused", refuses_headers },
        { "sizes that cannot work are refused", refuses_sizes },
        { "files that are no queue are refused", refuses_files },
        { "rings survive the wrap of their counts", wraps },
    };

    return CHECK_MAIN(argc, argv, cases);
}
