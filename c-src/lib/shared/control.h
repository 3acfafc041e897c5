/*
 * control.h - messages on the control socket between a worker and a runtime
 * that is its child: SOCK_SEQPACKET, so each message is one packet. Payloads
 * that do not fit the arena are sent here, each as a separate sealed memfd.
 */

#ifndef NFFI_CONTROL_H
#define NFFI_CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

/* The descriptors that a process finds after exec. */
enum nffi__process_fd {
    NFFI__FD_MEMORY = 3,
    NFFI__FD_TASKS,           /* eventfd: tasks wait */
    NFFI__FD_DONE,            /* eventfd: responses wait */
    NFFI__FD_CONTROL,
    NFFI__FD_EXEC_ERROR       /* CLOEXEC: open until exec only */
};

#define NFFI__ATTACH_ENV "NFFI_ATTACH"

enum nffi__message_type {
    NFFI__MESSAGE_READY = 1,  /* process -> worker */
    NFFI__MESSAGE_FAILED,     /* process -> worker: text */
    NFFI__MESSAGE_ABI,        /* process -> worker: mismatch */
    NFFI__MESSAGE_PAYLOAD     /* both ways: memfd of the task */
};

typedef struct nffi__message {
    uint32_t type;
    uint32_t abi;
    uint64_t task;            /* generation << 32 | slot */
    uint32_t text_size;
    char text[2044];
} nffi__message_t;

#define NFFI__MESSAGE_HEAD offsetof(nffi__message_t, text)

/* Sends one packet. `flags` as for sendmsg. NFFI_OK, NFFI_QUEUE_FULL (the
   socket is, or too many descriptors are in flight), NFFI_CLOSED, or
   NFFI_SYSTEM with errno. */
int nffi__send_packet(int socket, const struct msghdr *msg, int flags);

/* The same for a message, with a descriptor when `fd` is not -1. */
int nffi__control_send(int socket, const nffi__message_t *message, int fd,
    int flags);

/* 1: a message, with its descriptor or -1; 0: none now; NFFI_CLOSED: end of
   file; NFFI_PROTOCOL: malformed; NFFI_SYSTEM. */
int nffi__control_receive(int socket, nffi__message_t *message, int *fd);


/* A memfd that can be sealed and never executed, which a kernel may demand
   (sysctl vm.memfd_noexec); -1 with errno. */
int nffi__memfd_open(const char *name);

/*
 * The largest memfd, which is the longest string of LuaJIT. The pages of a
 * memfd are allocated immediately and bounded only by the memory of the
 * machine: a wrong size must be an error, not the OOM killer.
 */
#define NFFI__MAX_MEMFD 0x7fffff00u

#define NFFI__MAX_PAYLOAD ((size_t) 1 << 30)

/* A payload in a separate memfd, at most NFFI__MAX_PAYLOAD bytes. */
typedef struct nffi__memfd {
    int fd;
    void *data;
    size_t size;
} nffi__memfd_t;

/*
 * Whether a file of this process may have this size; errno is EFBIG otherwise.
 * The kernel refuses more with SIGXFSZ (`ulimit -f`), which would end nginx.
 */
bool nffi__memfd_may_have(uint64_t size);

/* Makes one to write into; nffi__memfd_seal unmaps it, leaving the file. */
int nffi__memfd_create(nffi__memfd_t *memfd, size_t size);

/* Makes one with these bytes, which is not mapped; `parts` are used up. */
int nffi__memfd_write(nffi__memfd_t *memfd, struct iovec *parts, int count);
int nffi__memfd_seal(nffi__memfd_t *memfd);

/* Maps one that came from the other side, `size` bytes, to read; `fd` is
   closed in any case. NFFI_PROTOCOL when it could shrink under the reader. */
int nffi__memfd_map(int fd, size_t size, void **data);

#endif /* NFFI_CONTROL_H */
