/*
 * pool.h - the connections that work on queries, and the queries that wait for
 * one of them. A query has a connection to itself from its first byte to the
 * end of its transaction.
 */

#ifndef POOL_H
#define POOL_H

#include "connection.h"

#include <nffi.h>

#include <stdatomic.h>
#include <sys/queue.h>

typedef struct query query_t;
typedef struct worker worker_t;

typedef struct {
    TAILQ_HEAD(query_list, query) waiting;
    unsigned length;          /* of that list */
    unsigned most;
    worker_t *workers;
    unsigned size;
    int wake;                 /* eventfd: the server received a cancellation */
    char reason[512];         /* why there is no connection */
} pool_t;

/* 0, or -1 without memory. The connections are being opened then. */
int pool_init(pool_t *pool, const char *conninfo, unsigned size, unsigned most,
    int epoll, int wake);
void pool_free(pool_t *pool);

connection_t *pool_connection(pool_t *pool, unsigned i);

/* Is nothing under way? */
int pool_idle(const pool_t *pool);

/* Takes over `request`, { sql = text, params = list }. */
void pool_begin(pool_t *pool, nffi_task_t task, json_t *request);

/* Cancels it; 0 if it is not a query. */
int pool_cancelled(pool_t *pool, nffi_task_t task);

/* Some cancellations have reached the server. */
void pool_woken(pool_t *pool);

#endif /* POOL_H */
