/*
 * listen.h - LISTEN as a stream: one connection hears for all listeners, and
 * each notification is a chunk. It is opened with the first listener.
 */

#ifndef LISTEN_H
#define LISTEN_H

#include "connection.h"

#include <nffi.h>

#include <sys/queue.h>

typedef struct listener listener_t;

typedef struct {
    connection_t connection;
    TAILQ_HEAD(listener_list, listener) listeners;
    unsigned sent;            /* statements, and how many of them are done */
    unsigned done;
} listen_t;

void listen_init(listen_t *listen, const char *conninfo, int epoll);
void listen_free(listen_t *listen);
int listen_idle(const listen_t *listen);

/* Takes over `request`, { channel = name }. */
void listen_begin(listen_t *listen, const nffi_request_t *request,
    json_t *params);

/* Its reader has disconnected, or reads again. */
void listen_cancelled(listen_t *listen, nffi_task_t task);
void listen_writable(listen_t *listen, nffi_task_t task);

/* The end of the runtime: all streams end. */
void listen_end(listen_t *listen);

#endif /* LISTEN_H */
