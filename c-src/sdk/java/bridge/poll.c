/*
 * poll.c - one crossing from Java for a batch of tasks and notes.
 *
 * One thread at a time polls a queue: the loop of its runtime. Any thread may
 * wake it. The memory of a batch is Java's.
 */

#include "natives.h"

#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

typedef struct nffi_java_poller {
    nffi_queue_t *queue;
    int wake_fd;
} nffi_java_poller_t;

_Static_assert(sizeof(nffi_java_task_t) == 40, "Batch.TASK_SIZE");
_Static_assert(offsetof(nffi_java_batch_t, tasks) == 8 + 2 * 8 * 64,
               "Batch.TASKS");


static uint64_t
now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);

    return (uint64_t) time.tv_sec * 1000000000 + (uint64_t) time.tv_nsec;
}


JNIEXPORT jlong JNICALL
Java_nffi_Native_now(JNIEnv *env, jclass type)
{
    (void) env;
    (void) type;

    return (jlong) now();
}


JNIEXPORT jlong JNICALL
Java_nffi_Native_open(JNIEnv *env, jclass type, jlong queue)
{
    nffi_java_poller_t *poller = malloc(sizeof(nffi_java_poller_t));

    (void) env;
    (void) type;

    if (poller == NULL) {
        return 0;
    }

    poller->queue = (nffi_queue_t *) (uintptr_t) queue;
    poller->wake_fd = eventfd(0, EFD_CLOEXEC|EFD_NONBLOCK);

    /* until it is released the queue takes what the handler logs at its end */
    (void) nffi_queue_fd(poller->queue);

    if (poller->wake_fd == -1) {
        (void) nffi_queue_release_fd(poller->queue);
        free(poller);
        return 0;
    }

    return (jlong) (uintptr_t) poller;
}


JNIEXPORT void JNICALL
Java_nffi_Native_close(JNIEnv *env, jclass type, jlong pointer)
{
    nffi_java_poller_t *poller = (nffi_java_poller_t *) (uintptr_t) pointer;

    (void) env;
    (void) type;

    (void) nffi_queue_release_fd(poller->queue);
    close(poller->wake_fd);
    free(poller);
}


JNIEXPORT void JNICALL
Java_nffi_Native_wake(JNIEnv *env, jclass type, jlong pointer)
{
    uint64_t one = 1;
    nffi_java_poller_t *poller = (nffi_java_poller_t *) (uintptr_t) pointer;

    (void) env;
    (void) type;

    while (write(poller->wake_fd, &one, sizeof(one)) == -1 && errno == EINTR) {
        /* again */
    }
}


static void
take_notes(nffi_queue_t *queue, nffi_java_batch_t *batch)
{
    int n;

    n = nffi_queue_cancelled(queue, batch->cancelled, NFFI_JAVA_NOTES);
    batch->cancelled_count = n > 0 ? (uint32_t) n : 0;
    n = nffi_stream_writable(queue, batch->writable, NFFI_JAVA_NOTES);
    batch->writable_count = n > 0 ? (uint32_t) n : 0;
}


/* copies what is small: the request's own memory stays the task's */
static void
copy_tasks(nffi_java_batch_t *batch, const nffi_request_t *requests, int count)
{
    int i;
    size_t at = offsetof(nffi_java_batch_t, bytes);
    unsigned char *base = (unsigned char *) batch;

    for (i = 0; i < count; i++) {
        const nffi_request_t *request = &requests[i];
        nffi_java_task_t *task = &batch->tasks[i];

        task->task = request->task;
        task->deadline_ns = request->deadline_ns;
        task->size = request->size;
        task->offset = (uint32_t) at;
        task->method_size = (uint32_t) request->method_size;
        task->flags = request->flags;

        if (request->method_size > 0) {
            memcpy(base + at, request->method, request->method_size);
            at += request->method_size;
        }

        if (request->size > 0 && request->size <= NFFI_JAVA_SMALL) {
            memcpy(base + at, request->data, request->size);
            at += request->size;
        }
    }
}


/* true: wake() was called */
static int
wait_for(nffi_java_poller_t *poller, int timeout_ms)
{
    uint64_t count;
    struct pollfd fds[2];

    fds[0].fd = nffi_queue_fd(poller->queue);
    fds[0].events = POLLIN;
    fds[1].fd = poller->wake_fd;
    fds[1].events = POLLIN;
    fds[1].revents = 0;

    (void) poll(fds, 2, timeout_ms);

    return (fds[1].revents & POLLIN)
           && read(poller->wake_fd, &count, sizeof(count)) == sizeof(count);
}


/* blocks: up to the timeout; outside of Java for a garbage collection */
JNIEXPORT jint JNICALL
Java_nffi_Native_poll(JNIEnv *env, jclass type, jlong pointer, jobject memory,
    jint timeout_ms)
{
    int n, woken = 0;
    uint64_t at, until = 0;
    nffi_request_t requests[NFFI_JAVA_TASKS];
    nffi_java_batch_t *batch = (*env)->GetDirectBufferAddress(env, memory);
    nffi_java_poller_t *poller = (nffi_java_poller_t *) (uintptr_t) pointer;

    (void) type;

    if (timeout_ms > 0) {
        until = now() + (uint64_t) timeout_ms * 1000000;
    }

    for ( ;; ) {
        n = nffi_queue_poll(poller->queue, requests, NFFI_JAVA_TASKS, 0);
        take_notes(poller->queue, batch);

        if (n != 0 || batch->cancelled_count > 0 || batch->writable_count > 0
            || timeout_ms == 0 || woken)
        {
            break;
        }

        if (nffi_queue_arm(poller->queue) != 0) {
            continue;
        }

        woken = wait_for(poller, timeout_ms);

        if (timeout_ms > 0) {
            at = now();
            timeout_ms = at < until ? (int) ((until - at + 999999) / 1000000)
                                    : 0;
        }
    }

    if (n > 0) {
        copy_tasks(batch, requests, n);
    }

    return n;
}
