/*
 * test_stream_end.c - how streams end: by a response, an error, cancellation or
 * the close of the queue, and what is refused, in both ways of hosting.
 */

#include "streams.h"


/* One response for a stream; errors before and between chunks. */
static void
answers(pair_t *pair)
{
    nffi_task_t task, running;

    running = streaming(pair, WINDOW, &task);
    CHECK_IS(nffi_respond(running, 0, "whole", 5), NFFI_OK);
    end(pair, 0, "whole", 5);

    running = streaming(pair, WINDOW, &task);
    CHECK_IS(nffi_respond(running, 7, "code", 4), NFFI_OK);
    end(pair, 0, "code", 4);

    running = streaming(pair, WINDOW, &task);
    CHECK_IS(nffi_respond_error(running, "early", 5, NULL, 0), NFFI_OK);
    end(pair, NFFI_HOST_ERROR, "early", 5);

    running = streaming(pair, WINDOW, &task);
    CHECK_IS(nffi_stream_end(running), NFFI_OK);
    end(pair, NFFI_HOST_END, NULL, 0);

    running = streaming(pair, WINDOW, &task);
    CHECK_IS(nffi_stream_write(running, "1", 1), NFFI_OK);
    CHECK_IS(nffi_stream_write(running, "2", 1), NFFI_OK);
    CHECK_IS(nffi_respond(running, 0, "x", 1), NFFI_INVALID);
    CHECK_IS(nffi_respond_owned(running, 0, "x", 1, free), NFFI_INVALID);
    CHECK_IS(nffi_respond_error(running, "late", 4, "detail", 6), NFFI_OK);
    chunk(pair, "1", 1);
    chunk(pair, "2", 1);
    end(pair, NFFI_HOST_ERROR, "latedetail", 10);
    check_done(pair);
}

BOTH_WAYS(answers)


static void
cancels(pair_t *pair)
{
    int i;
    nffi_task_t task, running, notified[4];
    nffi_request_t request;
    nffi_host_response_t response;

    /* with chunks on their way, and a writer that waits */
    running = streaming(pair, WINDOW, &task);

    for (i = 0; i < NFFI__CHUNKS; i++) {
        CHECK_IS(nffi_stream_write(running, "c", 1), NFFI_OK);
    }

    CHECK_IS(nffi_stream_write(running, "c", 1), NFFI_WOULD_BLOCK);
    chunk(pair, "c", 1);
    nffi_host_cancel(pair->host, task);
    CHECK_IS(nffi_host_collect(pair->host, &response, 1), 0);
    CHECK_IS(nffi_queue_poll(pair->queue, &request, 1, -1), 0);
    CHECK_IS(nffi_stream_writable(pair->queue, notified, 4), 1);
    CHECK(notified[0] == running);
    CHECK_IS(nffi_queue_cancelled(pair->queue, notified, 4), 1);
    CHECK_IS(nffi_stream_write(running, "c", 1), NFFI_CANCELLED);
    CHECK_IS(nffi_stream_wait(running, -1), NFFI_CANCELLED);
    CHECK_IS(nffi_task_cancelled(running), 1);
    CHECK_IS(nffi_stream_end(running), NFFI_OK);
    CHECK_IS(nffi_stream_write(running, "c", 1), NFFI_STALE);
    CHECK_IS(nffi_host_collect(pair->host, &response, 1), 0);
    CHECK_IS(pair_state(pair).unanswered, 0);

    /* a plain call, with collected chunks */
    task = pair_submit(pair, "x", 1, owners);
    running = pair_take(pair).task;
    CHECK_IS(nffi_stream_write(running, "lost", 4), NFFI_OK);
    nffi_host_cancel(pair->host, task);
    CHECK_IS(nffi_stream_write(running, "c", 1), NFFI_CANCELLED);
    CHECK_IS(nffi_stream_end(running), NFFI_OK);
    CHECK_IS(nffi_host_collect(pair->host, &response, 1), 0);
    CHECK_IS(pair_state(pair).unanswered, 0);

    /* before it was taken */
    task = pair_submit_stream(pair, "x", 1, WINDOW, owners);
    nffi_host_cancel(pair->host, task);
    CHECK_IS(nffi_queue_poll(pair->queue, &request, 1, 0), 0);
    CHECK_IS(nffi_host_collect(pair->host, &response, 1), 0);

    /* between the chunk that was collected and the one that is not yet */
    running = streaming(pair, WINDOW, &task);
    CHECK_IS(nffi_stream_write(running, "1", 1), NFFI_OK);
    CHECK_IS(nffi_stream_write(running, "2", 1), NFFI_OK);
    CHECK_IS(nffi_host_collect(pair->host, &response, 1), 1);
    nffi_host_cancel(pair->host, task);
    nffi_host_release(pair->host, &response);
    nffi_host_credit(pair->host, task, 1);
    CHECK_IS(nffi_stream_end(running), NFFI_OK);
    CHECK_IS(nffi_host_collect(pair->host, &response, 1), 0);

    /* after the end was collected it has no owner */
    running = streaming(pair, WINDOW, &task);
    CHECK_IS(nffi_stream_end(running), NFFI_OK);
    end(pair, NFFI_HOST_END, NULL, 0);
    nffi_host_cancel(pair->host, task);
    nffi_host_credit(pair->host, task, 1);
    check_done(pair);
}

BOTH_WAYS(cancels)


static void
refuses(void)
{
    pair_t pair;
    nffi_task_t task, running;
    nffi_host_state_t state;

    pair_open(&pair, &small_arenas);
    running = streaming(&pair, WINDOW, &task);
    CHECK_IS(nffi_stream_write(running, NULL, 1), NFFI_INVALID);
    CHECK_IS(nffi_stream_write(running, "x", ((size_t) 1 << 30) + 1),
             NFFI_TOO_LARGE);
    CHECK_IS(nffi_stream_write(0, "x", 1), NFFI_STALE);
    CHECK_IS(nffi_stream_write(running + 1, "x", 1), NFFI_STALE);
    CHECK_IS(nffi_stream_wait(running + 1, -1), NFFI_STALE);
    CHECK_IS(nffi_stream_end(running + 1), NFFI_STALE);
    CHECK_IS(nffi_stream_end(0), NFFI_STALE);
    CHECK_IS(nffi_stream_writable(NULL, &task, 1), NFFI_INVALID);
    CHECK_IS(nffi_stream_writable(pair.queue, NULL, 1), NFFI_INVALID);
    CHECK_IS(nffi_stream_end(running), NFFI_OK);
    CHECK_IS(nffi_stream_write(running, "x", 1), NFFI_STALE);
    CHECK_IS(nffi_stream_wait(running, -1), NFFI_STALE);
    CHECK_IS(nffi_stream_end(running), NFFI_STALE);
    CHECK_IS(nffi_respond(running, 0, "x", 1), NFFI_STALE);
    nffi_host_state(pair.host, &state);
    CHECK_IS(state.refused, 7);
    end(&pair, NFFI_HOST_END, NULL, 0);

    /* another task in the same slot is not the one that was blocked */
    running = streaming(&pair, WINDOW, &task);
    CHECK_IS(nffi_stream_end(running), NFFI_OK);
    end(&pair, NFFI_HOST_END, NULL, 0);
    pair_close(&pair);
}


/* A slot that is used again while notes about its last task wait. */
static void
reuses_slots(void)
{
    int i, round;
    pair_t pair;
    nffi_task_t task, running, notified[4];
    nffi_host_response_t response;

    pair_open(&pair, &(nffi_host_options_t) { .max_tasks = 1 });

    for (round = 0; round < 50; round++) {
        running = streaming(&pair, WINDOW, &task);

        for (i = 0; i < NFFI__CHUNKS; i++) {
            CHECK_IS(nffi_stream_write(running, "c", 1), NFFI_OK);
        }

        CHECK_IS(nffi_stream_write(running, "c", 1), NFFI_WOULD_BLOCK);

        for (i = 0; i < NFFI__CHUNKS; i++) {
            chunk_read(&pair, task, "c", 1);
        }

        if (round % 3 == 0) {
            nffi_host_cancel(pair.host, task);
        }

        CHECK_IS(nffi_stream_end(running), NFFI_OK);
        CHECK_IS(nffi_host_collect(pair.host, &response, 1), round % 3 != 0);

        if (round % 3 != 0) {
            nffi_host_release(pair.host, &response);
        }
    }

    running = streaming(&pair, WINDOW, &task);
    CHECK_IS(nffi_stream_writable(pair.queue, notified, 4), 0);
    CHECK_IS(nffi_queue_cancelled(pair.queue, notified, 4), 0);
    CHECK_IS(nffi_stream_end(running), NFFI_OK);
    end(&pair, NFFI_HOST_END, NULL, 0);
    pair_check_idle(&pair);
    pair_close(&pair);
}


/* Closing takes no new tasks; a stream goes on to its end. */
static void
survives_close(void)
{
    pair_t pair;
    nffi_task_t task, running;
    nffi_request_t request;

    pair_open(&pair, &small_arenas);
    running = streaming(&pair, 1, &task);
    CHECK_IS(nffi_stream_write(running, "1", 1), NFFI_OK);
    nffi_host_close(pair.host);
    CHECK_IS(nffi_queue_poll(pair.queue, &request, 1, -1), NFFI_CLOSED);
    CHECK_IS(nffi_stream_wait(running, 20), NFFI_WOULD_BLOCK);

    /* the end, once reported, does not prevent sleeping */
    CHECK_IS(nffi_queue_arm(pair.queue), 0);
    chunk_read(&pair, task, "1", 1);
    CHECK_IS(poll(&(struct pollfd) { nffi_queue_fd(pair.queue), POLLIN, 0 },
                  1, 0), 1);
    CHECK_IS(nffi_queue_arm(pair.queue), 1);
    CHECK_IS(nffi_stream_wait(running, -1), NFFI_OK);
    CHECK_IS(nffi_stream_write(running, "2", 1), NFFI_OK);
    CHECK_IS(nffi_stream_end(running), NFFI_OK);
    chunk(&pair, "2", 1);
    end(&pair, NFFI_HOST_END, NULL, 0);
    pair_check_idle(&pair);
    pair_close(&pair);
}


/* A host that goes leaves nothing, whatever was on its way. */
static void
destroys(pair_t *pair)
{
    nffi_task_t task, running;
    nffi_host_response_t response;
    static char bytes[LARGE];

    running = streaming(pair, LARGE * 2, &task);
    CHECK_IS(nffi_stream_write(running, bytes, LARGE), NFFI_OK);
    CHECK_IS(nffi_stream_write(running, bytes, 10), NFFI_OK);
    CHECK_IS(nffi_host_collect(pair->host, &response, 1), 1);
    nffi_host_release(pair->host, &response);
    CHECK_IS(nffi_stream_write(running, bytes, LARGE), NFFI_OK);
    CHECK_IS(nffi_stream_end(running), NFFI_OK);

    /* collected, and never answered */
    pair_submit(pair, "x", 1, owners);
    CHECK_IS(nffi_stream_write(pair_take(pair).task, bytes, 5000), NFFI_OK);
    pair_close(pair);
}

BOTH_WAYS(destroys)


int
main(int argc, char **argv)
{
    static const check_case_t cases[] = {
        CASE("a response is a stream of one; errors end one", answers),
        CASE("a stream is cancelled", cancels),
        { "bad handles and sizes are refused", refuses },
        { "a slot is used again", reuses_slots },
        { "a stream survives the close of its queue", survives_close },
        CASE("nothing is left of a host that goes", destroys),
    };

    return CHECK_MAIN(argc, argv, cases);
}
