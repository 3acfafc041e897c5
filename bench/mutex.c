/*
 * mutex.c - the usual design: a list behind a mutex and a condition, malloc'ed
 * tasks, and one notification of the event loop for each response.
 */

#define _GNU_SOURCE

#include "bench.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

typedef struct task {
    struct task *next;
    int call;
    unsigned char *request;
    unsigned char *response;
} task_t;

typedef struct list {
    pthread_mutex_t mutex;
    pthread_cond_t filled;
    task_t *first, **last;
} list_t;

static list_t waiting, done;
static size_t payload_size;
static unsigned char *source;
static int event_fd, thread_cpu;
static pthread_t thread;


static void
list_init(list_t *list)
{
    pthread_mutex_init(&list->mutex, NULL);
    pthread_cond_init(&list->filled, NULL);
    list->first = NULL;
    list->last = &list->first;
}


static void
list_push(list_t *list, task_t *task)
{
    task->next = NULL;
    pthread_mutex_lock(&list->mutex);
    *list->last = task;
    list->last = &task->next;
    pthread_cond_signal(&list->filled);
    pthread_mutex_unlock(&list->mutex);
}


static task_t *
list_pop(list_t *list, int wait)
{
    task_t *task;

    pthread_mutex_lock(&list->mutex);

    while (wait && list->first == NULL) {
        pthread_cond_wait(&list->filled, &list->mutex);
    }

    task = list->first;

    if (task != NULL) {
        list->first = task->next;

        if (list->first == NULL) {
            list->last = &list->first;
        }
    }

    pthread_mutex_unlock(&list->mutex);

    return task;
}


static void *
serve(void *data)
{
    ssize_t n;
    task_t *task;
    uint64_t one = 1;

    (void) data;
    bench_pin(thread_cpu);

    for ( ;; ) {
        task = list_pop(&waiting, 1);

        if (task->call == -1) {
            free(task);
            return NULL;
        }

        task->response = malloc(payload_size);
        memcpy(task->response, task->request, payload_size);
        list_push(&done, task);
        n = write(event_fd, &one, sizeof(one));
        (void) n;
    }
}


static void
start(size_t size, int in_flight, int cpu)
{
    (void) in_flight;
    payload_size = size;
    thread_cpu = cpu;
    source = calloc(1, size);
    list_init(&waiting);
    list_init(&done);
    event_fd = eventfd(0, EFD_NONBLOCK);
    pthread_create(&thread, NULL, serve, NULL);
}


static void
submit(int call)
{
    task_t *task;

    task = malloc(sizeof(*task));
    task->call = call;
    task->request = malloc(payload_size);
    task->response = NULL;
    memcpy(task->request, source, payload_size);
    list_push(&waiting, task);
}


static void
free_task(task_t *task)
{
    free(task->request);
    free(task->response);
    free(task);
}


static int
collect(int *calls, int max)
{
    int n;
    ssize_t bytes;
    task_t *task;
    uint64_t count;

    bytes = read(event_fd, &count, sizeof(count));
    (void) bytes;

    for (n = 0; n < max; n++) {
        task = list_pop(&done, 0);
        if (task == NULL) {
            break;
        }

        memcpy(source, task->response, payload_size);
        calls[n] = task->call;
        free_task(task);
    }

    return n;
}


static int
fd(void)
{
    return event_fd;
}


static void
stop(void)
{
    task_t *task;

    task = calloc(1, sizeof(*task));
    task->call = -1;
    list_push(&waiting, task);
    pthread_join(thread, NULL);

    while ((task = list_pop(&done, 0)) != NULL) {
        free_task(task);
    }

    close(event_fd);
    free(source);
}


const rival_t mutex_rival = { "mutex", 0, start, submit, collect, fd, stop };
