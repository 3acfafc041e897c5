/*
 * commit.c - see commit.h.
 */

#define _GNU_SOURCE

#include "shared/commit.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

/* No kernel knows this advice. An emulator such as qemu-user accepts any advice
   and ignores it, so that its success does not mean that there are pages. */
#define NO_ADVICE (-1)


int
nffi__commit(int memfd, uint64_t offset, size_t size)
{
    int rc;

    if (size == 0) {
        return 0;
    }

    do {
        rc = fallocate(memfd, 0, (off_t) offset, (off_t) size);
    } while (rc == -1 && errno == EINTR);

    return rc;
}


bool
nffi__commits_mapped(void *base)
{
    return madvise(base, 1, NO_ADVICE) == -1
           && madvise(base, 1, MADV_POPULATE_WRITE) == 0;
}


int
nffi__region_commit(const nffi__region_t *region, uint64_t offset, size_t size)
{
    int rc;

    if (region->memfd != -1) {
        return nffi__commit(region->memfd, offset, size);
    }

    do {
        rc = madvise((unsigned char *) region->header + offset, size,
                     MADV_POPULATE_WRITE);
    } while (rc == -1 && errno == EINTR);

    return rc;
}


/* If it fails, the pages stay, and are used again later. */
void
nffi__region_release(const nffi__region_t *region, uint64_t offset,
    size_t size)
{
    if (region->memfd != -1) {
        (void) fallocate(region->memfd,
                         FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                         (off_t) offset, (off_t) size);
        return;
    }

    (void) madvise((unsigned char *) region->header + offset, size,
                   MADV_REMOVE);
}


static uint32_t
size_of(const nffi__arena_t *arena)
{
    return arena->blocks << NFFI__BLOCK_SHIFT;
}


void
nffi__commit_first(nffi__arena_t *arena)
{
    arena->committed = nffi__first_arena(size_of(arena));
    arena->needed = arena->committed;
    nffi__arena_hold(arena, arena->committed);
}


/* The limit after one more step: small blocks get a step, large ones an aligned
   place of their size. */
static uint32_t
next_limit(const nffi__arena_t *arena, size_t room)
{
    size_t step = room > NFFI__ARENA_STEP ? room : NFFI__ARENA_STEP;
    size_t limit = (arena->limit / step + 1) * step;

    return limit < size_of(arena) ? (uint32_t) limit : size_of(arena);
}


/* Allocates pages up to the limit, or `budget` bytes of them. */
static bool
commit_up_to(nffi__arena_t *arena, const nffi__region_t *region, uint32_t limit,
    uint32_t *budget)
{
    uint32_t size = limit - arena->committed;

    if (size > *budget) {
        size = *budget;
    }

    if (size > 0
        && nffi__region_commit(region, arena->start + arena->committed, size)
           == -1)
    {
        /* some of them may have pages now */
        nffi__region_release(region, arena->start + arena->committed, size);
        return false;
    }

    *budget -= size;
    arena->committed += size;

    return arena->committed == limit;
}


static bool
extend(nffi__arena_t *arena, const nffi__region_t *region, uint32_t limit,
    uint32_t *budget)
{
    bool done = limit <= arena->committed
                || commit_up_to(arena, region, limit, budget);

    if (done) {
        nffi__arena_extend(arena, limit);

    } else {
        limit = arena->committed;    /* for a later call */
    }

    if (limit > arena->needed) {
        arena->needed = limit;
    }

    return done;
}


bool
nffi__commit_alloc(nffi__arena_t *arena, const nffi__region_t *region,
    size_t size, uint32_t *offset)
{
    int step;
    size_t room;
    uint32_t budget = NFFI__COMMIT_STEP;

    if (nffi__arena_alloc(arena, size, offset)) {
        return true;
    }

    room = nffi__arena_room(arena, size);

    /* the second step ends a large block that the first one has aligned */
    for (step = 0; step < 2 && room > 0; step++) {
        if (arena->limit == size_of(arena)
            || !extend(arena, region, next_limit(arena, room), &budget))
        {
            return false;
        }

        if (nffi__arena_alloc(arena, size, offset)) {
            return true;
        }
    }

    return false;
}


bool
nffi__commit_trim(nffi__arena_t *arena, const nffi__region_t *region)
{
    uint32_t first = nffi__first_arena(size_of(arena));
    uint32_t from = arena->needed;

    if (arena->committed - from > NFFI__TRIM_STEP) {
        from = arena->committed - NFFI__TRIM_STEP;
    }

    if (from < arena->committed) {
        nffi__region_release(region, arena->start + from,
                             arena->committed - from);
        arena->committed = from;
    }

    nffi__arena_retract(arena, first);
    arena->needed = arena->limit;

    return arena->committed > first;
}
