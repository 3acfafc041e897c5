/*
 * heap.c - keeps freed memory for the next payload. malloc() returns the end of
 * the heap to the kernel as soon as 128 KiB of it are free, and a Buffer of
 * 100 KB then faults its pages in again: 16 faults for each call.
 */

#include "addon.h"

#include <malloc.h>
#include <stdlib.h>

#define KEPT (32 * 1024 * 1024)


void
addon_keep_memory(void)
{
#ifdef M_TRIM_THRESHOLD

    if (getenv("MALLOC_TRIM_THRESHOLD_") != NULL
        || getenv("GLIBC_TUNABLES") != NULL)
    {
        return;    /* the user has chosen */
    }

    /* the second alone would fix the limit of mmap() at 128 KiB */
    (void) mallopt(M_MMAP_THRESHOLD, KEPT);
    (void) mallopt(M_TRIM_THRESHOLD, KEPT);

#endif
}
