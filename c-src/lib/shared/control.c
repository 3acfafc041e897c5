/*
 * control.c - see control.h.
 */

#define _GNU_SOURCE

#include "shared/control.h"
#include "shared/descriptors.h"
#include "nffi.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008u
#endif


int
nffi__send_packet(int socket, const struct msghdr *msg, int flags)
{
    ssize_t n;

    do {
        n = sendmsg(socket, msg, flags | MSG_NOSIGNAL);
    } while (n == -1 && errno == EINTR);

    if (n != -1) {
        return NFFI_OK;
    }

    switch (errno) {
    case EAGAIN:
    case ETOOMANYREFS:        /* more descriptors in flight than allowed */
    case ENOBUFS:
        return NFFI_QUEUE_FULL;
    case EPIPE:
    case ECONNRESET:
        return NFFI_CLOSED;
    default:
        return NFFI_SYSTEM;
    }
}


int
nffi__control_send(int socket, const nffi__message_t *message, int fd,
    int flags)
{
    struct iovec iov;
    struct msghdr msg;
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control;

    memset(&msg, 0, sizeof(msg));
    iov.iov_base = (void *) message;
    iov.iov_len = NFFI__MESSAGE_HEAD + message->text_size;
    msg.msg_iov = &iov;
    msg.msg_iovlen = 1;

    if (fd != -1) {
        nffi__add_descriptors(&msg, control.bytes, &fd, 1);
    }

    return nffi__send_packet(socket, &msg, flags);
}


/* Returns the received descriptor, or -1. Room for one is room for two on 64
   bits: a sender of more loses all. */
static int
received_fd(struct msghdr *msg, int *fd)
{
    int fds[2];
    size_t i, count;
    struct cmsghdr *cmsg = CMSG_FIRSTHDR(msg);

    *fd = -1;

    if (cmsg == NULL || cmsg->cmsg_level != SOL_SOCKET
        || cmsg->cmsg_type != SCM_RIGHTS)
    {
        return NFFI_OK;
    }

    count = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    memcpy(fds, CMSG_DATA(cmsg), count * sizeof(int));

    if (count == 1) {
        *fd = fds[0];
        return NFFI_OK;
    }

    for (i = 0; i < count; i++) {
        close(fds[i]);
    }

    return NFFI_PROTOCOL;
}


int
nffi__control_receive(int socket, nffi__message_t *message, int *fd)
{
    ssize_t n;
    struct iovec iov;
    struct msghdr msg;
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control;

    *fd = -1;
    memset(&msg, 0, sizeof(msg));
    iov.iov_base = message;
    iov.iov_len = sizeof(*message);
    msg.msg_iov = &iov;
    msg.msg_iovlen = 1;
    msg.msg_control = control.bytes;
    msg.msg_controllen = sizeof(control.bytes);

    /* after a side that ended without reading everything, the reset is reported
       once, before its messages */
    do {
        n = recvmsg(socket, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    } while (n == -1 && (errno == EINTR || errno == ECONNRESET));

    if (n == -1) {
        return errno == EAGAIN ? 0 : NFFI_SYSTEM;
    }

    if (n == 0) {
        return NFFI_CLOSED;
    }

    if (received_fd(&msg, fd) != NFFI_OK || (msg.msg_flags & MSG_TRUNC)
        || (size_t) n < NFFI__MESSAGE_HEAD
        || message->text_size != (size_t) n - NFFI__MESSAGE_HEAD)
    {
        if (*fd != -1) {
            close(*fd);
            *fd = -1;
        }

        return NFFI_PROTOCOL;
    }

    return 1;
}


int
nffi__memfd_open(const char *name)
{
    int fd = memfd_create(name, MFD_CLOEXEC | MFD_NOEXEC_SEAL);

    /* before Linux 6.3 */
    if (fd == -1 && errno == EINVAL) {
        fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    }

    return fd;
}


bool
nffi__memfd_may_have(uint64_t size)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_FSIZE, &limit) == -1
        || limit.rlim_cur == RLIM_INFINITY || size <= limit.rlim_cur)
    {
        return true;
    }

    errno = EFBIG;

    return false;
}


static int
open_payload(nffi__memfd_t *memfd, size_t size)
{
    memfd->fd = -1;
    memfd->data = NULL;
    memfd->size = size;

    /* a request has a NUL behind it */
    if (size > NFFI__MAX_MEMFD + 1u) {
        return NFFI_NO_MEMORY;
    }

    if (!nffi__memfd_may_have(size)) {
        return NFFI_SYSTEM;
    }

    memfd->fd = nffi__memfd_open("nffi-payload");

    return memfd->fd == -1 ? NFFI_SYSTEM : NFFI_OK;
}


/* Returns the code for errno. */
static int
close_payload(nffi__memfd_t *memfd)
{
    int saved = errno;

    close(memfd->fd);
    memfd->fd = -1;
    memfd->data = NULL;
    errno = saved;

    return saved == ENOMEM || saved == ENOSPC ? NFFI_NO_MEMORY : NFFI_SYSTEM;
}


int
nffi__memfd_create(nffi__memfd_t *memfd, size_t size)
{
    int rc;

    rc = open_payload(memfd, size);
    if (rc != NFFI_OK) {
        return rc;
    }

    if (ftruncate(memfd->fd, (off_t) size) == -1) {
        return close_payload(memfd);
    }

    /* pages now, so that writing cannot be a SIGBUS later */
    do {
        rc = fallocate(memfd->fd, 0, 0, (off_t) size);
    } while (rc == -1 && errno == EINTR);

    if (rc == -1) {
        return close_payload(memfd);
    }

    memfd->data = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED,
                       memfd->fd, 0);
    if (memfd->data == MAP_FAILED) {
        return close_payload(memfd);
    }

    return NFFI_OK;
}


/* The kernel need not clear pages that it fills, nor map them: half the time of
   allocating and mapping them first. */
int
nffi__memfd_write(nffi__memfd_t *memfd, struct iovec *parts, int count)
{
    int i, rc;
    off_t at = 0;
    size_t size = 0;
    ssize_t n;

    for (i = 0; i < count; i++) {
        size += parts[i].iov_len;
    }

    rc = open_payload(memfd, size);
    if (rc != NFFI_OK) {
        return rc;
    }

    while (at < (off_t) size) {
        n = pwritev(memfd->fd, parts, count, at);

        if (n == -1 && errno == EINTR) {
            continue;
        }

        if (n <= 0) {
            return close_payload(memfd);
        }

        at += n;

        while (count > 0 && (size_t) n >= parts->iov_len) {
            n -= (ssize_t) parts->iov_len;
            parts++;
            count--;
        }

        if (count > 0) {
            parts->iov_base = (char *) parts->iov_base + n;
            parts->iov_len -= (size_t) n;
        }
    }

    return NFFI_OK;
}


int
nffi__memfd_seal(nffi__memfd_t *memfd)
{
    if (memfd->data != NULL) {
        munmap(memfd->data, memfd->size);
        memfd->data = NULL;
    }

    if (fcntl(memfd->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) == -1) {
        return NFFI_SYSTEM;
    }

    return NFFI_OK;
}


int
nffi__memfd_map(int fd, size_t size, void **data)
{
    int seals, rc, flags;
    struct stat st;

    rc = NFFI_PROTOCOL;
    seals = fcntl(fd, F_GET_SEALS);

    if (seals != -1 && (seals & F_SEAL_SHRINK) && fstat(fd, &st) == 0
        && (uint64_t) st.st_size >= size)
    {
        /* a page that the sender left out would be allocated now */
        flags = (uint64_t) st.st_blocks * 512 >= size
                ? MAP_SHARED | MAP_POPULATE : MAP_SHARED;
        *data = mmap(NULL, size, PROT_READ, flags, fd, 0);
        rc = *data == MAP_FAILED ? NFFI_NO_MEMORY : NFFI_OK;
    }

    close(fd);

    return rc;
}
