/*
 * pool.c - queries and the connections that run them.
 *
 * A cancelled query is cancelled in the server. libpq does that over another
 * connection, and blocks, so a separate thread does it. The connection takes
 * the next query only when that thread has ended as well; otherwise the
 * cancellation could reach the wrong query.
 */

#include "pool.h"
#include "values.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LOST "08006"          /* connection_failure */
#define UNREACHABLE "08001"   /* sqlclient_unable_to_establish_sqlconnection */
#define TOO_MANY "53300"      /* too_many_connections */
#define UNFINISHED "25001"    /* active_sql_transaction */

struct query {
    TAILQ_ENTRY(query) link;
    nffi_task_t task;
    json_t *request;          /* owns `sql` and `params` */
    const char *sql;
    json_t *params;
};

struct worker {
    connection_t connection;
    pool_t *pool;
    query_t *query;           /* that it works on */
    int is_new;               /* the next result belongs to its preparation */
    json_t *value;            /* the value of the response, */
    char sqlstate[6];         /* or the error, if this is not empty */
    char message[1024];
    int cancelling;           /* there is a thread */
    atomic_int cancelled;     /* set by that thread at its end */
};

typedef struct {
    PGcancel *cancel;
    atomic_int *done;
    int wake;                 /* a copy: the pool may be freed first */
} cancellation_t;


static void
query_free(query_t *query)
{
    json_decref(query->request);
    free(query);
}


static void
fail(query_t *query, const char *message, const char *sqlstate)
{
    respond_error(query->task, message, sqlstate);
    query_free(query);
}


static void
keep_error(worker_t *worker, const char *message, const char *sqlstate)
{
    snprintf(worker->message, sizeof(worker->message), "%s", message);
    snprintf(worker->sqlstate, sizeof(worker->sqlstate), "%s", sqlstate);
}


static void
finish(worker_t *worker)
{
    query_t *query = worker->query;

    worker->query = NULL;

    if (worker->sqlstate[0] != '\0') {
        respond_error(query->task, worker->message, worker->sqlstate);
        json_decref(worker->value);
    } else {
        respond_value(query->task, worker->value);
    }

    worker->value = NULL;
    query_free(query);
}


/* Starts a query on an open, idle connection. */
static void
work(worker_t *worker, query_t *query)
{
    size_t count = json_array_size(query->params);
    char **values = values_of(query->params);

    if (values == NULL) {
        fail(query, "no memory", NULL);
        return;
    }

    worker->query = query;
    worker->sqlstate[0] = '\0';


    if (connection_send(&worker->connection, query->sql,
                        (const char *const *) values, (int) count,
                        &worker->is_new)
        != 0)
    {
        keep_error(worker, PQerrorMessage(worker->connection.pg), LOST);
        finish(worker);
        connection_drop(&worker->connection, clock_ns());
    }

    values_free(values, count);
}


static int
is_free(const worker_t *worker)
{
    return worker->connection.state == CONNECTION_UP && worker->query == NULL
           && !worker->cancelling;
}


static void
next(worker_t *worker)
{
    pool_t *pool = worker->pool;
    query_t *query;

    while (is_free(worker) && (query = TAILQ_FIRST(&pool->waiting)) != NULL) {
        TAILQ_REMOVE(&pool->waiting, query, link);
        pool->length--;
        work(worker, query);
    }
}


/* Fails the waiting queries if no connection is open or being opened. */
static void
fail_waiting(pool_t *pool)
{
    unsigned i;
    query_t *query;

    for (i = 0; i < pool->size; i++) {
        if (pool->workers[i].connection.state != CONNECTION_DOWN) {
            return;
        }
    }

    while ((query = TAILQ_FIRST(&pool->waiting)) != NULL) {
        TAILQ_REMOVE(&pool->waiting, query, link);
        pool->length--;
        fail(query, pool->reason, UNREACHABLE);
    }
}


static void
on_ready(connection_t *connection)
{
    next(connection->owner);
}


/* A query that leaves its connection as no other one can use it. */
static void
refuse(worker_t *worker, const char *message, const char *sqlstate)
{
    keep_error(worker, message, sqlstate);
    finish(worker);
    connection_drop(&worker->connection, 0);
    connection_open(&worker->connection);
}


static void
on_result(connection_t *connection, const PGresult *result)
{
    const char *sqlstate, *message;
    worker_t *worker = connection->owner;

    if (worker->query == NULL) {
        return;               /* the server says why it closes the connection */
    }

    switch (PQresultStatus(result)) {

    case PGRES_COMMAND_OK:
    case PGRES_TUPLES_OK:
        if (worker->is_new) {
            worker->is_new = 0;
            connection_keep(connection, worker->query->sql);

        } else {
            json_decref(worker->value);
            worker->value = values_from(result);
        }

        return;

    case PGRES_PIPELINE_ABORTED:
        return;               /* the error came before */

    case PGRES_FATAL_ERROR:
        sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
        message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
        keep_error(worker, message != NULL ? message : "the server has gone",
                   sqlstate != NULL ? sqlstate : LOST);

        /* the table has changed, or a client has deallocated all statements */
        if (strcmp(worker->sqlstate, "0A000") == 0
            || strcmp(worker->sqlstate, "26000") == 0)
        {
            connection_forget(connection, worker->query->sql);
        }

        return;

    default:
        /* libpq returns this result repeatedly until the copy is done */
        refuse(worker, "COPY is not for a query", "0A000");
    }
}


/* The server is done with it. */
static void
on_synced(connection_t *connection)
{
    worker_t *worker = connection->owner;

    if (worker->query == NULL) {
        return;
    }

    if (PQtransactionStatus(connection->pg) != PQTRANS_IDLE) {
        refuse(worker, "a query is a transaction of its own: BEGIN would stay "
                       "open", UNFINISHED);
        return;
    }

    finish(worker);
    next(worker);
}


static void
on_notified(connection_t *connection, const PGnotify *notify)
{
    (void) connection;
    (void) notify;            /* LISTEN in a query: nothing would read the
                                 notifications */
}


static void
on_lost(connection_t *connection, const char *message)
{
    worker_t *worker = connection->owner;

    snprintf(worker->pool->reason, sizeof(worker->pool->reason),
             "no connection to the server: %s", message);

    if (worker->query != NULL) {
        if (worker->sqlstate[0] == '\0') {
            keep_error(worker, message, LOST);
        }

        finish(worker);
    }

    fail_waiting(worker->pool);
}


static const connection_hooks_t hooks = {
    on_ready, on_result, on_synced, on_notified, on_lost
};


int
pool_init(pool_t *pool, const char *conninfo, unsigned size, unsigned most,
    int epoll, int wake)
{
    unsigned i;
    worker_t *worker;

    TAILQ_INIT(&pool->waiting);
    pool->most = most;
    pool->wake = wake;
    pool->workers = calloc(size, sizeof(*pool->workers));
    if (pool->workers == NULL) {
        return -1;
    }

    pool->size = size;

    for (i = 0; i < size; i++) {
        worker = &pool->workers[i];
        worker->pool = pool;
        worker->connection.hooks = &hooks;
        worker->connection.owner = worker;
        worker->connection.conninfo = conninfo;
        worker->connection.epoll = epoll;
        /* the loop opens what is down and due */
    }

    return 0;
}


void
pool_free(pool_t *pool)
{
    unsigned i;

    for (i = 0; i < pool->size; i++) {
        connection_drop(&pool->workers[i].connection, 0);
    }

    free(pool->workers);
}


connection_t *
pool_connection(pool_t *pool, unsigned i)
{
    return i < pool->size ? &pool->workers[i].connection : NULL;
}


int
pool_idle(const pool_t *pool)
{
    unsigned i;

    for (i = 0; i < pool->size; i++) {
        if (pool->workers[i].query != NULL || pool->workers[i].cancelling) {
            return 0;
        }
    }

    return TAILQ_EMPTY(&pool->waiting);
}


void
pool_begin(pool_t *pool, nffi_task_t task, json_t *request)
{
    unsigned i;
    json_error_t error;
    query_t *query = calloc(1, sizeof(*query));

    if (query == NULL) {
        respond_error(task, "no memory", NULL);
        json_decref(request);
        return;
    }

    query->task = task;
    query->request = request;

    if (json_unpack_ex(request, &error, JSON_STRICT, "{s:s s?o}", "sql",
                       &query->sql, "params", &query->params)
        != 0)
    {
        fail(query, error.text, NULL);
        return;
    }

    /* {} is Lua's empty table */
    if (query->params != NULL && !json_is_array(query->params)
        && !json_is_null(query->params)
        && !(json_is_object(query->params)
             && json_object_size(query->params) == 0))
    {
        fail(query, "params must be a list", NULL);
        return;
    }

    if (pool->length == pool->most) {
        fail(query, "too many queries wait for a connection", TOO_MANY);
        return;
    }

    TAILQ_INSERT_TAIL(&pool->waiting, query, link);
    pool->length++;

    for (i = 0; i < pool->size; i++) {
        next(&pool->workers[i]);
    }

    fail_waiting(pool);
}


/* thread: its own; blocks: until the server has received the cancellation */
static void *
cancel(void *data)
{
    char error[256];
    uint64_t one = 1;
    cancellation_t *cancellation = data;

    /* a query that has just ended cannot be cancelled, nor one whose server is
       down: its connection reports it */
    (void) PQcancel(cancellation->cancel, error, sizeof(error));
    PQfreeCancel(cancellation->cancel);
    atomic_store(cancellation->done, 1);
    (void) !write(cancellation->wake, &one, sizeof(one));
    close(cancellation->wake);
    free(cancellation);

    return NULL;
}


static void
cancel_in_server(worker_t *worker)
{
    pthread_t thread;
    cancellation_t *cancellation = malloc(sizeof(*cancellation));

    if (cancellation == NULL) {
        return;               /* it takes its time then */
    }

    cancellation->cancel = PQgetCancel(worker->connection.pg);
    cancellation->done = &worker->cancelled;
    cancellation->wake = dup(worker->pool->wake);
    atomic_store(&worker->cancelled, 0);

    if (cancellation->cancel != NULL && cancellation->wake != -1
        && pthread_create(&thread, NULL, cancel, cancellation) == 0)
    {
        pthread_detach(thread);
        worker->cancelling = 1;
        return;
    }

    PQfreeCancel(cancellation->cancel);

    if (cancellation->wake != -1) {
        close(cancellation->wake);
    }

    free(cancellation);
}


int
pool_cancelled(pool_t *pool, nffi_task_t task)
{
    unsigned i;
    query_t *query;
    worker_t *worker;

    for (i = 0; i < pool->size; i++) {
        worker = &pool->workers[i];

        if (worker->query != NULL && worker->query->task == task) {
            if (!worker->cancelling) {
                cancel_in_server(worker);
            }

            return 1;
        }
    }

    TAILQ_FOREACH(query, &pool->waiting, link) {
        if (query->task == task) {
            TAILQ_REMOVE(&pool->waiting, query, link);
            pool->length--;
            fail(query, "the call was cancelled", NULL);
            return 1;
        }
    }

    return 0;
}


void
pool_woken(pool_t *pool)
{
    unsigned i;
    worker_t *worker;

    for (i = 0; i < pool->size; i++) {
        worker = &pool->workers[i];

        if (worker->cancelling && atomic_load(&worker->cancelled)) {
            worker->cancelling = 0;
            next(worker);
        }
    }
}
