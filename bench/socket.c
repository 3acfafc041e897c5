/*
 * socket.c - a server behind a unix domain socket with one connection for each
 * call in flight, as a pool of cosockets would have.
 */

#define _GNU_SOURCE

#include "bench.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAX_CONNECTIONS 256
#define BUFFER (1 << 20)

static int ours[MAX_CONNECTIONS], theirs[MAX_CONNECTIONS], connections;
static size_t payload_size, got[MAX_CONNECTIONS], got_there[MAX_CONNECTIONS];
static unsigned char *source, *there[MAX_CONNECTIONS];
static int epoll_ours, epoll_theirs, thread_cpu, stop_pipe[2];
static pthread_t thread;


static void
write_all(int socket, const unsigned char *data, size_t size)
{
    ssize_t n;

    while (size > 0) {
        n = write(socket, data, size);

        if (n == -1 && errno != EINTR) {
            bench_die("write");
        }

        if (n > 0) {
            data += n;
            size -= (size_t) n;
        }
    }
}


/* Reads what there is; 1: a whole payload has come. */
static int
read_some(int socket, unsigned char *data, size_t *have)
{
    ssize_t n;

    n = recv(socket, data + *have, payload_size - *have, MSG_DONTWAIT);

    if (n > 0) {
        *have += (size_t) n;
    }

    if (*have < payload_size) {
        return 0;
    }

    *have = 0;

    return 1;
}


static void *
serve(void *data)
{
    int i, n, c;
    struct epoll_event events[MAX_CONNECTIONS];

    (void) data;
    bench_pin(thread_cpu);

    for ( ;; ) {
        n = epoll_wait(epoll_theirs, events, MAX_CONNECTIONS, -1);

        for (i = 0; i < n; i++) {
            c = (int) events[i].data.u32;

            if (c == MAX_CONNECTIONS) {
                return NULL;
            }

            if (read_some(theirs[c], there[c], &got_there[c])) {
                write_all(theirs[c], there[c], payload_size);
            }
        }
    }
}


static void
watch(int epfd, int fd, int number)
{
    struct epoll_event event;

    event.events = EPOLLIN;
    event.data.u64 = 0;
    event.data.u32 = (uint32_t) number;

    if (epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &event) == -1) {
        bench_die("epoll_ctl");
    }
}


static void
start(size_t size, int in_flight, int cpu)
{
    int i, pair[2], buffer = BUFFER;

    payload_size = size;
    connections = in_flight;
    thread_cpu = cpu;
    source = calloc(1, size);
    epoll_ours = epoll_create1(0);
    epoll_theirs = epoll_create1(0);

    for (i = 0; i < in_flight; i++) {
        if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == -1) {
            bench_die("socketpair");
        }

        ours[i] = pair[0];
        theirs[i] = pair[1];
        /* room for a whole payload, so that neither side waits for the other */
        setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &buffer, sizeof(buffer));
        setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &buffer, sizeof(buffer));
        got[i] = 0;
        got_there[i] = 0;
        there[i] = malloc(size);
        watch(epoll_ours, ours[i], i);
        watch(epoll_theirs, theirs[i], i);
    }

    if (pipe(stop_pipe) == -1) {
        bench_die("pipe");
    }

    watch(epoll_theirs, stop_pipe[0], MAX_CONNECTIONS);
    pthread_create(&thread, NULL, serve, NULL);
}


static void
submit(int call)
{
    write_all(ours[call], source, payload_size);
}


static int
collect(int *calls, int max)
{
    int i, n, c, events_count;
    struct epoll_event events[MAX_CONNECTIONS];

    n = 0;
    events_count = epoll_wait(epoll_ours, events, max, 0);

    for (i = 0; i < events_count; i++) {
        c = (int) events[i].data.u32;

        if (read_some(ours[c], source, &got[c])) {
            calls[n++] = c;
        }
    }

    return n;
}


static int
fd(void)
{
    return epoll_ours;
}


static void
stop(void)
{
    int i;

    write_all(stop_pipe[1], (const unsigned char *) "", 1);
    pthread_join(thread, NULL);

    for (i = 0; i < connections; i++) {
        close(ours[i]);
        close(theirs[i]);
        free(there[i]);
    }

    close(epoll_ours);
    close(epoll_theirs);
    close(stop_pipe[0]);
    close(stop_pipe[1]);
    free(source);
}


const rival_t socket_rival = {
    "socket", 0, start, submit, collect, fd, stop
};
