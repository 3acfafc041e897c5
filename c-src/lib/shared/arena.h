/*
 * arena.h - an allocator for blocks of an arena in shared memory.
 *
 * One side allocates in an arena, and its bookkeeping is in that side's private
 * memory: the other side cannot damage it. A buddy allocator (Knuth, The Art of
 * Computer Programming, volume 1, 2.5) with a stack of free blocks for each
 * size in front, so that a steady load neither splits nor joins.
 *
 * Not thread-safe: the caller holds the lock of its side, if it needs one.
 */

#ifndef NFFI_ARENA_H
#define NFFI_ARENA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NFFI__BLOCK_SHIFT 7                  /* the smallest block: 128 bytes */
#define NFFI__ARENA_ORDERS 24
#define NFFI__ARENA_CACHE 64                 /* free blocks kept of a size */
#define NFFI__NO_BLOCK UINT32_MAX
#define NFFI__ARENA_UNIT (64u << 10)         /* the limit is a multiple of it */

typedef struct nffi__arena {
    uint32_t blocks;          /* of the smallest size, a power of two */
    uint32_t top_order;       /* the order of the whole arena */
    uint32_t max_order;       /* the largest that is given out */
    uint32_t limit;           /* bytes at its beginning that are in use; the
                                 rest is held back */
    uint32_t committed;       /* bytes at its beginning that have pages; at
                                 least the limit; see commit.h */
    uint32_t needed;          /* the highest limit since the last trim */
    uint64_t start;           /* its offset in the region */
    uint32_t outstanding;     /* blocks given out */
    uint8_t *states;          /* of each block: order, and whether free */
    uint32_t *next;           /* free lists, linked by block number */
    uint32_t *previous;
    uint32_t free_lists[NFFI__ARENA_ORDERS];
    uint32_t cached[NFFI__ARENA_ORDERS];
    uint32_t *caches;         /* NFFI__ARENA_ORDERS stacks */
} nffi__arena_t;

/* `size`: bytes, a power of two from 64 KiB to 1 GiB. 0 or NFFI_NO_MEMORY. */
int nffi__arena_init(nffi__arena_t *arena, uint32_t size);
void nffi__arena_free_all(nffi__arena_t *arena);

/* Right after nffi__arena_init: only the first bytes are given out, a power of
   two of at least NFFI__ARENA_UNIT that is no more than the whole. */
void nffi__arena_hold(nffi__arena_t *arena, uint32_t first);

/* Moves the limit up to `limit`, a multiple of NFFI__ARENA_UNIT. */
void nffi__arena_extend(nffi__arena_t *arena, uint32_t limit);

/* Moves the limit down as far as everything above it is free, at most to
   `floor`, a multiple of NFFI__ARENA_UNIT. What is in use above the floor is
   followed by blocks at lower places. */
void nffi__arena_retract(nffi__arena_t *arena, uint32_t floor);

/* Bytes of the block that `size` needs; 0: more than an eighth of the arena. */
size_t nffi__arena_room(const nffi__arena_t *arena, size_t size);

/* The offset of a block of at least `size` bytes; false when there is none,
   also when `size` is more than an eighth of the arena. */
bool nffi__arena_alloc(nffi__arena_t *arena, size_t size, uint32_t *offset);

/* False when no block given out starts there, or it is lent. */
bool nffi__arena_free(nffi__arena_t *arena, uint32_t offset);

/* Bytes of the block that starts there; 0 when none does, or it is lent. */
size_t nffi__arena_block_size(const nffi__arena_t *arena, uint64_t offset);

/* A block that the other side reads is lent: only nffi__arena_take_back frees
   it, and that frees no other. */
bool nffi__arena_lend(nffi__arena_t *arena, uint32_t offset);
bool nffi__arena_take_back(nffi__arena_t *arena, uint32_t offset);

#endif /* NFFI_ARENA_H */
