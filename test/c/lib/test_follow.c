/*
 * test_follow.c - which thread leads, which follow, and what they owe each
 * other, step by step. test_leader.c does it at random.
 */

#include "readers.h"
#include "runtime/done.h"
#include "runtime/wait.h"

/* One thread in nffi_stream_wait, or in nffi_queue_poll. */
typedef struct waiter {
    pthread_t id;
    nffi_task_t task;
    int timeout_ms;
    atomic_int result;        /* RUNNING: it still waits */
} waiter_t;

#define RUNNING 1000


static void *
wait_for_credit(void *data)
{
    waiter_t *waiter = data;

    waiter->result = nffi_stream_wait(waiter->task, waiter->timeout_ms);

    return NULL;
}


static void *
wait_for_tasks(void *data)
{
    int n;
    nffi_request_t request;
    waiter_t *waiter = data;

    n = nffi_queue_poll(pair.queue, &request, 1, waiter->timeout_ms);

    if (n == 1) {
        CHECK_IS(nffi_respond(request.task, 0, NULL, 0), NFFI_OK);
    }

    waiter->result = n;

    return NULL;
}


/* Threads that wait now: the leader counts when it is asleep. */
static uint32_t
waiting_threads(void)
{
    uint32_t count;
    nffi_queue_t *queue = pair_inner(pair.queue);

    pthread_mutex_lock(&queue->mutex);
    count = queue->followers.count + queue->writers.count
            + (queue->leader != NFFI__NOBODY
               && queue->region.header->runtime_parked);
    pthread_mutex_unlock(&queue->mutex);

    return count;
}


/* Starts a thread and returns when it waits; the first one leads. */
static void
start(waiter_t *waiter, void *(*run_thread)(void *data), nffi_task_t task,
    int timeout_ms)
{
    uint32_t before = waiting_threads();

    waiter->task = task;
    waiter->timeout_ms = timeout_ms;
    waiter->result = RUNNING;
    CHECK_IS(pthread_create(&waiter->id, NULL, run_thread, waiter), 0);

    while (waiting_threads() == before) {
        usleep(1000);
    }
}


static void
check_returns(waiter_t *waiter, int expected)
{
    int ms;

    for (ms = 0; waiter->result == RUNNING; ms++) {
        if (ms == LOST_MS) {
            check_fail(__FILE__, __LINE__, "a thread still waits");
        }

        usleep(1000);
    }

    CHECK_IS(waiter->result, expected);
    CHECK_IS(pthread_join(waiter->id, NULL), 0);
}


/* A stream whose window is full; its chunks are collected, but not read. */
static nffi_task_t
full_stream(reader_t *reader)
{
    nffi_task_t running;

    reader->unread = 0;
    reader->task = pair_submit_stream(&pair, NULL, 0, WINDOW, reader);
    running = pair_take(&pair).task;

    while (nffi_stream_write(running, "0123456789", 10) == NFFI_OK) {
        CHECK_IS(collect(), 0);
    }

    CHECK_IS(reader->unread, NFFI__CHUNKS);

    return running;
}


/* Duties of a leading writer to the pollers that follow it. */
static void
writer_leads(void)
{
    int i;
    waiter_t writer, pollers[2];
    nffi_task_t first, second, notified;

    pair_open(&pair, ASLEEP);
    first = full_stream(&readers[0]);
    second = full_stream(&readers[1]);
    start(&writer, wait_for_credit, first, -1);

    /* a task */
    start(&pollers[0], wait_for_tasks, 0, -1);
    pair_submit(&pair, NULL, 0, callers);
    check_returns(&pollers[0], 1);
    CHECK_IS(collect(), 1);

    /* credit for another stream, without a waiting thread */
    start(&pollers[0], wait_for_tasks, 0, -1);
    read_all(&readers[1]);
    check_returns(&pollers[0], 0);
    CHECK_IS(nffi_stream_writable(pair.queue, &notified, 1), 1);
    CHECK(notified == second);

    /* the end */
    for (i = 0; i < 2; i++) {
        start(&pollers[i], wait_for_tasks, 0, -1);
    }

    nffi_host_close(pair.host);
    check_returns(&pollers[0], NFFI_CLOSED);
    check_returns(&pollers[1], NFFI_CLOSED);
    CHECK_IS(writer.result, RUNNING);
    nffi_host_cancel(pair.host, readers[0].task);
    check_returns(&writer, NFFI_CANCELLED);
    close_with(first, second);
}


/* Opens the queue with two full streams, whose writers wait for credit. */
static void
start_writers(waiter_t *writers, nffi_task_t *tasks)
{
    int i;

    pair_open(&pair, ASLEEP);

    for (i = 0; i < 2; i++) {
        tasks[i] = full_stream(&readers[i]);
    }

    for (i = 0; i < 2; i++) {
        start(&writers[i], wait_for_credit, tasks[i], -1);
    }
}


/* Threads that leave, for whatever reason, make another one lead. */
static void
leaders_leave(void)
{
    waiter_t writers[2], poller;
    nffi_task_t first, second;

    pair_open(&pair, ASLEEP);
    first = full_stream(&readers[0]);
    second = full_stream(&readers[1]);
    start(&writers[0], wait_for_credit, first, 100);
    start(&writers[1], wait_for_credit, second, -1);
    start(&poller, wait_for_tasks, 0, 300);
    check_returns(&writers[0], NFFI_WOULD_BLOCK);
    check_returns(&poller, 0);
    read_all(&readers[1]);
    check_returns(&writers[1], NFFI_OK);
    close_with(first, second);
}


/* A stream that another thread ends, while the leader or a follower waits. */
static void
ended_by_another(void)
{
    waiter_t writers[2];
    nffi_task_t tasks[2];

    start_writers(writers, tasks);
    CHECK_IS(nffi_stream_end(tasks[1]), NFFI_OK);
    check_returns(&writers[1], NFFI_STALE);
    CHECK_IS(nffi_respond_error(tasks[0], "x", 1, NULL, 0), NFFI_OK);
    check_returns(&writers[0], NFFI_STALE);
    (void) collect();
    pair_check_idle(&pair);
    pair_close(&pair);
}


/* A thread finds that the host violated the protocol: all that wait return. */
static void
cut_off(void)
{
    waiter_t writer, poller;
    nffi_task_t task, notified;
    nffi__ring_t *notes;

    pair_open(&pair, ASLEEP);
    task = full_stream(&readers[0]);
    start(&writer, wait_for_credit, task, -1);
    start(&poller, wait_for_tasks, 0, -1);
    notes = &pair_inner(pair.queue)->region.header->notes_ring;
    notes->tail += pair.host->region.max_tasks + 1;
    CHECK_IS(nffi_queue_cancelled(pair.queue, &notified, 1), 0);
    check_returns(&writer, NFFI_CLOSED);
    check_returns(&poller, NFFI_CLOSED);
}


/* The descriptor has one owner: threads beside it follow. */
static void
beside_a_descriptor(void)
{
    nffi_request_t request;
    waiter_t writers[2], poller;
    nffi_task_t first, second;
    struct pollfd pollfd = { .events = POLLIN };

    pair_open(&pair, SPINNING);
    first = full_stream(&readers[0]);
    second = full_stream(&readers[1]);
    start(&writers[0], wait_for_credit, first, -1);
    start(&poller, wait_for_tasks, 0, -1);

    while (nffi_queue_arm(pair.queue) != 0) {
        usleep(1000);
    }

    start(&writers[1], wait_for_credit, second, -1);
    pollfd.fd = nffi_queue_fd(pair.queue);
    read_all(&readers[0]);
    CHECK_IS(poll(&pollfd, 1, LOST_MS), 1);
    CHECK_IS(nffi_queue_poll(pair.queue, &request, 1, 0), 0);
    check_returns(&writers[0], NFFI_OK);

    /* and while its thread is in a handler */
    read_all(&readers[1]);
    pair_submit(&pair, NULL, 0, callers);
    check_returns(&writers[1], NFFI_OK);
    check_returns(&poller, 1);
    close_with(first, second);
}


/* Duties of a leading poller to a writer that follows. */
static void
poller_leads(void)
{
    nffi_task_t task;
    waiter_t writer, poller;

    pair_open(&pair, ASLEEP);
    task = full_stream(&readers[0]);
    start(&poller, wait_for_tasks, 0, -1);
    start(&writer, wait_for_credit, task, -1);
    read_all(&readers[0]);
    check_returns(&writer, NFFI_OK);
    CHECK_IS(poller.result, RUNNING);
    pair_submit(&pair, NULL, 0, callers);
    check_returns(&poller, 1);
    close_with(task, 0);
}


/* Writers alone: the one that leaves makes the other one lead. */
static void
writers_leave(void)
{
    waiter_t writers[2];
    nffi_task_t tasks[2];

    start_writers(writers, tasks);
    read_all(&readers[0]);
    check_returns(&writers[0], NFFI_OK);
    read_all(&readers[1]);
    check_returns(&writers[1], NFFI_OK);
    close_with(tasks[0], tasks[1]);
}


static waiter_t late_writer;
static atomic_bool late;

/* A poller is in here, without the mutex, before it waits. */
static void
wake_late(void *data)
{
    pair_wake(data);

    if (!atomic_exchange(&late, true)) {
        pair_submit(&pair, NULL, 0, callers);
        start(&late_writer, wait_for_credit, late_writer.task, -1);
    }
}


/*
 * A poller wakes the host for a task that it has skipped. At the same time a
 * task is queued, and a writer begins to lead: both after the poller has
 * checked.
 */
static void
wakes_before_it_waits(void)
{
    nffi_task_t task;
    waiter_t poller = { .timeout_ms = -1, .result = RUNNING };

    pair_open(&pair, ASLEEP);
    late_writer.task = full_stream(&readers[0]);
    pair_inner(pair.queue)->callbacks.wake = wake_late;
    CHECK_IS(nffi_host_park(pair.host), 0);
    task = pair_submit(&pair, NULL, 0, callers);
    nffi_host_cancel(pair.host, task);
    CHECK_IS(pthread_create(&poller.id, NULL, wait_for_tasks, &poller), 0);
    check_returns(&poller, 1);
    read_all(&readers[0]);
    check_returns(&late_writer, NFFI_OK);
    close_with(late_writer.task, 0);
}


/* A follower that is woken when its time is over: nothing is left of it. */
static void
woken_too_late(void)
{
    waiter_t pollers[3];
    nffi_queue_t *queue;

    pair_open(&pair, ASLEEP);
    queue = pair_inner(pair.queue);
    start(&pollers[0], wait_for_tasks, 0, -1);
    start(&pollers[1], wait_for_tasks, 0, 50);

    pthread_mutex_lock(&queue->mutex);
    usleep(200000);
    nffi__look_again(queue);
    pthread_mutex_unlock(&queue->mutex);
    check_returns(&pollers[1], 0);

    while (waiting_threads() != 1) {
        usleep(1000);
    }

    start(&pollers[2], wait_for_tasks, 0, -1);
    pair_submit(&pair, NULL, 0, callers);
    check_returns(&pollers[0], 1);
    pair_submit(&pair, NULL, 0, callers);
    check_returns(&pollers[2], 1);
    CHECK_IS(collect(), 2);
    pair_check_idle(&pair);
    pair_close(&pair);
}


/* Between the note and the thread that takes it another one has written. */
static void
written_before_the_note(void)
{
    nffi_task_t task;
    waiter_t writer, poller;
    nffi_queue_t *queue;

    pair_open(&pair, ASLEEP);
    queue = pair_inner(pair.queue);
    task = full_stream(&readers[0]);
    start(&poller, wait_for_tasks, 0, 1000);
    start(&writer, wait_for_credit, task, -1);

    pthread_mutex_lock(&queue->mutex);
    read_all(&readers[0]);
    queue->running[nffi__task_slot(task)].stream->blocked = false;
    pthread_mutex_unlock(&queue->mutex);
    check_returns(&writer, NFFI_OK);
    CHECK_IS(poller.result, RUNNING);
    check_returns(&poller, 0);
    close_with(task, 0);
}


int
main(int argc, char **argv)
{
    static const check_case_t cases[] = {
        { "a thread that waits for credit leads for pollers", writer_leads },
        { "a poller leads for a thread that waits for credit", poller_leads },
        { "a leader whose time is over makes another one lead",
          leaders_leave },
        { "a writer that leaves makes another one lead", writers_leave },
        { "a poller looks again after it has woken the host",
          wakes_before_it_waits },
        { "a stream that another thread ends", ended_by_another },
        { "a follower that is woken when its time is over", woken_too_late },
        { "a write between a note and the thread that takes it",
          written_before_the_note },
        { "threads of a queue that was cut off return", cut_off },
        { "threads beside a descriptor", beside_a_descriptor },
    };

    return CHECK_MAIN(argc, argv, cases);
}
