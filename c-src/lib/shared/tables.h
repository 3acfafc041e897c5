/*
 * tables.h - memory with an element for each slot of a queue. Most slots are
 * never used, so the kernel clears the pages of a table at their first use.
 * calloc() writes to all of what it takes from a heap. AddressSanitizer sees
 * only a heap, so under it the tables are taken from there.
 *
 * thread: any; blocks: no
 */

#ifndef NFFI_TABLES_H
#define NFFI_TABLES_H

#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>

/* nffi__table_alloc() returns cleared memory of `size` bytes, or NULL.
   nffi__table_free() gets the same size. */

#if defined(__SANITIZE_ADDRESS__)

static inline void *
nffi__table_alloc(size_t size)
{
    return calloc(1, size);
}


static inline void
nffi__table_free(void *table, size_t size)
{
    (void) size;
    free(table);
}

#else

static inline void *
nffi__table_alloc(size_t size)
{
    void *table = mmap(NULL, size, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return table == MAP_FAILED ? NULL : table;
}


static inline void
nffi__table_free(void *table, size_t size)
{
    if (table != NULL) {
        (void) munmap(table, size);
    }
}

#endif

#endif /* NFFI_TABLES_H */
