/*
 * commit.h - the pages of a region in a file: they are allocated before they
 * are used, since a write to a page that cannot be allocated is a SIGBUS, and
 * freed when they are not needed.
 *
 * Each side allocates the pages of its arena; the worker also allocates those
 * of the slots, and all that it reads of the other arena, which changes nothing
 * where the runtime keeps the rules.
 */

#ifndef NFFI_COMMIT_H
#define NFFI_COMMIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/arena.h"
#include "shared/region.h"

#define NFFI__FIRST_TASKS 1024u              /* slots with pages, and a step */
#define NFFI__FIRST_ARENA (128u << 10)
#define NFFI__ARENA_STEP (256u << 10)
#define NFFI__COMMIT_STEP (1u << 20)         /* bytes allocated at a time: less
                                                than a millisecond */
#define NFFI__TRIM_STEP (1u << 20)           /* bytes freed by one trim */

static inline uint32_t
nffi__first_tasks(uint32_t max_tasks)
{
    return max_tasks < NFFI__FIRST_TASKS ? max_tasks : NFFI__FIRST_TASKS;
}

static inline uint32_t
nffi__first_arena(uint32_t arena)
{
    return arena < NFFI__FIRST_ARENA ? arena : NFFI__FIRST_ARENA;
}

/* Allocates pages of a file; -1 with errno. */
int nffi__commit(int memfd, uint64_t offset, size_t size);

/* The kernel allocates pages of a mapping on request (Linux 5.14, and not an
   emulator that ignores the request), so that the file need not stay open. */
bool nffi__commits_mapped(void *base);

/* Pages of a region in a file: allocates them (-1 with errno), or frees them.
   Both are multiples of NFFI__ARENA_UNIT. */
int nffi__region_commit(const nffi__region_t *region, uint64_t offset,
    size_t size);
void nffi__region_release(const nffi__region_t *region, uint64_t offset,
    size_t size);

/* Right after nffi__arena_init: only the first bytes, which have pages, are
   used. An arena in anonymous memory needs none of this. */
void nffi__commit_first(nffi__arena_t *arena);

/* As nffi__arena_alloc, but allocates pages where they are missing, at most
   NFFI__COMMIT_STEP bytes. False also when a block needs more: later calls
   allocate the rest. */
bool nffi__commit_alloc(nffi__arena_t *arena, const nffi__region_t *region,
    size_t size, uint32_t *offset);

/*
 * Frees at most NFFI__TRIM_STEP bytes of pages that were not needed between the
 * last two trims. Returns true while another trim may free more.
 */
bool nffi__commit_trim(nffi__arena_t *arena, const nffi__region_t *region);

#endif /* NFFI_COMMIT_H */
