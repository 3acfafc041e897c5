/*
 * region.c - making, mapping and checking the shared memory of region.h.
 */

#define _GNU_SOURCE

#include "shared/region.h"
#include "shared/commit.h"
#include "shared/control.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define NFFI__SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

static size_t
align_up(size_t size, size_t alignment)
{
    return (size + alignment - 1) & ~(alignment - 1);
}


/* Fills in the offsets; the same computation on both sides. */
static void
lay_out(nffi__header_t *header, const nffi__region_options_t *options)
{
    uint32_t max_tasks = options->max_tasks;
    size_t offset = align_up(sizeof(nffi__header_t), NFFI__CACHE_LINE);

    header->magic = NFFI__MAGIC;
    header->abi = NFFI__REGION_ABI;
    header->max_tasks = max_tasks;
    header->frees_size = max_tasks > NFFI__MIN_FREES ? max_tasks
                                                       : NFFI__MIN_FREES;
    header->request_arena_size = options->request_arena;
    header->response_arena_size = options->response_arena;

    header->logs = offset;
    offset += NFFI__LOGS * sizeof(nffi__log_t);
    header->done = offset;
    offset += (size_t) max_tasks * sizeof(uint64_t);
    header->tasks = offset;
    offset += (size_t) max_tasks * sizeof(uint32_t);
    header->notes = offset;
    offset += (size_t) max_tasks * sizeof(uint32_t);
    header->frees = offset;
    offset += (size_t) header->frees_size * sizeof(uint32_t);

    /* what grows begins with a page of any kernel */
    header->slots = align_up(offset, NFFI__REGION_PAGE);
    offset = header->slots + (size_t) max_tasks * sizeof(nffi__slot_t);
    header->chunks = align_up(offset, NFFI__REGION_PAGE);
    offset = header->chunks
             + (size_t) max_tasks * NFFI__CHUNKS * sizeof(nffi__chunk_t);
    header->request_arena = align_up(offset, NFFI__REGION_PAGE);
    header->response_arena = header->request_arena + options->request_arena;
    offset = header->response_arena + options->response_arena;

    if (options->config != NULL) {
        header->config = offset;
        header->config_size = options->config_size;
        offset += options->config_size + 1;
    }

    header->size = align_up(offset, 4096);
}


static void
set_addresses(nffi__region_t *region, void *base, const nffi__header_t *header)
{
    unsigned char *start = base;

    region->header = base;
    region->size = header->size;
    region->max_tasks = header->max_tasks;
    region->frees_count = header->frees_size;
    region->request_arena_size = header->request_arena_size;
    region->response_arena_size = header->response_arena_size;
    region->slots = (volatile nffi__slot_t *) (start + header->slots);
    region->done = (volatile uint64_t *) (start + header->done);
    region->chunks = (volatile nffi__chunk_t *) (start + header->chunks);
    region->logs = (volatile nffi__log_t *) (start + header->logs);
    region->tasks = (volatile uint32_t *) (start + header->tasks);
    region->notes = (volatile uint32_t *) (start + header->notes);
    region->frees = (volatile uint32_t *) (start + header->frees);
    region->request_arena = start + header->request_arena;
    region->response_arena = start + header->response_arena;
    region->config = header->config != 0 ? start + header->config : NULL;
    region->config_size = header->config_size;
}


/*
 * Sizes the file, and allocates the pages that are used from the beginning: the
 * header, the rings, the configuration, the first slots and the first part of
 * both arenas. Where memory is short, this call fails instead of a later write,
 * which would be a SIGBUS in nginx.
 */
static int
commit_first(int memfd, const nffi__header_t *header)
{
    uint32_t tasks = nffi__first_tasks(header->max_tasks);

    if (!nffi__memfd_may_have(header->size)
        || ftruncate(memfd, (off_t) header->size) == -1
        || nffi__commit(memfd, 0,
                        header->frees + header->frees_size * sizeof(uint32_t))
           == -1
        || nffi__commit(memfd, header->slots, tasks * sizeof(nffi__slot_t))
           == -1
        || nffi__commit(memfd, header->chunks,
                        tasks * NFFI__CHUNKS * sizeof(nffi__chunk_t))
           == -1
        || nffi__commit(memfd, header->request_arena,
                        nffi__first_arena(header->request_arena_size))
           == -1
        || nffi__commit(memfd, header->response_arena,
                        nffi__first_arena(header->response_arena_size))
           == -1
        || (header->config != 0
            && nffi__commit(memfd, header->config, header->config_size + 1)
               == -1))
    {
        return -1;
    }

    return fcntl(memfd, F_ADD_SEALS, NFFI__SEALS);
}


int
nffi__region_create(nffi__region_t *region, int memfd,
    const nffi__region_options_t *options)
{
    int flags;
    void *base;
    nffi__header_t header;

    memset(&header, 0, sizeof(header));

    /* twice what no machine has, so that no sum of sizes wraps */
    if (options->config_size > SIZE_MAX / 4) {
        return NFFI_NO_MEMORY;
    }

    lay_out(&header, options);

    if (memfd == -1) {
        flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;

    } else {
        flags = MAP_SHARED;

        if (commit_first(memfd, &header) == -1) {
            return NFFI_SYSTEM;
        }
    }

    base = mmap(NULL, header.size, PROT_READ | PROT_WRITE, flags, memfd, 0);
    if (base == MAP_FAILED) {
        return errno == ENOMEM ? NFFI_NO_MEMORY : NFFI_SYSTEM;
    }

    /* A child that forks without exec must not write into our queue. */
    (void) madvise(base, header.size, MADV_DONTFORK);

    atomic_init(&header.response_committed,
                memfd == -1 ? header.response_arena_size
                            : nffi__first_arena(header.response_arena_size));
    memcpy(base, &header, sizeof(header));
    set_addresses(region, base, &header);
    region->memfd = memfd != -1 && nffi__commits_mapped(base) ? -1 : memfd;

    if (options->config_size > 0) {
        /* the byte behind it is 0, as all new memory */
        memcpy((unsigned char *) base + header.config, options->config,
               options->config_size);
    }

    return NFFI_OK;
}


static bool
is_size(uint32_t size, uint32_t min, uint32_t max)
{
    return size >= min && size <= max && (size & (size - 1)) == 0;
}


/* What a host that keeps the rules would have written for the sizes that are
   in `header`; all 0 where it could not have such sizes. */
static void
expect(nffi__header_t *expected, const nffi__header_t *header, size_t size)
{
    nffi__region_options_t options;

    memset(expected, 0, sizeof(*expected));

    if (!is_size(header->max_tasks, 1, NFFI__MAX_TASKS)
        || !is_size(header->request_arena_size, NFFI__MIN_ARENA,
                    NFFI__MAX_ARENA)
        || !is_size(header->response_arena_size, NFFI__MIN_ARENA,
                    NFFI__MAX_ARENA)
        || header->config_size > size)
    {
        return;
    }

    options.max_tasks = header->max_tasks;
    options.request_arena = header->request_arena_size;
    options.response_arena = header->response_arena_size;
    options.config = header->config != 0 ? header : NULL;
    options.config_size = header->config_size;

    lay_out(expected, &options);
    expected->spin_us = header->spin_us;
}


int
nffi__region_attach(nffi__region_t *region, int memfd)
{
    int seals;
    void *base;
    struct stat st;
    nffi__header_t header, expected;

    if (fstat(memfd, &st) == -1) {
        return NFFI_SYSTEM;
    }

    seals = fcntl(memfd, F_GET_SEALS);
    if (seals == -1 || (seals & F_SEAL_SHRINK) == 0
        || st.st_size < (off_t) sizeof(nffi__header_t))
    {
        return NFFI_PROTOCOL;
    }

    base = mmap(NULL, (size_t) st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED,
                memfd, 0);
    if (base == MAP_FAILED) {
        return NFFI_SYSTEM;
    }

    memcpy(&header, base, sizeof(header));

    if (header.magic == NFFI__MAGIC && header.abi != NFFI__REGION_ABI) {
        munmap(base, (size_t) st.st_size);
        return NFFI_ABI_MISMATCH;
    }

    expect(&expected, &header, (size_t) st.st_size);

    if (memcmp(&header, &expected, offsetof(nffi__header_t, tasks_ring)) != 0
        || expected.size != (uint64_t) st.st_size
        || (expected.config != 0
            && ((unsigned char *) base)[expected.config + expected.config_size]
               != '\0'))
    {
        munmap(base, (size_t) st.st_size);
        return NFFI_PROTOCOL;
    }

    set_addresses(region, base, &expected);
    region->memfd = nffi__commits_mapped(base) ? -1 : memfd;

    return NFFI_OK;
}


void
nffi__region_unmap(nffi__region_t *region)
{
    if (region->header != NULL) {
        munmap(region->header, region->size);
        memset(region, 0, sizeof(*region));
    }
}
