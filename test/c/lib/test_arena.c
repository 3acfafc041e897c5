/*
 * test_arena.c - the block allocator against a model that knows each byte.
 */

#include "shared/arena.h"
#include "nffi.h"
#include "check.h"

#define ARENA (256u << 10)
#define BLOCK (1u << NFFI__BLOCK_SHIFT)
#define MAX_BLOCKS (ARENA / BLOCK)

/* The model's record of an allocated block. */
typedef struct given {
    uint32_t offset;
    size_t size;
} given_t;

static uint32_t random_state = 12345;


static uint32_t
random_below(uint32_t n)
{
    random_state = random_state * 1664525u + 1013904223u;

    return (uint32_t) (((uint64_t) random_state * n) >> 32);
}


static size_t
random_size(void)
{
    /* small ones mostly, up to the largest that is given out */
    return random_below(8) == 0 ? random_below(ARENA / 8 + 1)
                                : random_below(700);
}


static size_t
rounded(size_t size)
{
    size_t block = BLOCK;

    while (block < size) {
        block *= 2;
    }

    return block;
}


static void
claim(unsigned char *owned, const given_t *given, size_t bytes)
{
    size_t i;

    for (i = given->offset / BLOCK; i < (given->offset + bytes) / BLOCK; i++) {
        CHECK_IS(owned[i], 0);
        owned[i] = 1;
    }
}


static void
random_load(void)
{
    int round;
    size_t bytes, count = 0, used = 0;
    uint32_t at;
    given_t given[MAX_BLOCKS];
    nffi__arena_t arena;
    unsigned char owned[MAX_BLOCKS] = { 0 };

    CHECK_IS(nffi__arena_init(&arena, ARENA), NFFI_OK);

    for (round = 0; round < CHECK_SCALE(1000000); round++) {
        /* tides: full for a while, then empty for a while */
        if (random_below(100) < (round / 5000 % 2 ? 35u : 65u)
            && count < MAX_BLOCKS)
        {
            given[count].size = random_size();
            bytes = rounded(given[count].size);

            if (nffi__arena_alloc(&arena, given[count].size,
                                  &given[count].offset))
            {
                CHECK_IS(given[count].offset % bytes, 0);
                CHECK(given[count].offset + bytes <= ARENA);
                CHECK_IS(nffi__arena_block_size(&arena, given[count].offset),
                         bytes);
                claim(owned, &given[count], bytes);
                count++;
                used += bytes;

            } else {
                CHECK(used + bytes > ARENA / 8);
            }

        } else if (count > 0) {
            at = random_below((uint32_t) count);
            bytes = rounded(given[at].size);
            memset(owned + given[at].offset / BLOCK, 0, bytes / BLOCK);
            CHECK(nffi__arena_free(&arena, given[at].offset));
            CHECK_IS(nffi__arena_block_size(&arena, given[at].offset), 0);
            given[at] = given[--count];
            used -= bytes;
        }

        CHECK_IS(arena.outstanding, count);
    }

    nffi__arena_free_all(&arena);
}


/* All of the arena in blocks of one size; returns their number. */
static size_t
fill(nffi__arena_t *arena, size_t size, uint32_t *offsets)
{
    size_t count = 0;

    while (nffi__arena_alloc(arena, size, &offsets[count])) {
        count++;
    }

    return count;
}


static void
joins_all(void)
{
    size_t i, j, count, size;
    uint32_t offsets[MAX_BLOCKS + 1], other;
    nffi__arena_t arena;

    CHECK_IS(nffi__arena_init(&arena, ARENA), NFFI_OK);

    /* after each round of small blocks, freed in random order, the arena can
       be given out whole in blocks of the next size */
    for (size = BLOCK; size <= ARENA / 8; size *= 2) {
        count = fill(&arena, size, offsets);
        CHECK_IS(count, ARENA / size);

        for (i = 0; i < count; i++) {
            j = i + random_below((uint32_t) (count - i));
            other = offsets[j];
            offsets[j] = offsets[i];
            CHECK(nffi__arena_free(&arena, other));
        }

        CHECK_IS(arena.outstanding, 0);
    }

    nffi__arena_free_all(&arena);
}


static void
refuses(void)
{
    uint32_t offset, other;
    nffi__arena_t arena;

    CHECK_IS(nffi__arena_init(&arena, ARENA), NFFI_OK);

    CHECK(!nffi__arena_alloc(&arena, ARENA / 8 + 1, &offset));
    CHECK(!nffi__arena_alloc(&arena, ARENA, &offset));
    CHECK(!nffi__arena_alloc(&arena, SIZE_MAX, &offset));
    CHECK(!nffi__arena_alloc(&arena, SIZE_MAX / 2, &offset));
    CHECK_IS(arena.outstanding, 0);

    CHECK(nffi__arena_alloc(&arena, 3 * BLOCK, &offset));
    CHECK(nffi__arena_alloc(&arena, 0, &other));

    /* inside a block, between blocks, beyond the end */
    CHECK(!nffi__arena_free(&arena, offset + 1));
    CHECK(!nffi__arena_free(&arena, offset + BLOCK));
    CHECK(!nffi__arena_free(&arena, ARENA));
    CHECK(!nffi__arena_free(&arena, UINT32_MAX));
    CHECK(!nffi__arena_free(&arena, UINT32_MAX - BLOCK + 1));
    CHECK_IS(nffi__arena_block_size(&arena, UINT64_MAX), 0);
    CHECK_IS(nffi__arena_block_size(&arena, UINT64_C(1) << 32), 0);

    CHECK(nffi__arena_free(&arena, offset));
    CHECK(!nffi__arena_free(&arena, offset));
    CHECK(nffi__arena_free(&arena, other));
    CHECK_IS(arena.outstanding, 0);

    nffi__arena_free_all(&arena);
}


static void
lends(void)
{
    uint32_t offset, other;
    nffi__arena_t arena;

    CHECK_IS(nffi__arena_init(&arena, ARENA), NFFI_OK);
    CHECK(nffi__arena_alloc(&arena, 2 * BLOCK, &offset));
    CHECK(nffi__arena_alloc(&arena, 2 * BLOCK, &other));

    CHECK(!nffi__arena_take_back(&arena, offset));
    CHECK(nffi__arena_lend(&arena, offset));
    CHECK(!nffi__arena_lend(&arena, offset));
    CHECK(!nffi__arena_lend(&arena, offset + BLOCK));
    CHECK(!nffi__arena_free(&arena, offset));
    CHECK_IS(nffi__arena_block_size(&arena, offset), 0);

    CHECK(!nffi__arena_take_back(&arena, other));
    CHECK(!nffi__arena_take_back(&arena, offset + BLOCK));
    CHECK(!nffi__arena_take_back(&arena, UINT32_MAX));
    CHECK(!nffi__arena_take_back(&arena, offset + 1));
    CHECK(nffi__arena_take_back(&arena, offset));
    CHECK(!nffi__arena_take_back(&arena, offset));
    CHECK_IS(arena.outstanding, 1);
    CHECK(nffi__arena_free(&arena, other));
    nffi__arena_free_all(&arena);
}


static void
every_size(void)
{
    uint32_t size, offset;
    nffi__arena_t arena;

    /* the limits of nffi_host_options_t, and what the header promises */
    for (size = 64u << 10; size != 0 && size <= 1u << 30; size <<= 1) {
        CHECK_IS(nffi__arena_init(&arena, size), NFFI_OK);
        CHECK(nffi__arena_alloc(&arena, size / 8, &offset));
        CHECK(offset + size / 8 <= size);
        CHECK(nffi__arena_free(&arena, offset));
        nffi__arena_free_all(&arena);
    }
}


/* The beginning alone is given out, then a unit more each time, then all. */
static void
holds_back(void)
{
    size_t count;
    uint32_t first, offset;
    nffi__arena_t arena;
    static uint32_t offsets[ARENA / BLOCK];

    for (first = NFFI__ARENA_UNIT; first <= ARENA; first *= 2) {
        CHECK_IS(nffi__arena_init(&arena, ARENA), NFFI_OK);
        nffi__arena_hold(&arena, first);

        for (count = 0; arena.limit < ARENA; ) {
            while (nffi__arena_alloc(&arena, BLOCK, &offset)) {
                CHECK(offset < arena.limit);
                offsets[count++] = offset;
            }

            CHECK_IS(count, arena.limit / BLOCK);
            nffi__arena_extend(&arena, arena.limit + NFFI__ARENA_UNIT);
        }

        while (count > 0) {
            CHECK(nffi__arena_free(&arena, offsets[--count]));
        }

        CHECK_IS(fill(&arena, BLOCK, offsets), ARENA / BLOCK);

        for (count = 0; count < ARENA / BLOCK; count++) {
            CHECK(nffi__arena_free(&arena, offsets[count]));
        }

        CHECK_IS(fill(&arena, ARENA / 8, offsets), 8);
        nffi__arena_free_all(&arena);
    }
}


/* The limit moves down to the last block in use, and no block above it is given
   out until it moves up again. */
static void
frees_the_end(void)
{
    size_t i, count, place;
    uint32_t limit;
    nffi__arena_t arena;
    static uint32_t offsets[ARENA / BLOCK];

    CHECK_IS(nffi__arena_init(&arena, ARENA), NFFI_OK);

    for (place = 0; place < ARENA / BLOCK; place += 331) {
        count = fill(&arena, BLOCK, offsets);
        CHECK_IS(count, ARENA / BLOCK);

        for (i = 0; i < count; i++) {
            if (offsets[i] != place * BLOCK) {
                CHECK(nffi__arena_free(&arena, offsets[i]));
            }
        }

        limit = (uint32_t) (place * BLOCK / NFFI__ARENA_UNIT + 1)
                * NFFI__ARENA_UNIT;
        nffi__arena_retract(&arena, NFFI__ARENA_UNIT);
        CHECK_IS(arena.limit, limit);
        count = fill(&arena, BLOCK, offsets);
        CHECK_IS(count, limit / BLOCK - 1);

        for (i = 0; i < count; i++) {
            CHECK(offsets[i] < limit);
            CHECK(nffi__arena_free(&arena, offsets[i]));
        }

        CHECK(nffi__arena_free(&arena, (uint32_t) (place * BLOCK)));
        nffi__arena_retract(&arena, 2 * NFFI__ARENA_UNIT);
        CHECK_IS(arena.limit, limit > 2 * NFFI__ARENA_UNIT
                              ? 2 * NFFI__ARENA_UNIT : limit);
        nffi__arena_extend(&arena, ARENA);
    }

    CHECK_IS(fill(&arena, ARENA / 8, offsets), 8);
    nffi__arena_free_all(&arena);
}


int
main(int argc, char **argv)
{
    static const check_case_t cases[] = {
        { "blocks never overlap under a random load", random_load },
        { "freed blocks join to the whole arena again", joins_all },
        { "what no block is, and too large a size, are refused", refuses },
        { "a block that was lent is not freed until it is back", lends },
        { "arenas from 64 KiB to 1 GiB give out an eighth", every_size },
        { "a part that is held back is not given out until the limit moves up",
          holds_back },
        { "the limit moves down as far as the end is free", frees_the_end },
    };

    return CHECK_MAIN(argc, argv, cases);
}
