/*
 * arena.c - see arena.h.
 */

#include "shared/arena.h"
#include "nffi.h"

#include <stdlib.h>
#include <string.h>

/*
 * The state of a block number: 0 when it is inside another block, else what
 * starts there and its order.
 */
#define STATE_FREE 0x20       /* on a free list */
#define STATE_CACHED 0x40     /* on a stack */
#define STATE_USED 0x80       /* given out */
#define STATE_LENT 0xc0       /* given out, and now the other side's */
#define STATE_KIND 0xe0
#define STATE_ORDER 0x1f

#define UNIT_ORDER ((uint32_t) __builtin_ctz(NFFI__ARENA_UNIT) \
                    - NFFI__BLOCK_SHIFT)


int
nffi__arena_init(nffi__arena_t *arena, uint32_t size)
{
    uint32_t order;

    memset(arena, 0, sizeof(*arena));

    arena->blocks = size >> NFFI__BLOCK_SHIFT;
    arena->states = calloc(arena->blocks, 1);
    arena->next = malloc(arena->blocks * sizeof(uint32_t));
    arena->previous = malloc(arena->blocks * sizeof(uint32_t));
    arena->caches = malloc(sizeof(uint32_t) * NFFI__ARENA_ORDERS
                           * NFFI__ARENA_CACHE);

    if (arena->states == NULL || arena->next == NULL
        || arena->previous == NULL || arena->caches == NULL)
    {
        nffi__arena_free_all(arena);
        return NFFI_NO_MEMORY;
    }

    for (order = 0; order < NFFI__ARENA_ORDERS; order++) {
        arena->free_lists[order] = NFFI__NO_BLOCK;
    }

    arena->top_order = (uint32_t) __builtin_ctz(arena->blocks);
    arena->max_order = arena->top_order - 3;
    arena->limit = size;
    arena->committed = size;
    arena->needed = size;
    arena->states[0] = (uint8_t) (STATE_FREE | arena->top_order);
    arena->next[0] = NFFI__NO_BLOCK;
    arena->previous[0] = NFFI__NO_BLOCK;
    arena->free_lists[arena->top_order] = 0;

    return NFFI_OK;
}


void
nffi__arena_free_all(nffi__arena_t *arena)
{
    free(arena->states);
    free(arena->next);
    free(arena->previous);
    free(arena->caches);
    memset(arena, 0, sizeof(*arena));
}


static void
link_free(nffi__arena_t *arena, uint32_t block, uint32_t order)
{
    uint32_t first = arena->free_lists[order];

    arena->states[block] = (uint8_t) (STATE_FREE | order);
    arena->next[block] = first;
    arena->previous[block] = NFFI__NO_BLOCK;

    if (first != NFFI__NO_BLOCK) {
        arena->previous[first] = block;
    }

    arena->free_lists[order] = block;
}


static void
unlink_free(nffi__arena_t *arena, uint32_t block, uint32_t order)
{
    uint32_t next = arena->next[block];
    uint32_t previous = arena->previous[block];

    if (previous == NFFI__NO_BLOCK) {
        arena->free_lists[order] = next;

    } else {
        arena->next[previous] = next;
    }

    if (next != NFFI__NO_BLOCK) {
        arena->previous[next] = previous;
    }

    arena->states[block] = 0;
}


/* Puts a block on its free list, joined with its buddies as far as they are
   free. */
static void
join(nffi__arena_t *arena, uint32_t block, uint32_t order)
{
    uint32_t buddy;

    arena->states[block] = 0;

    while (order < arena->top_order) {
        buddy = block ^ (1u << order);

        if (arena->states[buddy] != (STATE_FREE | order)) {
            break;
        }

        unlink_free(arena, buddy, order);

        if (buddy < block) {
            block = buddy;
        }

        order++;
    }

    link_free(arena, block, order);
}


static void
flush_caches(nffi__arena_t *arena)
{
    uint32_t order;

    for (order = 0; order <= arena->max_order; order++) {
        while (arena->cached[order] > 0) {
            arena->cached[order]--;
            join(arena, arena->caches[order * NFFI__ARENA_CACHE
                                      + arena->cached[order]], order);
        }
    }
}


void
nffi__arena_hold(nffi__arena_t *arena, uint32_t first)
{
    arena->limit = first;
    unlink_free(arena, 0, arena->top_order);
    link_free(arena, 0, (uint32_t) __builtin_ctz(first >> NFFI__BLOCK_SHIFT));
}


void
nffi__arena_extend(nffi__arena_t *arena, uint32_t limit)
{
    for (; arena->limit < limit; arena->limit += NFFI__ARENA_UNIT) {
        join(arena, arena->limit >> NFFI__BLOCK_SHIFT, UNIT_ORDER);
    }
}


/* Takes the last unit below the limit off the free lists; false when it is not
   free. A free block that contains it ends with it. */
static bool
take_unit(nffi__arena_t *arena)
{
    uint32_t order, block = 0;
    uint32_t unit = (arena->limit - NFFI__ARENA_UNIT) >> NFFI__BLOCK_SHIFT;

    for (order = UNIT_ORDER; order <= arena->top_order; order++) {
        block = unit & ~((1u << order) - 1);

        if (arena->states[block] == (STATE_FREE | order)) {
            break;
        }
    }

    if (order > arena->top_order) {
        return false;
    }

    unlink_free(arena, block, order);

    while (order > UNIT_ORDER) {
        order--;
        link_free(arena, block, order);
        block += 1u << order;
    }

    arena->limit -= NFFI__ARENA_UNIT;

    return true;
}


/* Orders the free lists by address. The steps are as many as there are blocks
   below the limit. */
static void
sort_free_lists(nffi__arena_t *arena)
{
    uint32_t block, order, last[NFFI__ARENA_ORDERS];
    uint32_t end = arena->limit >> NFFI__BLOCK_SHIFT;

    for (order = 0; order < NFFI__ARENA_ORDERS; order++) {
        arena->free_lists[order] = NFFI__NO_BLOCK;
        last[order] = NFFI__NO_BLOCK;
    }

    for (block = 0; block < end; block += 1u << order) {
        order = arena->states[block] & STATE_ORDER;

        if ((arena->states[block] & STATE_KIND) != STATE_FREE) {
            continue;
        }

        arena->previous[block] = last[order];
        arena->next[block] = NFFI__NO_BLOCK;

        if (last[order] == NFFI__NO_BLOCK) {
            arena->free_lists[order] = block;

        } else {
            arena->next[last[order]] = block;
        }

        last[order] = block;
    }
}


/* While a block is in use above the floor, new ones are placed below it, so
   that a later call can move the limit. */
void
nffi__arena_retract(nffi__arena_t *arena, uint32_t floor)
{
    flush_caches(arena);

    while (arena->limit > floor && take_unit(arena)) {
        /* the next one */
    }

    if (arena->limit > floor) {
        sort_free_lists(arena);
    }
}


/* Takes the lowest of the first blocks of the lists. */
static uint32_t
split(nffi__arena_t *arena, uint32_t order)
{
    uint32_t i, from = order, block = NFFI__NO_BLOCK;

    for (i = order; i <= arena->top_order; i++) {
        if (arena->free_lists[i] < block) {
            block = arena->free_lists[i];
            from = i;
        }
    }

    if (block == NFFI__NO_BLOCK) {
        return NFFI__NO_BLOCK;
    }

    unlink_free(arena, block, from);

    while (from > order) {
        from--;
        link_free(arena, block + (1u << from), from);
    }

    return block;
}


static uint32_t
order_of(size_t size)
{
    size_t blocks = (size + (1u << NFFI__BLOCK_SHIFT) - 1)
                    >> NFFI__BLOCK_SHIFT;

    return blocks <= 1 ? 0
                       : (uint32_t) (64 - __builtin_clzl(blocks - 1));
}


size_t
nffi__arena_room(const nffi__arena_t *arena, size_t size)
{
    uint32_t order = order_of(size);

    return order > arena->max_order ? 0
                                    : (size_t) 1 << (order + NFFI__BLOCK_SHIFT);
}


bool
nffi__arena_alloc(nffi__arena_t *arena, size_t size, uint32_t *offset)
{
    uint32_t block, order;

    if (size > (size_t) arena->blocks << NFFI__BLOCK_SHIFT) {
        return false;
    }

    order = order_of(size);
    if (order > arena->max_order) {
        return false;
    }

    if (arena->cached[order] > 0) {
        arena->cached[order]--;
        block = arena->caches[order * NFFI__ARENA_CACHE + arena->cached[order]];

    } else {
        block = split(arena, order);

        if (block == NFFI__NO_BLOCK) {
            flush_caches(arena);
            block = split(arena, order);
        }

        if (block == NFFI__NO_BLOCK) {
            return false;
        }
    }

    arena->states[block] = (uint8_t) (STATE_USED | order);
    arena->outstanding++;
    *offset = block << NFFI__BLOCK_SHIFT;

    return true;
}


size_t
nffi__arena_block_size(const nffi__arena_t *arena, uint64_t offset)
{
    uint64_t block = offset >> NFFI__BLOCK_SHIFT;

    if ((offset & ((1u << NFFI__BLOCK_SHIFT) - 1)) != 0
        || block >= arena->blocks
        || (arena->states[block] & STATE_KIND) != STATE_USED)
    {
        return 0;
    }

    return (size_t) 1 << (NFFI__BLOCK_SHIFT
                          + (arena->states[block] & STATE_ORDER));
}


bool
nffi__arena_free(nffi__arena_t *arena, uint32_t offset)
{
    uint32_t block, order;

    if (nffi__arena_block_size(arena, offset) == 0) {
        return false;
    }

    block = offset >> NFFI__BLOCK_SHIFT;
    order = arena->states[block] & STATE_ORDER;
    arena->outstanding--;

    if (arena->cached[order] < NFFI__ARENA_CACHE) {
        arena->states[block] = (uint8_t) (STATE_CACHED | order);
        arena->caches[order * NFFI__ARENA_CACHE + arena->cached[order]] = block;
        arena->cached[order]++;

    } else {
        join(arena, block, order);
    }

    return true;
}


bool
nffi__arena_lend(nffi__arena_t *arena, uint32_t offset)
{
    if (nffi__arena_block_size(arena, offset) == 0) {
        return false;
    }

    arena->states[offset >> NFFI__BLOCK_SHIFT] |= STATE_LENT;

    return true;
}


bool
nffi__arena_take_back(nffi__arena_t *arena, uint32_t offset)
{
    uint32_t block = offset >> NFFI__BLOCK_SHIFT;

    if ((offset & ((1u << NFFI__BLOCK_SHIFT) - 1)) != 0
        || block >= arena->blocks
        || (arena->states[block] & STATE_KIND) != STATE_LENT)
    {
        return false;
    }

    arena->states[block] = (uint8_t) (STATE_USED
                                      | (arena->states[block] & STATE_ORDER));

    return nffi__arena_free(arena, offset);
}
