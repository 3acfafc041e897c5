/*
 * attach.c - the runtime's side in a process: takes over the descriptors that
 * the worker passed across exec, and watches the worker.
 *
 * The watching thread is native and blocks every signal: runtime code that
 * never returns to its event loop cannot keep the process alive after the
 * worker.
 */

#define _GNU_SOURCE

#include "runtime/queue.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>


static int
send_text(int fd, enum nffi__message_type type, const void *text, size_t size)
{
    nffi__message_t message;

    if (size > sizeof(message.text)) {
        size = sizeof(message.text);
    }

    memset(&message, 0, NFFI__MESSAGE_HEAD);
    message.type = type;
    message.abi = NFFI__REGION_ABI;
    message.text_size = (uint32_t) size;

    if (size > 0) {
        memcpy(message.text, text, size);
    }

    return nffi__control_send(fd, &message, -1, 0);
}


static void
keep_payload(nffi_queue_t *queue, const nffi__message_t *message, int fd)
{
    nffi__payload_t *payload;

    payload = malloc(sizeof(*payload));
    if (payload == NULL) {
        if (fd != -1) {
            close(fd);
        }

        return;
    }

    payload->task = message->task;
    payload->fd = fd;

    pthread_mutex_lock(&queue->payloads_mutex);
    payload->next = queue->payloads;
    queue->payloads = payload;
    pthread_cond_broadcast(&queue->payload_came);
    pthread_mutex_unlock(&queue->payloads_mutex);
}


static void *
watch_worker(void *data)
{
    int rc, fd;
    struct pollfd pollfd;
    nffi__message_t message;
    nffi_queue_t *queue = data;

    pollfd.fd = queue->control_fd;
    pollfd.events = POLLIN;

    for ( ;; ) {
        (void) poll(&pollfd, 1, -1);
        rc = nffi__control_receive(queue->control_fd, &message, &fd);

        if (rc == NFFI_CLOSED || rc == NFFI_SYSTEM) {
            _exit(0);
        }

        /* also keep a payload that lost its descriptor because none was free:
           the thread that takes the task must not wait for it */
        if (rc == 1 && message.type == NFFI__MESSAGE_PAYLOAD) {
            keep_payload(queue, &message, fd);

        } else if (fd != -1) {
            close(fd);
        }
    }

    return NULL;
}


static int
start_watching(nffi_queue_t *queue)
{
    int rc;
    pthread_t thread;
    sigset_t all, before;
    pthread_attr_t attr;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    rc = pthread_create(&thread, &attr, watch_worker, queue);
    pthread_attr_destroy(&attr);
    pthread_sigmask(SIG_SETMASK, &before, NULL);

    if (rc != 0) {
        errno = rc;
        return NFFI_SYSTEM;
    }

    return NFFI_OK;
}


/* This process has the worker's descriptors at their numbers. */
static bool holds_worker;

/* ... and the one of the memory: this kernel cannot allocate pages through a
   mapping. */
static bool holds_memory;


/*
 * In a process that this one forks and that may never exec: the worker detects
 * the death of this process by the end of the socket, so no other process may
 * hold it. A process that is forked there finds the flag cleared, and the
 * numbers may be its own.
 */
static void
leave_worker(void)
{
    if (!holds_worker) {
        return;
    }

    holds_worker = false;

    if (holds_memory) {
        close(NFFI__FD_MEMORY);
    }

    close(NFFI__FD_TASKS);
    close(NFFI__FD_DONE);
    close(NFFI__FD_CONTROL);
}


int
nffi_attach(nffi_queue_t **result)
{
    int rc, fd;
    const char *value;
    nffi__region_t region;
    nffi_queue_t *queue;
    static const nffi__callbacks_t none;

    value = getenv(NFFI__ATTACH_ENV);
    if (result == NULL || value == NULL || strcmp(value, "1") != 0) {
        return result == NULL ? NFFI_INVALID : NFFI_NOT_A_PROCESS;
    }

    /* processes that this one starts are not runtimes of the worker */
    unsetenv(NFFI__ATTACH_ENV);

    for (fd = NFFI__FD_MEMORY; fd <= NFFI__FD_CONTROL; fd++) {
        if (fcntl(fd, F_SETFD, FD_CLOEXEC) == -1) {
            return NFFI_NOT_A_PROCESS;
        }
    }

    rc = nffi__region_attach(&region, NFFI__FD_MEMORY);
    if (rc != NFFI_OK) {
        if (rc == NFFI_ABI_MISMATCH) {
            (void) send_text(NFFI__FD_CONTROL, NFFI__MESSAGE_ABI, NULL, 0);
        }

        return rc;
    }

    if (region.memfd == -1) {
        close(NFFI__FD_MEMORY);
    }

    rc = nffi__queue_create(&queue, &region, NFFI__FD_TASKS, &none);
    if (rc != NFFI_OK) {
        nffi__region_unmap(&region);
        return rc;
    }

    queue->arena.start = (uint64_t) (region.response_arena
                                     - (unsigned char *) region.header);
    nffi__commit_first(&queue->arena);
    queue->done_fd = NFFI__FD_DONE;
    queue->control_fd = NFFI__FD_CONTROL;

    holds_worker = true;
    holds_memory = region.memfd != -1;
    rc = pthread_atfork(NULL, NULL, leave_worker) == 0 ? start_watching(queue)
                                                       : NFFI_NO_MEMORY;
    if (rc != NFFI_OK) {
        holds_worker = false;
        nffi__queue_destroy(queue, 0);
        nffi__region_unmap(&region);
        return rc;
    }

    *result = nffi__queue_handle(queue);

    return NFFI_OK;
}


/* Returns -1 for a queue that is not of a process. */
static int
control_fd_of(const nffi_queue_t *handle)
{
    int fd;
    nffi_queue_t *queue = nffi__queue_lock(handle);

    if (queue == NULL) {
        return -1;
    }

    fd = queue->control_fd;
    pthread_mutex_unlock(&queue->mutex);

    return fd;
}


int
nffi_attach_ready(nffi_queue_t *queue)
{
    int fd = control_fd_of(queue);

    return fd == -1 ? NFFI_INVALID
                    : send_text(fd, NFFI__MESSAGE_READY, NULL, 0);
}


int
nffi_attach_failed(nffi_queue_t *queue, const void *message, size_t size)
{
    int fd = control_fd_of(queue);

    if (fd == -1 || (message == NULL && size > 0)) {
        return NFFI_INVALID;
    }

    return send_text(fd, NFFI__MESSAGE_FAILED, message, size);
}
