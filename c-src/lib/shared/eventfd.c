/*
 * eventfd.c - see eventfd.h.
 */

#include "shared/eventfd.h"

#include <errno.h>
#include <stdint.h>
#include <unistd.h>


void
nffi__eventfd_signal(int fd)
{
    ssize_t n;
    uint64_t one = 1;

    /* EAGAIN: the counter is at its maximum, so it is signalled already */
    do {
        n = write(fd, &one, sizeof(one));
    } while (n == -1 && errno == EINTR);
}


void
nffi__eventfd_clear(int fd)
{
    ssize_t n;
    uint64_t count;

    do {
        n = read(fd, &count, sizeof(count));
    } while (n == -1 && errno == EINTR);
}
