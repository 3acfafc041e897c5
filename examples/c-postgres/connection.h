/*
 * connection.h - one connection to the server, without blocking: it is opened,
 * sends statements in libpq's pipeline mode, and tells its owner what comes.
 */

#ifndef CONNECTION_H
#define CONNECTION_H

#include <jansson.h>
#include <libpq-fe.h>
#include <stdint.h>

typedef struct connection connection_t;

/* What the owner is told. All but `notified` may drop the connection, and open
   it anew. */
typedef struct {
    void (*ready)(connection_t *connection);
    void (*result)(connection_t *connection, const PGresult *result);
    void (*synced)(connection_t *connection);
    void (*notified)(connection_t *connection, const PGnotify *notify);
    void (*lost)(connection_t *connection, const char *message);
} connection_hooks_t;

typedef enum {
    CONNECTION_DOWN = 0,
    CONNECTION_CONNECTING,
    CONNECTION_UP
} connection_state_t;

struct connection {
    const connection_hooks_t *hooks;
    void *owner;
    const char *conninfo;
    int epoll;
    PGconn *pg;
    connection_state_t state;
    uint64_t due_ns;          /* when to give up connecting, or to try again */
    unsigned failures;        /* in a row */
    json_t *prepared;         /* number of the prepared statement, by its SQL */
    unsigned statements;
};

uint64_t clock_ns(void);

void connection_open(connection_t *connection);

/* Something came, there is room to send, or the time `due_ns` is there. */
void connection_event(connection_t *connection);

/* Drops it, without `lost`; it is tried again at `due_ns`. */
void connection_drop(connection_t *connection, uint64_t due_ns);

/*
 * Sends one statement and asks for the end of its transaction. A statement with
 * parameters is prepared in the same round trip when it is new to the server;
 * *is_new tells so: then the first result is that of the preparation.
 * 0, or -1 when the connection is about to be lost.
 */
int connection_send(connection_t *connection, const char *sql,
    const char *const *values, int count, int *is_new);

/* That a statement was prepared, or is of no use any more. */
void connection_keep(connection_t *connection, const char *sql);
void connection_forget(connection_t *connection, const char *sql);

#endif /* CONNECTION_H */
