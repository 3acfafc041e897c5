/*
 * test_control.c - messages on the socket, and payloads in memfds.
 */

#include "check.h"
#include "shared/control.h"
#include "nffi.h"

#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>


static void
make_sockets(int *sockets)
{
    CHECK_CALL(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets));
}


/* Sends raw bytes with up to two descriptors. */
static void
send_raw(int socket, const void *data, size_t size, const int *fds,
    size_t count)
{
    struct iovec iov = { (void *) data, size };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
    struct cmsghdr *cmsg;
    union {
        char bytes[CMSG_SPACE(8 * sizeof(int))];
        struct cmsghdr align;
    } control;

    if (count > 0) {
        memset(&control, 0, sizeof(control));
        msg.msg_control = control.bytes;
        msg.msg_controllen = CMSG_SPACE(count * sizeof(int));
        cmsg = CMSG_FIRSTHDR(&msg);
        cmsg->cmsg_level = SOL_SOCKET;
        cmsg->cmsg_type = SCM_RIGHTS;
        cmsg->cmsg_len = CMSG_LEN(count * sizeof(int));
        memcpy(CMSG_DATA(cmsg), fds, count * sizeof(int));
    }

    CHECK_IS(sendmsg(socket, &msg, 0), size);
}


static void
carries(void)
{
    int sockets[2], fd, before;
    char byte = 'x';
    nffi__message_t message, got;

    make_sockets(sockets);
    before = open_fds();
    CHECK_IS(nffi__control_receive(sockets[1], &got, &fd), 0);
    CHECK_IS(fd, -1);

    memset(&message, 0, sizeof(message));
    message.type = NFFI__MESSAGE_PAYLOAD;
    message.task = 0x123456789abcdef0;
    message.text_size = sizeof(message.text);
    memset(message.text, 'y', sizeof(message.text));
    CHECK_IS(nffi__control_send(sockets[0], &message, -1, 0), NFFI_OK);
    message.text_size = 0;
    fd = memfd_create("test", MFD_CLOEXEC);
    CHECK_IS(write(fd, &byte, 1), 1);
    CHECK_IS(nffi__control_send(sockets[0], &message, fd, 0), NFFI_OK);
    close(fd);

    CHECK_IS(nffi__control_receive(sockets[1], &got, &fd), 1);
    CHECK_IS(fd, -1);
    CHECK_IS(got.text_size, sizeof(got.text));
    CHECK_IS(got.text[sizeof(got.text) - 1], 'y');
    CHECK(got.task == message.task);

    CHECK_IS(nffi__control_receive(sockets[1], &got, &fd), 1);
    CHECK(fd != -1);
    CHECK_IS(pread(fd, &byte, 1, 0), 1);
    CHECK_IS(fcntl(fd, F_GETFD), FD_CLOEXEC);
    close(fd);
    CHECK_IS(nffi__control_receive(sockets[1], &got, &fd), 0);
    CHECK_IS(open_fds(), before);
}


static void
fills_up(void)
{
    int sockets[2], fd, rc, sent = 0;
    nffi__message_t message;

    make_sockets(sockets);
    memset(&message, 0, sizeof(message));

    do {
        rc = nffi__control_send(sockets[0], &message, -1, MSG_DONTWAIT);
        sent += rc == NFFI_OK;
    } while (rc == NFFI_OK);

    CHECK_IS(rc, NFFI_QUEUE_FULL);
    CHECK(sent > 16);

    while (sent > 0) {
        CHECK_IS(nffi__control_receive(sockets[1], &message, &fd), 1);
        sent--;
    }

    CHECK_IS(nffi__control_receive(sockets[1], &message, &fd), 0);
}


static void
ends(void)
{
    int sockets[2], fd;
    nffi__message_t message;

    make_sockets(sockets);
    memset(&message, 0, sizeof(message));
    CHECK_IS(nffi__control_send(sockets[0], &message, -1, 0), NFFI_OK);
    close(sockets[0]);

    /* what was sent before the end is still read */
    CHECK_IS(nffi__control_receive(sockets[1], &message, &fd), 1);
    CHECK_IS(nffi__control_receive(sockets[1], &message, &fd), NFFI_CLOSED);
    CHECK_IS(nffi__control_send(sockets[1], &message, -1, 0), NFFI_CLOSED);
    CHECK_IS(nffi__control_send(-1, &message, -1, 0), NFFI_SYSTEM);
    CHECK_IS(nffi__control_receive(-1, &message, &fd), NFFI_SYSTEM);
}


/* Malformed packets: refused, and none of their descriptors stays open. */
static void
refuses_malformed(void)
{
    int sockets[2], fd, before, fds[5] = { 0, 0, 0, 0, 0 };
    char packet[4096] = { 0 };
    nffi__message_t message, got;

    make_sockets(sockets);
    before = open_fds();
    memset(&message, 0, sizeof(message));

    send_raw(sockets[0], packet, 1, fds, 1);
    CHECK_IS(nffi__control_receive(sockets[1], &got, &fd), NFFI_PROTOCOL);
    CHECK_IS(fd, -1);

    message.text_size = 1;
    send_raw(sockets[0], &message, NFFI__MESSAGE_HEAD, fds, 1);
    CHECK_IS(nffi__control_receive(sockets[1], &got, &fd), NFFI_PROTOCOL);

    message.text_size = UINT32_MAX;
    send_raw(sockets[0], &message, sizeof(message), fds, 1);
    CHECK_IS(nffi__control_receive(sockets[1], &got, &fd), NFFI_PROTOCOL);

    memcpy(packet, &message, sizeof(message));
    send_raw(sockets[0], packet, sizeof(packet), fds, 1);
    CHECK_IS(nffi__control_receive(sockets[1], &got, &fd), NFFI_PROTOCOL);
    CHECK_IS(open_fds(), before);

    /* more descriptors than one: all or none, and nothing leaks */
    message.text_size = 0;
    send_raw(sockets[0], &message, NFFI__MESSAGE_HEAD, fds, 2);
    CHECK_IS(nffi__control_receive(sockets[1], &got, &fd), NFFI_PROTOCOL);
    CHECK_IS(fd, -1);
    CHECK_IS(open_fds(), before);
    send_raw(sockets[0], &message, NFFI__MESSAGE_HEAD, fds, 5);
    CHECK_IS(nffi__control_receive(sockets[1], &got, &fd), NFFI_PROTOCOL);
    CHECK_IS(open_fds(), before);
}


static void
carries_payloads(void)
{
    int before = open_fds();
    void *data;
    nffi__memfd_t memfd;

    CHECK_IS(nffi__memfd_create(&memfd, 100000), NFFI_OK);
    CHECK_IS(memfd.size, 100000);
    memset(memfd.data, 'p', 100000);
    CHECK_IS(nffi__memfd_seal(&memfd), NFFI_OK);
    CHECK(memfd.data == NULL);
    CHECK_IS(ftruncate(memfd.fd, 0), -1);
    CHECK_IS(nffi__memfd_map(memfd.fd, 100000, &data), NFFI_OK);
    CHECK_IS(((char *) data)[99999], 'p');
    munmap(data, 100000);
    CHECK_IS(open_fds(), before);
}


static void
cannot_be_executed(void)
{
    int fd, seals;

    fd = memfd_create("test", MFD_CLOEXEC | 0x0008u);
    if (fd == -1) {
        check_skip("this kernel has no MFD_NOEXEC_SEAL");
    }

    close(fd);
    fd = nffi__memfd_open("test");
    seals = fcntl(fd, F_GET_SEALS);
    CHECK(seals != -1);
    CHECK_IS(seals & F_SEAL_SEAL, 0);
    CHECK_IS(fchmod(fd, 0777), -1);
    close(fd);
}


static void
refuses_payloads(void)
{
    int fds[2], before = open_fds();
    void *data;
    nffi__memfd_t memfd;

    CHECK(nffi__memfd_create(&memfd, SIZE_MAX) != NFFI_OK);
    CHECK(nffi__memfd_create(&memfd, (size_t) 1 << 60) != NFFI_OK);
    CHECK_IS(memfd.fd, -1);
    CHECK(memfd.data == NULL);

    /* could shrink under the reader; too small; no file at all */
    CHECK_IS(nffi__memfd_create(&memfd, 100), NFFI_OK);
    munmap(memfd.data, 100);
    CHECK_IS(nffi__memfd_map(memfd.fd, 100, &data), NFFI_PROTOCOL);
    CHECK_IS(nffi__memfd_create(&memfd, 100), NFFI_OK);
    CHECK_IS(nffi__memfd_seal(&memfd), NFFI_OK);
    CHECK_IS(nffi__memfd_map(memfd.fd, 101, &data), NFFI_PROTOCOL);
    CHECK_CALL(pipe(fds));
    close(fds[1]);
    CHECK_IS(nffi__memfd_map(fds[0], 1, &data), NFFI_PROTOCOL);
    CHECK_IS(open_fds(), before);
}


int
main(int argc, char **argv)
{
    static const check_case_t cases[] = {
        { "messages carry text and a descriptor", carries },
        { "a full socket refuses instead of waiting", fills_up },
        { "the end comes after the last message", ends },
        { "malformed packets are refused and leave no descriptor",
          refuses_malformed },
        { "payloads in a memfd", carries_payloads },
        { "memory that is shared cannot be executed", cannot_be_executed },
        { "payloads that cannot be trusted are refused", refuses_payloads },
    };

    return CHECK_MAIN(argc, argv, cases);
}
