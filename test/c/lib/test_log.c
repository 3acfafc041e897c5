/*
 * test_log.c - messages for the log: whose they are, and that a flood of them
 * is dropped and counted.
 */

#include "pair.h"

static int owners[4];


/* The next message is this one. */
static void
message(pair_t *pair, const void *owner, int level, const char *text)
{
    nffi_host_log_t log;

    CHECK_IS(nffi_host_log(pair->host, &log), 1);
    CHECK(log.owner == owner);
    CHECK_IS(log.level, level);
    CHECK_BYTES(log.text, log.size, text, strlen(text));
}


static void
tells(pair_t *pair)
{
    nffi_task_t task, running, next;
    nffi_host_log_t log;
    nffi_host_response_t response;
    char text[3000];

    task = pair_submit(pair, "x", 1, owners);
    running = pair_take(pair).task;
    CHECK_IS(nffi_host_park(pair->host), 0);
    CHECK_IS(nffi_log(running, NFFI_LOG_ERROR, "one", 3), NFFI_OK);
    CHECK_IS(nffi_log(running, NFFI_LOG_DEBUG, "two", 3), NFFI_OK);
    CHECK_IS(nffi_log(running, NFFI_LOG_INFO, NULL, 0), NFFI_OK);
    CHECK_IS(nffi_host_park(pair->host), 1);
    message(pair, owners, NFFI_LOG_ERROR, "one");
    message(pair, owners, NFFI_LOG_DEBUG, "two");
    CHECK_IS(nffi_host_log(pair->host, &log), 0);
    CHECK_IS(nffi_host_park(pair->host), 0);

    memset(text, 'a', sizeof(text));
    CHECK_IS(nffi_log(running, NFFI_LOG_WARN, text, sizeof(text)), NFFI_OK);
    text[2048] = '\0';
    message(pair, owners, NFFI_LOG_WARN, text);

    /* given before the answer, taken before it is collected */
    CHECK_IS(nffi_log(running, NFFI_LOG_INFO, "last", 4), NFFI_OK);
    CHECK_IS(nffi_respond(running, 0, "x", 1), NFFI_OK);
    CHECK_IS(nffi_host_waiting(pair->host), 1);
    message(pair, owners, NFFI_LOG_INFO, "last");
    response = pair_response(pair);
    nffi_host_release(pair->host, &response);

    /* of tasks that have ended, in the same slot or not at all */
    CHECK_IS(nffi_log(running, NFFI_LOG_INFO, "late", 4), NFFI_OK);
    message(pair, NULL, NFFI_LOG_INFO, "late");
    pair_submit(pair, "x", 1, &owners[1]);
    next = pair_take(pair).task;
    CHECK_IS((uint32_t) (next >> 32), (uint32_t) (running >> 32));
    CHECK_IS(nffi_log(running, NFFI_LOG_INFO, "late", 4), NFFI_OK);
    CHECK_IS(nffi_log(next, NFFI_LOG_INFO, "now", 3), NFFI_OK);
    message(pair, NULL, NFFI_LOG_INFO, "late");
    message(pair, &owners[1], NFFI_LOG_INFO, "now");

    /* the call was cancelled */
    CHECK_IS(nffi_respond(next, 0, NULL, 0), NFFI_OK);
    response = pair_response(pair);
    nffi_host_release(pair->host, &response);
    task = pair_submit(pair, "x", 1, owners);
    running = pair_take(pair).task;
    nffi_host_cancel(pair->host, task);
    CHECK_IS(nffi_log(running, NFFI_LOG_INFO, "alone", 5), NFFI_OK);
    message(pair, NULL, NFFI_LOG_INFO, "alone");
    CHECK_IS(nffi_respond(running, 0, NULL, 0), NFFI_OK);
    CHECK_IS(nffi_host_collect(pair->host, &response, 1), 0);

    /* of no task, while one that runs has the first slot */
    pair_submit(pair, "x", 1, owners);
    running = pair_take(pair).task;
    CHECK_IS(nffi_queue_log(pair->queue, NFFI_LOG_NOTICE, "free", 4), NFFI_OK);
    message(pair, NULL, NFFI_LOG_NOTICE, "free");
    CHECK_IS(nffi_queue_log(pair->queue, 0, "x", 1), NFFI_INVALID);
    CHECK_IS(nffi_queue_log(NULL, NFFI_LOG_INFO, "x", 1), NFFI_INVALID);
    CHECK_IS(nffi_respond(running, 0, NULL, 0), NFFI_OK);
    response = pair_response(pair);
    nffi_host_release(pair->host, &response);

    CHECK_IS(nffi_log(0, NFFI_LOG_INFO, "x", 1), NFFI_STALE);
    CHECK_IS(nffi_log(running, 0, "x", 1), NFFI_INVALID);
    CHECK_IS(nffi_log(running, NFFI_LOG_DEBUG + 1, "x", 1), NFFI_INVALID);
    CHECK_IS(nffi_log(running, NFFI_LOG_INFO, NULL, 1), NFFI_INVALID);
    pair_check_idle(pair);
    pair_close(pair);
}


static void
reports_here(void)
{
    pair_t pair;

    pair_open(&pair, &(nffi_host_options_t) { .max_tasks = 1 });
    tells(&pair);
}


static void
reports_shared(void)
{
    pair_t pair;

    pair_open_shared(&pair, &(nffi_host_options_t) { .max_tasks = 1 });
    tells(&pair);
}


/* Messages that are not taken are bounded; calls continue, and the rest is
   counted. */
static void
is_bounded(void)
{
    int i, taken = 0, kept = 0;
    pair_t pair;
    nffi_task_t running;
    nffi_host_log_t log;
    nffi_host_response_t response;

    pair_open(&pair, &(nffi_host_options_t) { .response_arena = 64 << 10 });
    pair_submit(&pair, "x", 1, owners);
    running = pair_take(&pair).task;

    for (i = 0; i < 10000; i++) {
        kept += nffi_log(running, NFFI_LOG_INFO, "flood", 5) == NFFI_OK;
    }

    CHECK_IS(kept, NFFI__LOGS);
    CHECK_IS(nffi_log(running, NFFI_LOG_INFO, "x", 1), NFFI_QUEUE_FULL);
    CHECK_IS(nffi_respond(running, 0, "x", 1), NFFI_OK);

    while (nffi_host_log(pair.host, &log) == 1) {
        taken++;
    }

    CHECK_IS(taken, kept);
    CHECK_IS(nffi_host_logs_dropped(pair.host), 10001 - kept);
    CHECK_IS(nffi_host_logs_dropped(pair.host), 0);
    response = pair_response(&pair);
    nffi_host_release(pair.host, &response);
    pair_check_idle(&pair);
    pair_close(&pair);
}


/* Messages from before the close of a queue are complete after it, and so are
   the last messages of its threads. */
static void
outlives_close(void)
{
    pair_t pair;

    pair_open(&pair, &(nffi_host_options_t) { 0 });
    CHECK_IS(nffi_queue_log(pair.queue, NFFI_LOG_INFO, "before", 6), NFFI_OK);
    nffi_host_close(pair.host);
    CHECK_IS(nffi_queue_log(pair.queue, NFFI_LOG_INFO, "after", 5), NFFI_OK);
    message(&pair, NULL, NFFI_LOG_INFO, "before");
    message(&pair, NULL, NFFI_LOG_INFO, "after");
    pair_close(&pair);
}


typedef struct logger {
    pair_t *pair;
    nffi_task_t task;
} logger_t;

static void *
log_on(void *data)
{
    int i;
    logger_t *logger = data;
    char text[32];

    for (i = 0; i < CHECK_SCALE(20000); i++) {
        snprintf(text, sizeof(text), "%d", i);

        while (nffi_log(logger->task, NFFI_LOG_INFO, text, strlen(text))
               == NFFI_QUEUE_FULL)
        {
            sched_yield();
        }
    }

    CHECK_IS(nffi_respond(logger->task, 0, NULL, 0), NFFI_OK);

    return NULL;
}


/* Several threads: each one's messages keep their order and their owner. */
static void
keeps_order(void)
{
    int i, n, done = 0, next[4] = { 0 };
    pair_t pair;
    logger_t loggers[4];
    pthread_t threads[4];
    char text[32];
    nffi_host_log_t log;
    nffi_host_response_t response;

    pair_open(&pair, &(nffi_host_options_t) { 0 });

    for (i = 0; i < 4; i++) {
        pair_submit(&pair, "x", 1, &owners[i]);
        loggers[i] = (logger_t) { &pair, pair_take(&pair).task };
        CHECK_IS(pthread_create(&threads[i], NULL, log_on, &loggers[i]), 0);
    }

    while (done < 4) {
        n = nffi_host_waiting(pair.host);

        while (nffi_host_log(pair.host, &log) == 1) {
            CHECK(log.owner != NULL);
            i = (int) ((int *) log.owner - owners);
            snprintf(text, sizeof(text), "%d", next[i]++);
            CHECK_BYTES(log.text, log.size, text, strlen(text));
        }

        if (n) {
            CHECK_IS(nffi_host_collect(pair.host, &response, 1), 1);
            i = (int) ((int *) response.owner - owners);
            CHECK_IS(next[i], CHECK_SCALE(20000));
            nffi_host_release(pair.host, &response);
            done++;

        } else if (!nffi_host_park(pair.host)) {
            pair_sleep(&pair);
        }
    }

    for (i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
    }

    pair_check_idle(&pair);
    pair_close(&pair);
}


int
main(int argc, char **argv)
{
    static const check_case_t cases[] = {
        { "messages have their owner, in the worker", reports_here },
        { "messages have their owner, over shared memory", reports_shared },
        { "a flood is dropped and counted", is_bounded },
        { "messages of threads keep their order", keeps_order },
        { "a message outlives the close of its queue", outlives_close },
    };

    return CHECK_MAIN(argc, argv, cases);
}
