/*
 * lies.h - false values that one side of a queue writes into the region, each
 * in a process of its own, since the other side may then close the queue.
 */

#ifndef NFFI_LIES_H
#define NFFI_LIES_H

#include "check.h"
#include "pair.h"

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

typedef void (*lie_t)(pair_t *pair);


/* Calls `tell` with each of the lies. It has found the lie if it returns. */
static void
tell_each(void (*tell)(lie_t), const lie_t *lies, size_t count)
{
    size_t i;
    int status;

    for (i = 0; i < count; i++) {
        if (fork() == 0) {
            tell(lies[i]);
            exit(0);
        }

        CHECK(wait(&status) > 0);

        if (status != 0) {
            check_fail(__FILE__, __LINE__, "lie %zu: status 0x%x", i,
                       (unsigned) status);
        }
    }
}

#endif
