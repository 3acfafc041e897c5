/*
 * test_region.c - the shared layout: what a process accepts as a queue, and
 * rings whose counts wrap.
 */

#include "check.h"
#include "shared/control.h"
#include "shared/region.h"

#include <sys/mman.h>
#include <sys/resource.h>

#define TASKS 16
#define ARENA (64u << 10)
#define CONFIG "a configuration"


static int
make_memfd(void)
{
    int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    CHECK(fd != -1);

    return fd;
}


static int
create(nffi__region_t *region, int fd, uint32_t tasks, uint32_t requests,
    uint32_t responses)
{
    nffi__region_options_t options = {
        .max_tasks = tasks, .request_arena = requests,
        .response_arena = responses
    };

    return nffi__region_create(region, fd, &options);
}


static int
create_with(nffi__region_t *region, int fd, const void *config, size_t size)
{
    nffi__region_options_t options = {
        .max_tasks = TASKS, .request_arena = ARENA, .response_arena = ARENA,
        .config = config, .config_size = size
    };

    return nffi__region_create(region, fd, &options);
}


static void
same_on_both_sides(void)
{
    int fd = make_memfd();
    nffi__region_t ours, theirs;

    CHECK_IS(create(&ours, fd, TASKS, ARENA, 2 * ARENA), NFFI_OK);
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
    ours.chunks[TASKS * NFFI__CHUNKS - 1].storage = 8;
    ours.logs[NFFI__LOGS - 1].level = 9;
    ours.response_arena[2 * ARENA - 1] = 7;
    CHECK_IS(theirs.slots[TASKS - 1].request_size, 1);
    CHECK_IS(theirs.done[TASKS - 1], 2);
    CHECK_IS(theirs.tasks[TASKS - 1], 3);
    CHECK_IS(theirs.notes[TASKS - 1], 4);
    CHECK_IS(theirs.frees[theirs.frees_count - 1], 5);
    CHECK_IS(theirs.request_arena[ARENA - 1], 6);
    CHECK_IS(theirs.chunks[TASKS * NFFI__CHUNKS - 1].storage, 8);
    CHECK_IS(theirs.logs[NFFI__LOGS - 1].level, 9);
    CHECK_IS(theirs.response_arena[2 * ARENA - 1], 7);
    CHECK(theirs.config == NULL);
    CHECK_IS(theirs.config_size, 0);

    nffi__region_unmap(&ours);
    nffi__region_unmap(&theirs);
    nffi__region_unmap(&theirs);
    close(fd);
}


/* Of every size around a page, and with every byte behind it set before. */
static void
holds_config(void)
{
    size_t i;
    int fd;
    char *config;
    nffi__region_t ours, theirs;
    static const size_t sizes[] = {
        0, 1, 4094, 4095, 4096, 4097, 200000, 5000000
    };

    for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        fd = make_memfd();
        config = malloc(sizes[i] + 1);
        CHECK(config != NULL);
        memset(config, 'c', sizes[i] + 1);

        CHECK_IS(create_with(&ours, fd, config, sizes[i]), NFFI_OK);
        CHECK_IS(nffi__region_attach(&theirs, fd), NFFI_OK);
        CHECK(theirs.config != NULL);
        CHECK_BYTES(theirs.config, theirs.config_size, config, sizes[i]);
        CHECK_IS(theirs.config[sizes[i]], '\0');
        CHECK(theirs.config >= theirs.response_arena + ARENA);

        free(config);
        nffi__region_unmap(&ours);
        nffi__region_unmap(&theirs);
        close(fd);
    }

    fd = make_memfd();
    CHECK_IS(create_with(&ours, fd, CONFIG, SIZE_MAX), NFFI_NO_MEMORY);
    CHECK_IS(create_with(&ours, fd, CONFIG, SIZE_MAX / 4 + 1), NFFI_NO_MEMORY);
    close(fd);
}


static void
keeps_size(void)
{
    int fd = make_memfd();
    nffi__region_t region;

    CHECK_IS(create(&region, fd, TASKS, ARENA, ARENA), NFFI_OK);
    CHECK_IS(ftruncate(fd, 0), -1);
    CHECK_IS(ftruncate(fd, (off_t) region.size * 2), -1);
    CHECK_IS(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
    nffi__region_unmap(&region);
    close(fd);
}


/* A queue whose header is as `spoil` leaves it. */
static int
attach_spoilt_with(const char *config, void (*spoil)(nffi__header_t *header))
{
    int rc, fd = make_memfd();
    nffi__region_t ours, theirs;

    CHECK_IS(create_with(&ours, fd, config, config != NULL ? strlen(config)
                                                           : 0), NFFI_OK);
    spoil(ours.header);
    rc = nffi__region_attach(&theirs, fd);
    nffi__region_unmap(&ours);
    close(fd);

    return rc;
}

static int
attach_spoilt(void (*spoil)(nffi__header_t *header))
{
    return attach_spoilt_with(CONFIG, spoil);
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
static void config_elsewhere(nffi__header_t *h) { h->config -= 1; }
static void config_in_slots(nffi__header_t *h) { h->config = h->slots; }
static void config_is_none(nffi__header_t *h) { h->config = 0; }
static void config_behind(nffi__header_t *h) { h->config = h->size; }
static void config_longer(nffi__header_t *h) { h->config_size += 4096; }
static void config_wraps(nffi__header_t *h) { h->config_size -= 4096; }
static void config_huge(nffi__header_t *h) { h->config_size = UINT64_MAX; }

/* All offsets and the size of the file are right, but for a sum that wraps. */
static void config_wraps_to_none(nffi__header_t *h)
{
    h->config = h->size;
    h->config_size = UINT64_MAX;
}

/* Within its page, so that only the NUL behind it shows the error. */
static void config_shorter(nffi__header_t *h) { h->config_size--; }

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
    CHECK_IS(attach_spoilt(config_elsewhere), NFFI_PROTOCOL);
    CHECK_IS(attach_spoilt(config_in_slots), NFFI_PROTOCOL);
    CHECK_IS(attach_spoilt(config_is_none), NFFI_PROTOCOL);
    CHECK_IS(attach_spoilt(config_behind), NFFI_PROTOCOL);
    CHECK_IS(attach_spoilt(config_longer), NFFI_PROTOCOL);
    CHECK_IS(attach_spoilt(config_wraps), NFFI_PROTOCOL);
    CHECK_IS(attach_spoilt(config_huge), NFFI_PROTOCOL);
    CHECK_IS(attach_spoilt(config_shorter), NFFI_PROTOCOL);
    CHECK_IS(attach_spoilt_with(NULL, config_wraps_to_none), NFFI_PROTOCOL);
}


/* Sizes that fit together, but that the rings and arenas cannot work with. */
static int
attach_sizes(uint32_t tasks, uint32_t requests, uint32_t responses)
{
    int rc, fd = make_memfd();
    nffi__region_t ours, theirs;

    CHECK_IS(create(&ours, fd, tasks, requests, responses), NFFI_OK);
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


/* A worker whose files may not have this size is not ended by SIGXFSZ. */
static void
keeps_limit_of_files(void)
{
    int fd = make_memfd();
    nffi__region_t region;
    nffi__memfd_t memfd;
    struct rlimit small = { ARENA, RLIM_INFINITY };
    struct iovec parts[] = { { CONFIG, sizeof(CONFIG) }, { NULL, 0 } };

    parts[1].iov_base = calloc(1, ARENA);
    parts[1].iov_len = ARENA;
    CHECK_CALL(setrlimit(RLIMIT_FSIZE, &small));
    CHECK_IS(create(&region, fd, TASKS, ARENA, ARENA), NFFI_SYSTEM);
    CHECK_IS(errno, EFBIG);
    CHECK_IS(nffi__memfd_create(&memfd, ARENA + 1), NFFI_SYSTEM);
    CHECK_IS(nffi__memfd_write(&memfd, parts, 2), NFFI_SYSTEM);
    CHECK_IS(errno, EFBIG);
    CHECK_IS(nffi__memfd_create(&memfd, ARENA), NFFI_OK);
    CHECK_IS(nffi__memfd_seal(&memfd), NFFI_OK);
    free(parts[1].iov_base);
    close(memfd.fd);
    close(fd);
}


int
main(int argc, char **argv)
{
    static const check_case_t cases[] = {
        { "both sides see the same layout", same_on_both_sides },
        { "a configuration of any size is whole", holds_config },
        { "nobody can change the size of the memory", keeps_size },
        { "headers that are not ours are refused", refuses_headers },
        { "sizes that cannot work are refused", refuses_sizes },
        { "files that are no queue are refused", refuses_files },
        { "a limit of the size of files is an error, no signal",
          keeps_limit_of_files },
        { "rings survive the wrap of their counts", wraps },
    };

    return CHECK_MAIN(argc, argv, cases);
}
