/*
 * descriptors.h - descriptors in a message of a unix socket (SCM_RIGHTS), and
 * their end.
 */

#ifndef NFFI_DESCRIPTORS_H
#define NFFI_DESCRIPTORS_H

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/*
 * Adds `count` descriptors to a message. `room` has the alignment of a cmsghdr
 * and CMSG_SPACE(count * sizeof(int)) bytes; it must live as long as `msg`.
 */
static inline void
nffi__add_descriptors(struct msghdr *msg, void *room, const int *fds,
    size_t count)
{
    struct cmsghdr *cmsg;

    memset(room, 0, CMSG_SPACE(count * sizeof(int)));
    msg->msg_control = room;
    msg->msg_controllen = CMSG_SPACE(count * sizeof(int));
    cmsg = CMSG_FIRSTHDR(msg);
    cmsg->cmsg_level = SOL_SOCKET;
    cmsg->cmsg_type = SCM_RIGHTS;
    cmsg->cmsg_len = CMSG_LEN(count * sizeof(int));
    memcpy(CMSG_DATA(cmsg), fds, count * sizeof(int));
}


/* Closes each descriptor that is not -1. */
static inline void
nffi__close_all(const int *fds, size_t count)
{
    size_t i;

    for (i = 0; i < count; i++) {
        if (fds[i] != -1) {
            close(fds[i]);
        }
    }
}

#endif /* NFFI_DESCRIPTORS_H */
