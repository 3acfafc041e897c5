/*
 * test_end.c - a queue is freed when its host has closed it and no thread uses
 * it; handles that are used afterwards are refused.
 */

#include "noise.h"
#include "pair.h"

#define THREADS 4
#define ROUNDS 400            /* of the stress cases */


static const nffi_host_options_t small = {
    .max_queue = 16, .max_tasks = 16, .request_arena = 65536,
    .response_arena = 65536
};

static atomic_int unused_calls;


static void
count_unused(void *data)
{
    (void) data;
    atomic_fetch_add(&unused_calls, 1);
}


static void
open_counted(pair_t *pair)
{
    nffi_host_options_t options = small;

    options.unused = count_unused;
    atomic_store(&unused_calls, 0);
    pair_open(pair, &options);
}


/* The host ends; the pair is over. */
static void
end_pair(pair_t *pair)
{
    int rc;

    do {
        rc = nffi_host_end(pair->host);
    } while (rc == NFFI_WOULD_BLOCK);

    CHECK_IS(rc, 1);
    close(pair->wake_fd);
}


static void
unused_is_freed(void)
{
    pair_t pair;

    open_counted(&pair);
    CHECK_IS(nffi_host_end(pair.host), NFFI_INVALID);
    nffi_host_close(pair.host);
    end_pair(&pair);
    CHECK_IS(atomic_load(&unused_calls), 0);
}


static void *
poll_until_closed(void *data)
{
    int rc;
    nffi_request_t request;

    while ((rc = nffi_queue_poll(data, &request, 1, -1)) >= 0) {
        if (rc == 1) {
            CHECK_IS(nffi_respond(request.task, 0, "x", 1), NFFI_OK);
        }
    }

    CHECK_IS(rc, NFFI_CLOSED);

    return NULL;
}


static uint32_t
threads_inside(pair_t *pair)
{
    uint32_t inside;
    nffi_queue_t *queue = nffi__queue_lock(pair->queue);

    CHECK(queue != NULL);
    inside = queue->inside;
    pthread_mutex_unlock(&queue->mutex);

    return inside;
}


static void
pollers_leave(void)
{
    int i, rc;
    pair_t pair;
    pthread_t threads[THREADS];

    open_counted(&pair);

    for (i = 0; i < THREADS; i++) {
        CHECK_IS(pthread_create(&threads[i], NULL, poll_until_closed,
                                pair.queue), 0);
    }

    while (threads_inside(&pair) < THREADS) {
        usleep(1000);
    }

    /* asked before they are woken: the last one calls */
    pair.host->closed = true;
    CHECK_IS(nffi_host_end(pair.host), 0);
    CHECK_IS(atomic_load(&unused_calls), 0);
    nffi_host_close(pair.host);

    for (i = 0; i < THREADS; i++) {
        CHECK_IS(pthread_join(threads[i], NULL), 0);
    }

    CHECK_IS(atomic_load(&unused_calls), 1);

    do {
        rc = nffi_host_end(pair.host);
    } while (rc == NFFI_WOULD_BLOCK);

    CHECK_IS(rc, 1);
    close(pair.wake_fd);
}


static void
task_keeps_it(void)
{
    pair_t pair;
    nffi_request_t request;
    nffi_host_response_t response;

    open_counted(&pair);
    pair_submit(&pair, "x", 1, &pair);
    nffi_host_close(pair.host);
    CHECK_IS(nffi_host_end(pair.host), 0);

    request = pair_take(&pair);
    CHECK_IS(nffi_host_end(pair.host), 0);
    CHECK_IS(nffi_queue_poll(pair.queue, &request, 1, 0), NFFI_CLOSED);
    CHECK_IS(atomic_load(&unused_calls), 0);
    CHECK_IS(nffi_respond(request.task, 0, "y", 1), NFFI_OK);
    CHECK_IS(atomic_load(&unused_calls), 1);

    response = pair_response(&pair);
    nffi_host_release(pair.host, &response);
    end_pair(&pair);
}


static void
stream_keeps_it(void)
{
    pair_t pair;
    nffi_request_t request;
    nffi_host_response_t response;

    open_counted(&pair);
    pair_submit_stream(&pair, "x", 1, 1024, &pair);
    request = pair_take(&pair);
    nffi_host_close(pair.host);
    CHECK_IS(nffi_stream_write(request.task, "chunk", 5), NFFI_OK);
    CHECK_IS(nffi_host_end(pair.host), 0);
    CHECK_IS(nffi_stream_end(request.task), NFFI_OK);
    CHECK_IS(atomic_load(&unused_calls), 1);

    while (nffi_host_collect(pair.host, &response, 1) == 1) {
        nffi_host_release(pair.host, &response);
    }

    end_pair(&pair);
}


static void
descriptor_keeps_it(void)
{
    pair_t pair;
    nffi_request_t request;

    open_counted(&pair);
    CHECK(nffi_queue_fd(pair.queue) >= 0);
    nffi_host_close(pair.host);
    CHECK_IS(nffi_queue_poll(pair.queue, &request, 1, 0), NFFI_CLOSED);
    CHECK_IS(nffi_host_end(pair.host), 0);
    CHECK_IS(nffi_queue_release_fd(pair.queue), NFFI_OK);
    CHECK_IS(atomic_load(&unused_calls), 1);
    end_pair(&pair);
    CHECK_IS(nffi_queue_release_fd(pair.queue), NFFI_OK);
    CHECK_IS(nffi_queue_release_fd(NULL), NFFI_INVALID);
}


/* A thread that polls again after it was asked is waited for once more. */
static void
comes_back(void)
{
    pair_t pair;
    pthread_t thread;
    nffi_request_t request;

    open_counted(&pair);
    pair_submit(&pair, "x", 1, &pair);
    request = pair_take(&pair);
    pair.host->closed = true;
    CHECK_IS(nffi_host_end(pair.host), 0);
    CHECK_IS(nffi_respond(request.task, 0, NULL, 0), NFFI_OK);
    CHECK_IS(atomic_load(&unused_calls), 1);

    CHECK_IS(pthread_create(&thread, NULL, poll_until_closed, pair.queue), 0);

    while (threads_inside(&pair) == 0) {
        usleep(1000);
    }

    CHECK_IS(nffi_host_end(pair.host), 0);
    nffi_host_close(pair.host);
    CHECK_IS(pthread_join(thread, NULL), 0);
    CHECK_IS(atomic_load(&unused_calls), 2);
    (void) pair_response(&pair);
    end_pair(&pair);
}


/* Every call with handles of a queue that has ended. */
static void
use_stale(nffi_queue_t *queue, nffi_task_t task)
{
    char buffer[8] = "stale";
    nffi_task_t tasks[4];
    nffi_request_t request;
    nffi_response_t response = { .task = task, .data = buffer, .size = 5 };

    CHECK_IS(nffi_queue_poll(queue, &request, 1, 0), NFFI_CLOSED);
    CHECK_IS(nffi_queue_poll(queue, &request, 1, -1), NFFI_CLOSED);
    CHECK_IS(nffi_queue_fd(queue), NFFI_CLOSED);
    CHECK_IS(nffi_queue_arm(queue), 1);
    CHECK_IS(nffi_queue_cancelled(queue, tasks, 4), 0);
    CHECK_IS(nffi_stream_writable(queue, tasks, 4), 0);
    CHECK_IS(nffi_queue_log(queue, NFFI_LOG_WARN, "stale", 5), NFFI_CLOSED);
    CHECK_IS(nffi_attach_ready(queue), NFFI_INVALID);

    CHECK_IS(nffi_log(task, NFFI_LOG_WARN, "stale", 5), NFFI_STALE);
    CHECK_IS(nffi_task_cancelled(task), NFFI_STALE);
    CHECK_IS(nffi_task_request(task, &request), NFFI_STALE);
    CHECK_IS(nffi_respond(task, 0, "stale", 5), NFFI_STALE);
    CHECK_IS(nffi_respond_error(task, "stale", 5, NULL, 0), NFFI_STALE);
    CHECK_IS(nffi_respond_owned(task, 0, buffer, 5, free), NFFI_STALE);
    CHECK_IS(nffi_respond_batch(&response, 1), 0);
    CHECK(nffi_response_alloc(task, 100) == NULL);
    nffi_response_discard(task, buffer);
    CHECK_IS(nffi_stream_write(task, "stale", 5), NFFI_STALE);
    CHECK_IS(nffi_stream_wait(task, -1), NFFI_STALE);
    CHECK_IS(nffi_stream_end(task), NFFI_STALE);
}


static void
stale_is_refused(void)
{
    pair_t pair, next;
    nffi_task_t task;
    nffi_request_t request;
    nffi_host_log_t log;
    nffi_host_response_t response;

    open_counted(&pair);
    pair_submit(&pair, "x", 1, &pair);
    task = pair_take(&pair).task;
    CHECK_IS(nffi_respond(task, 0, NULL, 0), NFFI_OK);
    response = pair_response(&pair);
    nffi_host_release(pair.host, &response);
    nffi_host_close(pair.host);
    end_pair(&pair);

    use_stale(pair.queue, task);

    /* the next queue has the same structure, and a task in the same slot */
    open_counted(&next);
    CHECK(next.queue != pair.queue);
    CHECK_IS((uintptr_t) next.queue & 0xfff, (uintptr_t) pair.queue & 0xfff);
    pair_submit(&next, "x", 1, &next);
    request = pair_take(&next);
    CHECK_IS(request.task >> 32, task >> 32);
    CHECK(request.task != task);
    use_stale(pair.queue, task);
    CHECK_IS(nffi_host_log(next.host, &log), 0);
    CHECK_IS(nffi_respond(request.task, 0, NULL, 0), NFFI_OK);
    response = pair_response(&next);
    nffi_host_release(next.host, &response);
    pair_check_idle(&next);
    nffi_host_close(next.host);
    end_pair(&next);
}


static size_t
count_lines(const char *file)
{
    int c;
    size_t lines = 0;
    FILE *stream = fopen(file, "r");

    CHECK(stream != NULL);

    while ((c = fgetc(stream)) != EOF) {
        lines += c == '\n';
    }

    fclose(stream);

    return lines;
}


/* More than the table of queues has entries. */
static void
many_in_a_row(void)
{
    int i, fd = -1, before = -1;
    size_t maps = 0;
    pair_t pair;

    for (i = 0; i < 10000; i++) {
        open_counted(&pair);
        nffi_host_close(pair.host);
        end_pair(&pair);

        if (i == 10) {
            maps = count_lines("/proc/self/maps");
            before = dup(0);
            close(before);
        }
    }

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    (void) maps;              /* it maps separate memory */
#else
    CHECK_IS(count_lines("/proc/self/maps"), maps);
#endif
    fd = dup(0);
    CHECK_IS(fd, before);
    close(fd);
}


static _Atomic(nffi_queue_t *) shared_queue;
static _Atomic uint64_t shared_task;
static atomic_bool stopped;


/* Takes and answers, and uses whatever handles it finds, ended or not. */
static void *
use_handles(void *unused)
{
    nffi_task_t task, tasks[2];
    nffi_queue_t *queue;
    nffi_request_t request;

    (void) unused;

    while (!atomic_load(&stopped)) {
        queue = atomic_load(&shared_queue);
        task = atomic_load(&shared_task);
        (void) nffi_log(task, NFFI_LOG_WARN, "late", 4);
        (void) nffi_respond(task, 0, "late", 4);
        (void) nffi_stream_wait(task, 1);

        if (queue == NULL) {
            continue;
        }

        (void) nffi_queue_log(queue, NFFI_LOG_WARN, "late", 4);
        (void) nffi_queue_arm(queue);
        (void) nffi_queue_cancelled(queue, tasks, 2);

        if (nffi_queue_poll(queue, &request, 1, 1) == 1) {
            atomic_store(&shared_task, request.task);
            (void) nffi_log(request.task, NFFI_LOG_WARN, "mine", 4);
            (void) nffi_respond(request.task, 0, "mine", 4);
        }
    }

    return NULL;
}


static atomic_int reported_unused;

static void
report_unused(void *data)
{
    (void) data;
    atomic_store(&reported_unused, 1);
}


/* Collects, then ends the host as the event loop does: only when it is called,
   or at the next look when a thread was in the middle of a call. */
static void
end_when_unused(pair_t *pair)
{
    int rc;
    nffi_host_log_t log;
    nffi_host_response_t response;
    long long end = now_ms() + 10000;

    for ( ;; ) {
        while (nffi_host_collect(pair->host, &response, 1) == 1) {
            nffi_host_release(pair->host, &response);
        }

        while (nffi_host_log(pair->host, &log) == 1) { /* void */ }

        atomic_store(&reported_unused, 0);
        rc = nffi_host_end(pair->host);

        if (rc == 1) {
            return;
        }

        while (rc == 0 && !atomic_load(&reported_unused)) {
            CHECK(now_ms() < end);
            sched_yield();
        }
    }
}


static void
ends_under_load(void)
{
    int i, j;
    pair_t pair;
    pthread_t threads[THREADS];
    nffi_host_options_t options = small;

    options.unused = report_unused;

    for (i = 0; i < THREADS; i++) {
        CHECK_IS(pthread_create(&threads[i], NULL, use_handles, NULL), 0);
    }

    for (i = 0; i < ROUNDS; i++) {
        pair_open(&pair, &options);
        atomic_store(&shared_queue, pair.queue);

        for (j = 0; j < 4; j++) {
            (void) pair_submit(&pair, "x", 1, &pair);
        }

        nffi_host_close(pair.host);
        end_when_unused(&pair);
        close(pair.wake_fd);
    }

    atomic_store(&stopped, true);

    for (i = 0; i < THREADS; i++) {
        CHECK_IS(pthread_join(threads[i], NULL), 0);
    }
}


int
main(int argc, char **argv)
{
    static const check_case_t cases[] = {
        { "a closed queue that no thread uses is freed", unused_is_freed },
        { "the last thread that leaves poll notifies the host", pollers_leave },
        { "an unanswered task keeps its queue", task_keeps_it },
        { "a stream that has not ended keeps its queue", stream_keeps_it },
        { "a descriptor keeps its queue until released", descriptor_keeps_it },
        { "a thread that polls again is waited for again", comes_back },
        { "handles of a queue that has ended are refused", stale_is_refused },
        { "10,000 queues leave no descriptor and no map", many_in_a_row },
        { "queues end while threads use their handles", ends_under_load },
    };

    return CHECK_MAIN(argc, argv, cases);
}
