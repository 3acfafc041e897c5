/*
 * listen.c - LISTEN as a stream.
 *
 * A listener whose reader is slower keeps what it has not taken, up to
 * MAX_UNREAD; then its stream ends with an error. It must not hold up the
 * others, nor the server, which keeps a notification until every connection has
 * heard it.
 */

#include "listen.h"
#include "values.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_UNREAD 1000
#define LOST "08006"
#define TOO_SLOW "54000"      /* program_limit_exceeded */

struct listener {
    TAILQ_ENTRY(listener) link;
    nffi_task_t task;
    json_t *request;          /* owns `channel` */
    const char *channel;
    unsigned turn;            /* of the LISTEN statement; 0: not sent */
    int hears;
    json_t *unread;           /* chunks without credit */
};


static void
listener_free(listen_t *listen, listener_t *listener)
{
    TAILQ_REMOVE(&listen->listeners, listener, link);
    json_decref(listener->request);
    json_decref(listener->unread);
    free(listener);
}


static void
fail(listen_t *listen, listener_t *listener, const char *message,
    const char *sqlstate)
{
    respond_error(listener->task, message, sqlstate);
    listener_free(listen, listener);
}


static void
fail_all(listen_t *listen, const char *message, const char *sqlstate)
{
    listener_t *listener;

    while ((listener = TAILQ_FIRST(&listen->listeners)) != NULL) {
        fail(listen, listener, message, sqlstate);
    }
}


/* 0, or -1: the connection is of no use. */
static int
command(listen_t *listen, const char *verb, const char *channel)
{
    int rc, is_new;
    char *name, *sql;
    size_t size;
    PGconn *pg = listen->connection.pg;

    name = PQescapeIdentifier(pg, channel, strlen(channel));
    if (name == NULL) {
        return -1;
    }

    size = strlen(verb) + strlen(name) + 2;
    sql = malloc(size);

    if (sql == NULL) {
        rc = -1;
    } else {
        snprintf(sql, size, "%s %s", verb, name);
        rc = connection_send(&listen->connection, sql, NULL, 0, &is_new);
        listen->sent++;
    }

    free(sql);
    PQfreemem(name);

    return rc;
}


static void
give_up(listen_t *listen)
{
    char message[512];

    snprintf(message, sizeof(message), "%s",
             PQerrorMessage(listen->connection.pg));
    connection_drop(&listen->connection, 0);
    fail_all(listen, message, LOST);
}


static void
hear(listen_t *listen, listener_t *listener)
{
    if (command(listen, "LISTEN", listener->channel) == 0) {
        listener->turn = listen->sent;
    } else {
        give_up(listen);
    }
}


/* Writes the available notifications; 0, or -1: the listener has ended. */
static int
flush(listen_t *listen, listener_t *listener)
{
    int rc;
    const json_t *chunk;

    while ((chunk = json_array_get(listener->unread, 0)) != NULL) {
        rc = nffi_stream_write(listener->task, json_string_value(chunk),
                               json_string_length(chunk));
        if (rc == NFFI_WOULD_BLOCK) {
            return 0;
        }

        if (rc != NFFI_OK) {
            nffi_stream_end(listener->task);
            listener_free(listen, listener);
            return -1;
        }

        json_array_remove(listener->unread, 0);
    }

    return 0;
}


/* Takes over `value`. */
static void
say(listen_t *listen, listener_t *listener, json_t *value)
{
    char *text;

    if (json_array_size(listener->unread) == MAX_UNREAD) {
        json_decref(value);
        fail(listen, listener, "the reader is slower than the notifications",
             TOO_SLOW);
        return;
    }

    text = json_dumps(value, JSON_COMPACT);
    json_decref(value);
    json_array_append_new(listener->unread, json_string(text));
    free(text);

    /* with something before it, it has no credit either */
    if (json_array_size(listener->unread) == 1) {
        (void) flush(listen, listener);
    }
}


static void
on_ready(connection_t *connection)
{
    listen_t *listen = connection->owner;
    listener_t *listener, *following;

    listen->sent = listen->done = 0;

    for (listener = TAILQ_FIRST(&listen->listeners);
         listener != NULL && connection->state == CONNECTION_UP;
         listener = following)
    {
        following = TAILQ_NEXT(listener, link);
        hear(listen, listener);
    }
}


static void
on_result(connection_t *connection, const PGresult *result)
{
    listen_t *listen = connection->owner;
    listener_t *listener;
    const char *sqlstate;

    if (PQresultStatus(result) != PGRES_FATAL_ERROR) {
        return;
    }

    sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);

    TAILQ_FOREACH(listener, &listen->listeners, link) {
        if (listener->turn == listen->done + 1) {
            fail(listen, listener,
                 PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY),
                 sqlstate != NULL ? sqlstate : LOST);
            return;
        }
    }
}


/* The first chunk says that it hears now. */
static void
on_synced(connection_t *connection)
{
    listen_t *listen = connection->owner;
    listener_t *listener;

    listen->done++;

    TAILQ_FOREACH(listener, &listen->listeners, link) {
        if (listener->turn == listen->done && !listener->hears) {
            listener->hears = 1;
            say(listen, listener,
                json_pack("{s:s}", "channel", listener->channel));
            return;
        }
    }
}


static void
on_notified(connection_t *connection, const PGnotify *notify)
{
    listen_t *listen = connection->owner;
    listener_t *listener, *following;

    for (listener = TAILQ_FIRST(&listen->listeners); listener != NULL;
         listener = following)
    {
        following = TAILQ_NEXT(listener, link);

        if (listener->hears
            && strcmp(listener->channel, notify->relname) == 0) {
            say(listen, listener,
                json_pack("{s:s s:s s:i}", "channel", notify->relname,
                          "payload", notify->extra, "pid", notify->be_pid));
        }
    }
}


/* Notifications in this time are lost: the streams end with an error that says
   so. */
static void
on_lost(connection_t *connection, const char *message)
{
    fail_all(connection->owner, message, LOST);
}


static const connection_hooks_t hooks = {
    on_ready, on_result, on_synced, on_notified, on_lost
};


void
listen_init(listen_t *listen, const char *conninfo, int epoll)
{
    TAILQ_INIT(&listen->listeners);
    listen->connection.hooks = &hooks;
    listen->connection.owner = listen;
    listen->connection.conninfo = conninfo;
    listen->connection.epoll = epoll;
}


void
listen_free(listen_t *listen)
{
    connection_drop(&listen->connection, 0);
}


int
listen_idle(const listen_t *listen)
{
    return TAILQ_EMPTY(&listen->listeners);
}


void
listen_begin(listen_t *listen, const nffi_request_t *request, json_t *params)
{
    json_error_t error;
    listener_t *listener = calloc(1, sizeof(*listener));

    if (listener == NULL) {
        respond_error(request->task, "no memory", NULL);
        json_decref(params);
        return;
    }

    listener->task = request->task;
    listener->request = params;
    listener->unread = json_array();
    TAILQ_INSERT_TAIL(&listen->listeners, listener, link);

    if (json_unpack_ex(params, &error, JSON_STRICT, "{s:s}", "channel",
                       &listener->channel)
        != 0)
    {
        fail(listen, listener, error.text, NULL);

    } else if (!(request->flags & NFFI_REQUEST_STREAM)) {
        fail(listen, listener, "listen is a stream: runtime.streams:listen()",
             NULL);

    } else if (listen->connection.state == CONNECTION_UP) {
        hear(listen, listener);

    } else if (listen->connection.state == CONNECTION_DOWN) {
        connection_open(&listen->connection);
    }
}


static listener_t *
find(listen_t *listen, nffi_task_t task)
{
    listener_t *listener;

    TAILQ_FOREACH(listener, &listen->listeners, link) {
        if (listener->task == task) {
            return listener;
        }
    }

    return NULL;
}


static int
is_heard(listen_t *listen, const char *channel)
{
    listener_t *listener;

    TAILQ_FOREACH(listener, &listen->listeners, link) {
        if (strcmp(listener->channel, channel) == 0) {
            return 1;
        }
    }

    return 0;
}


void
listen_cancelled(listen_t *listen, nffi_task_t task)
{
    json_t *request;
    const char *channel;
    listener_t *listener = find(listen, task);

    if (listener == NULL) {
        return;
    }

    channel = listener->channel;
    request = json_incref(listener->request);
    nffi_stream_end(task);
    listener_free(listen, listener);

    if (listen->connection.state == CONNECTION_UP && !is_heard(listen, channel)
        && command(listen, "UNLISTEN", channel) != 0)
    {
        give_up(listen);
    }

    json_decref(request);
}


void
listen_writable(listen_t *listen, nffi_task_t task)
{
    listener_t *listener = find(listen, task);

    if (listener != NULL) {
        (void) flush(listen, listener);
    }
}


void
listen_end(listen_t *listen)
{
    listener_t *listener;

    while ((listener = TAILQ_FIRST(&listen->listeners)) != NULL) {
        nffi_stream_end(listener->task);
        listener_free(listen, listener);
    }
}
