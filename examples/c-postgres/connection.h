/*
 * connection.h - one non-blocking connection to the server: it is opened, sends
 * statements in libpq's pipeline mode, and reports events to its owner.
 */

#ifndef CONNECTION_H
#define CONNECTION_H

#include <jansson.h>
#include <libpq-fe.h>
#include <stdint.h>

typedef struct connection connection_t;

/* Callbacks of the owner. All except `notified` may drop the connection, and
   open it again. */
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
    uint64_t due_ns;          /* when to abort connecting, or to try again */
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
 * Sends one statement and requests the end of its transaction. A statement with
 * parameters is prepared in the same round trip if it is new to the server;
 * then *is_new is set and the first result belongs to the preparation. Returns
 * 0, or -1 when the connection is about to be lost.
 */
int connection_send(connection_t *connection, const char *sql,
    const char *const *values, int count, int *is_new);

/* Records that a statement was prepared, or is no longer usable. */
void connection_keep(connection_t *connection, const char *sql);
void connection_forget(connection_t *connection, const char *sql);

#endif /* CONNECTION_H */
