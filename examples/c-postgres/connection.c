/* connection.c - one connection to the server, without blocking. */

#include "connection.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>

#define MS 1000000ull
#define CONNECT_NS (10000 * MS)
#define FIRST_RETRY_NS (100 * MS)
#define MAX_DOUBLINGS 6        /* 6.4 s */
#define MAX_STATEMENTS 256     /* a server keeps each of them */


uint64_t
clock_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);

    return (uint64_t) now.tv_sec * 1000000000 + (uint64_t) now.tv_nsec;
}


/* While it connects, libpq may change its socket for one of the same number:
   epoll has forgotten that then. */
static void
watch(connection_t *connection, uint32_t events)
{
    int fd = PQsocket(connection->pg);
    struct epoll_event event = { .events = events, .data.ptr = connection };

    if (epoll_ctl(connection->epoll, EPOLL_CTL_MOD, fd, &event) != 0
        && errno == ENOENT)
    {
        epoll_ctl(connection->epoll, EPOLL_CTL_ADD, fd, &event);
    }
}


void
connection_drop(connection_t *connection, uint64_t due_ns)
{
    PQfinish(connection->pg);   /* closes the socket, which leaves epoll */
    connection->pg = NULL;
    connection->state = CONNECTION_DOWN;
    connection->due_ns = due_ns;
    json_decref(connection->prepared);
    connection->prepared = NULL;
}


static void
lose(connection_t *connection)
{
    char message[512];
    unsigned doublings = connection->failures;

    snprintf(message, sizeof(message), "%s",
             connection->pg != NULL ? PQerrorMessage(connection->pg)
                                    : "no memory");
    message[strcspn(message, "\n")] = '\0';

    if (doublings > MAX_DOUBLINGS) {
        doublings = MAX_DOUBLINGS;
    }

    connection->failures++;
    connection_drop(connection, clock_ns() + (FIRST_RETRY_NS << doublings));
    connection->hooks->lost(connection,
                            message[0] != '\0' ? message
                                               : "the server does not answer");
}


static void
connect_on(connection_t *connection)
{
    switch (PQconnectPoll(connection->pg)) {

    case PGRES_POLLING_READING:
        watch(connection, EPOLLIN);
        return;

    case PGRES_POLLING_WRITING:
        watch(connection, EPOLLOUT);
        return;

    case PGRES_POLLING_OK:
        if (PQsetnonblocking(connection->pg, 1) == 0
            && PQenterPipelineMode(connection->pg) == 1)
        {
            watch(connection, EPOLLIN);
            connection->state = CONNECTION_UP;
            connection->failures = 0;
            connection->due_ns = 0;
            connection->prepared = json_object();
            connection->hooks->ready(connection);
            return;
        }

        /* fall through */

    default:
        lose(connection);
    }
}


void
connection_open(connection_t *connection)
{
    static const char *const names[] = {
        "dbname", "client_encoding", "fallback_application_name", NULL
    };
    const char *const values[] = { connection->conninfo, "UTF8", "nffi", NULL };

    connection->state = CONNECTION_CONNECTING;
    connection->due_ns = clock_ns() + CONNECT_NS;
    connection->pg = PQconnectStartParams(names, values, 1);

    if (connection->pg == NULL || PQstatus(connection->pg) == CONNECTION_BAD) {
        lose(connection);
    } else {
        watch(connection, EPOLLOUT);    /* libpq requires this call first */
    }
}


/* 0, or -1: it is lost. */
static int
flush(connection_t *connection)
{
    int rc = PQflush(connection->pg);

    watch(connection, rc == 1 ? EPOLLIN | EPOLLOUT : EPOLLIN);

    return rc < 0 ? -1 : 0;
}


static void
take_results(connection_t *connection)
{
    int nothing = 0;
    PGresult *result;
    PGnotify *notify;

    /* each statement's results end with a NULL, and so does all of them */
    while (nothing < 2 && !PQisBusy(connection->pg)) {
        result = PQgetResult(connection->pg);

        if (result == NULL) {
            nothing++;

        } else {
            nothing = 0;

            if (PQresultStatus(result) == PGRES_PIPELINE_SYNC) {
                connection->hooks->synced(connection);
            } else {
                connection->hooks->result(connection, result);
            }

            PQclear(result);
        }

        if (connection->state != CONNECTION_UP) {
            return;
        }
    }

    while ((notify = PQnotifies(connection->pg)) != NULL) {
        connection->hooks->notified(connection, notify);
        PQfreemem(notify);
    }
}


void
connection_event(connection_t *connection)
{
    int has_input;

    switch (connection->state) {

    case CONNECTION_DOWN:
        connection_open(connection);
        return;

    case CONNECTION_CONNECTING:
        if (clock_ns() >= connection->due_ns) {
            lose(connection);
        } else {
            connect_on(connection);
        }

        return;

    case CONNECTION_UP:
        /* read what arrived before the end as well: it has the reason */
        has_input = PQconsumeInput(connection->pg);
        take_results(connection);

        if (connection->state == CONNECTION_UP
            && (!has_input || PQstatus(connection->pg) == CONNECTION_BAD
                || flush(connection) != 0))
        {
            lose(connection);
        }
    }
}


int
connection_send(connection_t *connection, const char *sql,
    const char *const *values, int count, int *is_new)
{
    int sent;
    char name[16];
    json_t *number = json_object_get(connection->prepared, sql);
    PGconn *pg = connection->pg;

    *is_new = 0;

    if (number != NULL) {
        snprintf(name, sizeof(name), "s%u",
                 (unsigned) json_integer_value(number));
        sent = PQsendQueryPrepared(pg, name, count, values, NULL, NULL, 0);

    } else if (count == 0
               || json_object_size(connection->prepared) >= MAX_STATEMENTS)
    {
        sent = PQsendQueryParams(pg, sql, count, NULL, values, NULL, NULL, 0);

    } else {
        *is_new = 1;
        snprintf(name, sizeof(name), "s%u", ++connection->statements);
        sent = PQsendPrepare(pg, name, sql, 0, NULL)
               && PQsendQueryPrepared(pg, name, count, values, NULL, NULL, 0);
    }

    return sent && PQpipelineSync(pg) && flush(connection) == 0 ? 0 : -1;
}


void
connection_keep(connection_t *connection, const char *sql)
{
    json_object_set_new(connection->prepared, sql,
                        json_integer(connection->statements));
}


void
connection_forget(connection_t *connection, const char *sql)
{
    json_object_del(connection->prepared, sql);
}
