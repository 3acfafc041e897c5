/*
 * runtime.c - the event loop: it waits for tasks of nginx, for the sockets of
 * the server, and for the time of the next try to connect.
 */

#include "runtime.h"
#include "listen.h"
#include "pool.h"
#include "values.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define BATCH 64
#define MAX_CONNECTIONS 64

struct runtime {
    nffi_queue_t *queue;
    json_t *config;           /* owns what the connections point into */
    int epoll;
    int wake;
    pool_t pool;
    listen_t listen;
    pthread_t thread;
};


static int
is_method(const nffi_request_t *request, const char *name)
{
    return request->method_size == strlen(name)
           && memcmp(request->method, name, request->method_size) == 0;
}


static void
begin(runtime_t *runtime, const nffi_request_t *request)
{
    json_error_t error;
    json_t *params = json_loadb(request->data, request->size,
                                JSON_DECODE_ANY, &error);

    if (params == NULL) {
        respond_error(request->task, error.text, NULL);

    } else if (is_method(request, "query")) {
        pool_begin(&runtime->pool, request->task, params);

    } else if (is_method(request, "listen")) {
        listen_begin(&runtime->listen, request, params);

    } else {
        json_decref(params);
        respond_error(request->task, "unknown method; methods: query, listen",
                     NULL);
    }
}


/* 1 when the end has come: nothing new, but what is under way goes on. */
static int
take(runtime_t *runtime)
{
    int i, n;
    nffi_task_t tasks[BATCH];
    nffi_request_t requests[BATCH];

    while ((n = nffi_queue_poll(runtime->queue, requests, BATCH, 0)) > 0) {
        for (i = 0; i < n; i++) {
            begin(runtime, &requests[i]);
        }
    }

    while ((i = nffi_queue_cancelled(runtime->queue, tasks, BATCH)) > 0) {
        while (i > 0) {
            if (!pool_cancelled(&runtime->pool, tasks[--i])) {
                listen_cancelled(&runtime->listen, tasks[i]);
            }
        }
    }

    while ((i = nffi_stream_writable(runtime->queue, tasks, BATCH)) > 0) {
        while (i > 0) {
            listen_writable(&runtime->listen, tasks[--i]);
        }
    }

    return n < 0;
}


/*
 * Opens connections that are down and due, and aborts connects that take too
 * long. Returns the milliseconds until the next call, -1: not needed.
 */
static int
keep_connected(runtime_t *runtime)
{
    unsigned i;
    uint64_t now = clock_ns(), wait, next = UINT64_MAX;
    connection_t *connection;

    for (i = 0; i <= runtime->pool.size; i++) {
        connection = pool_connection(&runtime->pool, i);

        if (connection == NULL) {
            /* that one is opened by its first listener */
            connection = &runtime->listen.connection;
            if (connection->state != CONNECTION_CONNECTING) {
                break;
            }
        }

        if (connection->state != CONNECTION_UP && connection->due_ns <= now) {
            connection_event(connection);
        }

        if (connection->state != CONNECTION_UP && connection->due_ns < next) {
            next = connection->due_ns;
        }
    }

    if (next == UINT64_MAX) {
        return -1;
    }

    wait = next > now ? (next - now) / 1000000 + 1 : 0;

    return (int) wait;
}


static void
wait_for_more(runtime_t *runtime, int timeout)
{
    int i, n;
    uint64_t count;
    struct epoll_event events[BATCH];

    n = epoll_wait(runtime->epoll, events, BATCH, timeout);

    for (i = 0; i < n; i++) {
        if (events[i].data.ptr == &runtime->wake) {
            (void) !read(runtime->wake, &count, sizeof(count));
            pool_woken(&runtime->pool);

        } else if (events[i].data.ptr != runtime->queue) {
            connection_event(events[i].data.ptr);
        }
    }
}


static void *
serve(void *data)
{
    int timeout, closed = 0;
    runtime_t *runtime = data;

    for ( ;; ) {
        timeout = keep_connected(runtime);
        closed |= take(runtime);

        if (closed) {
            listen_end(&runtime->listen);
            if (pool_idle(&runtime->pool)) {
                return NULL;
            }
        }

        wait_for_more(runtime,
                      nffi_queue_arm(runtime->queue) == 0 ? timeout : 0);
    }
}


static int
watch(runtime_t *runtime, int fd, void *what)
{
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = what };

    return fd < 0 ? -1 : epoll_ctl(runtime->epoll, EPOLL_CTL_ADD, fd, &event);
}


/* 0, or -1 with a reason in `error`. */
static int
read_config(runtime_t *runtime, const char *text, size_t size,
    const char **conninfo, int *connections, int *waiting, char *error,
    size_t error_size)
{
    char *wrong = NULL;
    json_error_t what;
    PQconninfoOption *options;

    *connections = 4;
    *waiting = 1000;
    runtime->config = json_loadb(text != NULL ? text : "", size, 0, &what);

    if (runtime->config == NULL
        || json_unpack_ex(runtime->config, &what, JSON_STRICT, "{s:s s?i s?i}",
                          "conninfo", conninfo, "connections", connections,
                          "waiting", waiting)
           != 0)
    {
        snprintf(error, error_size, "configuration: %s", what.text);
        return -1;
    }

    if (*connections < 1 || *connections > MAX_CONNECTIONS || *waiting < 0) {
        snprintf(error, error_size, "configuration: connections is a number "
                 "from 1 to %d, waiting one from 0", MAX_CONNECTIONS);
        return -1;
    }

    options = PQconninfoParse(*conninfo, &wrong);
    if (options == NULL) {
        snprintf(error, error_size, "configuration: conninfo: %.*s",
                 wrong != NULL ? (int) strcspn(wrong, "\n") : 0, wrong);
        PQfreemem(wrong);
        return -1;
    }

    PQconninfoFree(options);

    return 0;
}


static void
runtime_free(runtime_t *runtime)
{
    pool_free(&runtime->pool);
    listen_free(&runtime->listen);
    close(runtime->wake);
    close(runtime->epoll);

    /* no thread waits on the descriptor: nginx may free the queue */
    nffi_queue_release_fd(runtime->queue);
    json_decref(runtime->config);
    free(runtime);
}


runtime_t *
runtime_start(nffi_queue_t *queue, const char *config, size_t config_size,
    char *error, size_t error_size)
{
    int connections, waiting;
    const char *conninfo;
    runtime_t *runtime = calloc(1, sizeof(*runtime));

    if (runtime == NULL) {
        snprintf(error, error_size, "no memory");
        return NULL;
    }

    runtime->queue = queue;
    runtime->epoll = epoll_create1(EPOLL_CLOEXEC);
    runtime->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

    if (watch(runtime, runtime->wake, &runtime->wake) != 0
        || watch(runtime, nffi_queue_fd(queue), queue) != 0)
    {
        snprintf(error, error_size, "no descriptor");

    } else if (read_config(runtime, config, config_size, &conninfo,
                           &connections, &waiting, error, error_size)
               == 0)
    {
        listen_init(&runtime->listen, conninfo, runtime->epoll);

        if (pool_init(&runtime->pool, conninfo, (unsigned) connections,
                      (unsigned) waiting, runtime->epoll, runtime->wake)
            != 0)
        {
            snprintf(error, error_size, "no memory");

        } else if (pthread_create(&runtime->thread, NULL, serve, runtime) != 0)
        {
            snprintf(error, error_size, "no thread");

        } else {
            return runtime;
        }
    }

    runtime_free(runtime);

    return NULL;
}


void
runtime_join(runtime_t *runtime)
{
    pthread_join(runtime->thread, NULL);
    runtime_free(runtime);
}
