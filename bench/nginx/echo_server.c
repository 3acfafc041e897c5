/*
 * echo_server.c - the cosocket's partner: answers each message of so many
 * bytes with the same bytes, on any number of connections of a unix socket.
 *
 *   echo_server PATH SIZE
 */

#define _GNU_SOURCE

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define MAX_EVENTS 1024

typedef struct connection {
    int fd;
    size_t have;
    char *data;
} connection_t;


static int
serve(connection_t *c, size_t size)
{
    ssize_t n;
    size_t sent;

    n = read(c->fd, c->data + c->have, size - c->have);
    if (n <= 0) {
        return 0;
    }

    c->have += (size_t) n;

    if (c->have == size) {
        for (sent = 0; sent < size; sent += (size_t) n) {
            n = write(c->fd, c->data + sent, size - sent);
            if (n <= 0) {
                return 0;
            }
        }

        c->have = 0;
    }

    return 1;
}


int
main(int argc, char **argv)
{
    int i, n, listener, epfd;
    size_t size;
    connection_t *c;
    struct sockaddr_un address;
    struct epoll_event event, events[MAX_EVENTS];

    if (argc != 3 || strlen(argv[1]) >= sizeof(address.sun_path)) {
        fprintf(stderr, "usage: echo_server PATH SIZE\n");
        return 2;
    }

    size = (size_t) atol(argv[2]);
    memset(&address, 0, sizeof(address));
    address.sun_family = AF_UNIX;
    strcpy(address.sun_path, argv[1]);
    listener = socket(AF_UNIX, SOCK_STREAM, 0);

    if (listener == -1
        || bind(listener, (struct sockaddr *) &address, sizeof(address)) == -1
        || listen(listener, MAX_EVENTS) == -1)
    {
        perror("echo_server");
        return 1;
    }

    epfd = epoll_create1(0);
    event.events = EPOLLIN;
    event.data.ptr = NULL;
    epoll_ctl(epfd, EPOLL_CTL_ADD, listener, &event);

    for ( ;; ) {
        n = epoll_wait(epfd, events, MAX_EVENTS, -1);

        for (i = 0; i < n; i++) {
            c = events[i].data.ptr;

            if (c == NULL) {
                c = malloc(sizeof(*c));
                c->fd = accept(listener, NULL, NULL);
                c->have = 0;
                c->data = malloc(size);
                event.data.ptr = c;
                epoll_ctl(epfd, EPOLL_CTL_ADD, c->fd, &event);

            } else if (!serve(c, size)) {
                close(c->fd);
                free(c->data);
                free(c);
            }
        }
    }
}
