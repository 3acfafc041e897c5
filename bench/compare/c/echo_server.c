/*
 * echo_server.c - returns each payload on a unix socket, in one thread:
 *
 *   echo_server SOCKET
 *
 * A length of four bytes, big-endian, precedes each payload.
 */

#define _GNU_SOURCE

#include <arpa/inet.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define HEAD      sizeof(uint32_t)
#define MAX_READY 64

typedef struct {
    int     fd;
    size_t  have;
    size_t  room;
    char   *data;
} connection_t;


static size_t
wanted(const connection_t *c)
{
    uint32_t  size;

    if (c->have < HEAD) {
        return HEAD;
    }

    memcpy(&size, c->data, HEAD);

    return HEAD + ntohl(size);
}


static int
reply(const connection_t *c)
{
    ssize_t  n;
    size_t   sent;

    for (sent = 0; sent < c->have; sent += (size_t) n) {
        n = write(c->fd, c->data + sent, c->have - sent);
        if (n <= 0) {
            return 0;
        }
    }

    return 1;
}


/* 0: the client has gone */

static int
serve(connection_t *c)
{
    ssize_t  n;
    size_t   size;

    size = wanted(c);

    if (size > c->room) {
        c->data = realloc(c->data, size);
        c->room = size;
    }

    n = read(c->fd, c->data + c->have, c->room - c->have);
    if (n <= 0) {
        return 0;
    }

    c->have += (size_t) n;

    if (c->have < HEAD || c->have < wanted(c)) {
        return 1;
    }

    if (!reply(c)) {
        return 0;
    }

    c->have = 0;

    return 1;
}


static void
accept_from(int listener, int epoll)
{
    connection_t        *c;
    struct epoll_event   event;

    c = calloc(1, sizeof(*c));
    c->room = 1 << 16;
    c->data = malloc(c->room);
    c->fd = accept(listener, NULL, NULL);
    event.events = EPOLLIN;
    event.data.ptr = c;
    (void) epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &event);
}


int
main(int argc, char **argv)
{
    int                  i, n, epoll, listener;
    connection_t        *c;
    struct sockaddr_un   address;
    struct epoll_event   event, ready[MAX_READY];

    if (argc != 2) {
        return 2;
    }

    memset(&address, 0, sizeof(address));
    address.sun_family = AF_UNIX;
    strncpy(address.sun_path, argv[1], sizeof(address.sun_path) - 1);
    listener = socket(AF_UNIX, SOCK_STREAM, 0);

    if (bind(listener, (struct sockaddr *) &address, sizeof(address)) != 0
        || listen(listener, 511) != 0)
    {
        return 1;
    }

    epoll = epoll_create1(0);
    event.events = EPOLLIN;
    event.data.ptr = NULL;
    (void) epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);

    for ( ;; ) {
        n = epoll_wait(epoll, ready, MAX_READY, -1);

        for (i = 0; i < n; i++) {
            c = ready[i].data.ptr;

            if (c == NULL) {
                accept_from(listener, epoll);

            } else if (!serve(c)) {
                close(c->fd);
                free(c->data);
                free(c);
            }
        }
    }
}
